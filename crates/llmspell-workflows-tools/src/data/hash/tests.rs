use super::*;
use crate::Policy;

const SHA256_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn call(parameters: &Value) -> Result<Value, String> {
    let tool = HashCalculator::new(Services::for_tests(Policy::default()));
    let result = tool.call(parameters.clone(), &ToolContext::default()).await;
    result.map_err(|error| error.to_string())
}

#[tokio::test]
async fn hashes_match_published_test_vectors() {
    let table = [
        (json!({"algorithm": "md5", "input": "abc"}), "900150983cd24fb0d6963f7d28e17f72"),
        (json!({"algorithm": "sha1", "input": "abc"}), "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (json!({"input": "abc"}), SHA256_ABC),
        (json!({"input": "YWJj", "input_type": "base64"}), SHA256_ABC),
        (json!({"input": "616263", "input_type": "hex"}), SHA256_ABC),
        (json!({"input": "abc", "format": "base64"}), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        (
            json!({"algorithm": "sha512", "input": ""}),
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
        ),
    ];
    for (mut parameters, expected) in table {
        parameters["operation"] = json!("hash");
        assert_eq!(call(&parameters).await.unwrap()["hash"], expected, "{parameters}");
    }
    let whole = json!({"algorithm": "sha256", "format": "hex", "hash": SHA256_ABC, "bytes": 3});
    assert_eq!(call(&json!({"operation": "hash", "input": "abc"})).await, Ok(whole));
}

#[tokio::test]
async fn verify_reports_whether_the_hash_matches() {
    let upper = SHA256_ABC.to_uppercase();
    let table = [("abc", SHA256_ABC, true), ("abc", upper.as_str(), true), ("abd", SHA256_ABC, false)];
    for (input, expected_hash, valid) in table {
        let parameters = json!({"operation": "verify", "input": input, "expected_hash": expected_hash});
        let expected = json!({"algorithm": "sha256", "valid": valid, "bytes": 3});
        assert_eq!(call(&parameters).await, Ok(expected));
    }
}

#[tokio::test]
async fn files_are_hashed_in_chunks_up_to_the_size_limit() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "abc").unwrap();
    std::fs::write(folder.path().join("large"), vec![0; CHUNK_BYTES * 2 + 1]).unwrap();
    std::fs::write(folder.path().join("too_large"), vec![0; CHUNK_BYTES * 2 + 2]).unwrap();
    let policy = Policy {
        working_directory: Some(folder.path().to_owned()),
        file_bytes_max: CHUNK_BYTES as u64 * 2 + 1,
        ..Policy::default()
    };
    let tool = HashCalculator::new(Services::for_tests(policy));
    let table = [
        ("a", Ok(json!(3))),
        ("large", Ok(json!(CHUNK_BYTES * 2 + 1))),
        ("too_large", Err("file_too_large")),
        ("none", Err("file_not_found")),
        ("../a", Err("path_outside_roots")),
    ];
    for (file, expected) in table {
        let parameters = json!({"operation": "hash", "input_type": "file", "file": file});
        let result = tool.call(parameters, &ToolContext::default()).await;
        let result = result.map(|result| result["bytes"].clone()).map_err(|error| error.code);
        assert_eq!(result, expected, "{file}");
    }
}

#[tokio::test]
async fn invalid_parameters_are_rejected() {
    let table = [
        (json!({"operation": "hash"}), "`input` is required; `file` is only accepted with `input_type: file`"),
        (
            json!({"operation": "hash", "input": "a", "file": "b"}),
            "`input` is required; `file` is only accepted with `input_type: file`",
        ),
        (
            json!({"operation": "hash", "input_type": "file", "input": "a"}),
            "`input_type: file` requires `file` and does not accept `input`",
        ),
        (
            json!({"operation": "hash", "input_type": "hex", "input": "xy"}),
            "`input` is not valid hex: Invalid character 'x' at position 0",
        ),
        (
            json!({"operation": "hash", "input_type": "base64", "input": "?"}),
            "`input` is not valid base64: Invalid symbol 63, offset 0.",
        ),
        (
            json!({"operation": "hash", "input": "", "expected_hash": "00"}),
            "`hash` does not accept the parameter `expected_hash` (it accepts `algorithm`, `input_type`, `input`, `file`, `format`)",
        ),
        (json!({"operation": "verify", "input": ""}), "`verify` requires the parameter `expected_hash`"),
        (
            json!({"operation": "verify", "input": "", "expected_hash": "00"}),
            "`expected_hash` is not a valid sha256 hash in hex (32 bytes expected)",
        ),
    ];
    for (parameters, expected) in table {
        assert_eq!(call(&parameters).await, Err(expected.to_owned()), "{parameters}");
    }
}
