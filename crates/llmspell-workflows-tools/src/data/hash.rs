use std::io::Read;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::digest::DynDigest;
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

use super::support::{
    blocking, check_cancelled, check_text, invalid, needed, object_schema, read, reading_spec,
    require_per_operation, too_large,
};
use crate::{Access, Services, Tool, ToolContext, ToolError, ToolSpec};

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Computes and verifies hashes of texts, bytes and files.
///
/// `input` is taken as `input_type` says: as its UTF-8 text, or as bytes in base64 or hex; with `file` the hash is that of
/// the file `file`, which is read in pieces. `hash` gives `{algorithm, format, hash, bytes}`, `verify` compares with
/// `expected_hash`, written in `format`, in constant time and gives `{algorithm, valid, bytes}`; it does not tell the
/// hash. `algorithm` is sha256 and `format` hex unless they say otherwise; hex may have upper case. MD5 and SHA-1 are
/// here for checksums that others publish; they protect nothing.
pub(crate) struct HashCalculator {
    spec: ToolSpec,
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    operation: Operation,
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(default)]
    input_type: InputType,
    input: Option<String>,
    file: Option<String>,
    #[serde(default)]
    format: Format,
    expected_hash: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Hash,
    Verify,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    Md5,
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InputType {
    #[default]
    Text,
    Base64,
    Hex,
    File,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Hex,
    Base64,
}

impl HashCalculator {
    pub(crate) fn new(services: Services) -> Self {
        let parameters = json!({
            "operation": { "enum": ["hash", "verify"] },
            "algorithm": { "enum": ["md5", "sha1", "sha256", "sha512"], "description": "`sha256` by default" },
            "input_type": { "enum": ["text", "base64", "hex", "file"], "description": "What `input` is; `text` by default" },
            "input": { "type": "string" },
            "file": { "type": "string", "minLength": 1, "description": "A path, with `input_type: file`" },
            "format": { "enum": ["hex", "base64"], "description": "How hashes are written; `hex` by default" },
            "expected_hash": { "type": "string", "minLength": 1 },
        });
        let mut parameters = require_per_operation(
            object_schema(&["operation"], parameters),
            &[("verify", &["expected_hash"])],
        );
        let source = json!({
            "if": { "properties": { "input_type": { "const": "file" } }, "required": ["input_type"] },
            "then": { "required": ["file"], "properties": { "input": false } },
            "else": { "required": ["input"], "properties": { "file": false } },
        });
        if let Some(all) = parameters["allOf"].as_array_mut() {
            all.push(source);
        }
        let result = json!({
            "algorithm": { "enum": ["md5", "sha1", "sha256", "sha512"] },
            "format": { "enum": ["hex", "base64"] },
            "hash": { "type": "string" },
            "valid": { "type": "boolean" },
            "bytes": { "type": "integer", "minimum": 0, "description": "How many bytes were hashed" },
        });
        Self {
            spec: reading_spec(
                "hash_calculator",
                "Computes and verifies MD5, SHA-1, SHA-256 and SHA-512 hashes of texts, bytes and files.",
                parameters,
                object_schema(&["algorithm", "bytes"], result),
            ),
            services,
        }
    }
}

#[async_trait]
impl Tool for HashCalculator {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| run(parameters, &services, token)).await
    }
}

fn run(
    parameters: Parameters,
    services: &Services,
    token: &CancellationToken,
) -> Result<Value, ToolError> {
    let Parameters {
        operation,
        algorithm,
        input_type,
        input,
        file,
        format,
        expected_hash,
    } = parameters;
    let expected = match (operation, expected_hash) {
        (Operation::Verify, expected) => {
            let expected = needed(expected, "expected_hash", "verify")?;
            Some(format.decode(&expected, algorithm)?)
        }
        (Operation::Hash, None) => None,
        (Operation::Hash, Some(_)) => {
            return Err(invalid(
                "unused_parameter",
                "`expected_hash` means nothing to `hash`",
            )
            .with_help("use `verify`"));
        }
    };
    let mut digest = algorithm.digest();
    let bytes = match (input_type, input, file) {
        (InputType::File, None, Some(path)) => hash_file(&mut *digest, &path, services, token)?,
        (InputType::Text | InputType::Base64 | InputType::Hex, Some(input), None) => {
            check_text(input.len())?;
            let content = input_type.decode(input)?;
            digest.update(&content);
            content.len() as u64
        }
        (InputType::File, ..) => {
            return Err(invalid(
                "missing_parameter",
                "`input_type: file` needs `file` and no `input`",
            ));
        }
        _ => {
            return Err(invalid(
                "missing_parameter",
                "`input` is needed, and `file` only with `input_type: file`",
            ));
        }
    };
    let hash = digest.finalize();
    let name = algorithm.name();
    Ok(match expected {
        Some(expected) => {
            let valid = bool::from(hash.as_ref().ct_eq(expected.as_slice()));
            json!({ "algorithm": name, "valid": valid, "bytes": bytes })
        }
        None => {
            json!({ "algorithm": name, "format": format.name(), "hash": format.encode(&hash), "bytes": bytes })
        }
    })
}

fn hash_file(
    digest: &mut dyn DynDigest,
    path: &str,
    services: &Services,
    token: &CancellationToken,
) -> Result<u64, ToolError> {
    let located = services.sandbox.locate(path, Access::Read)?;
    let mut file = located.open()?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0_u64;
    loop {
        check_cancelled(token)?;
        let count = file
            .read(&mut chunk)
            .map_err(|error| located.error("read", &error))?;
        if count == 0 {
            return Ok(bytes);
        }
        bytes += count as u64;
        let bytes_max = services.policy.file_bytes_max;
        if bytes > bytes_max {
            return Err(too_large(
                "file_too_large",
                format!("`{path}` has more than {bytes_max} bytes"),
            )
            .with_help("raise `file_bytes_max` in the policy"));
        }
        digest.update(&chunk[..count]);
    }
}

impl Algorithm {
    fn digest(self) -> Box<dyn DynDigest> {
        match self {
            Self::Md5 => Box::new(md5::Md5::default()),
            Self::Sha1 => Box::new(sha1::Sha1::default()),
            Self::Sha256 => Box::new(sha2::Sha256::default()),
            Self::Sha512 => Box::new(sha2::Sha512::default()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl InputType {
    fn decode(self, input: String) -> Result<Vec<u8>, ToolError> {
        match self {
            Self::Hex => hex::decode(&input)
                .map_err(|error| invalid("invalid_input", format!("`input` is no hex: {error}"))),
            Self::Base64 => BASE64.decode(&input).map_err(|error| {
                invalid("invalid_input", format!("`input` is no base64: {error}"))
            }),
            Self::Text | Self::File => Ok(input.into_bytes()),
        }
    }
}

impl Format {
    fn encode(self, hash: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(hash),
            Self::Base64 => BASE64.encode(hash),
        }
    }

    /// The bytes of a hash of `algorithm` as it is written.
    fn decode(self, written: &str, algorithm: Algorithm) -> Result<Vec<u8>, ToolError> {
        let written = written.trim();
        let bytes = match self {
            Self::Hex => hex::decode(written).ok(),
            Self::Base64 => BASE64.decode(written).ok(),
        };
        let size = algorithm.digest().output_size();
        bytes.filter(|bytes| bytes.len() == size).ok_or_else(|| {
            let (name, format) = (algorithm.name(), self.name());
            invalid(
                "invalid_hash",
                format!("`expected_hash` is no {name} in {format}, which has {size} bytes"),
            )
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    const SHA256_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    async fn call(parameters: &Value) -> Result<Value, String> {
        let tool = HashCalculator::new(Services::for_tests(Policy::default()));
        let result = tool.call(parameters.clone(), &ToolContext::default()).await;
        result.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn known_hashes() {
        let table = [
            (
                json!({"algorithm": "md5", "input": "abc"}),
                "900150983cd24fb0d6963f7d28e17f72",
            ),
            (
                json!({"algorithm": "sha1", "input": "abc"}),
                "a9993e364706816aba3e25717850c26c9cd0d89d",
            ),
            (json!({"input": "abc"}), SHA256_ABC),
            (json!({"input": "YWJj", "input_type": "base64"}), SHA256_ABC),
            (json!({"input": "616263", "input_type": "hex"}), SHA256_ABC),
            (
                json!({"input": "abc", "format": "base64"}),
                "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
            ),
            (
                json!({"algorithm": "sha512", "input": ""}),
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
            ),
        ];
        for (mut parameters, expected) in table {
            parameters["operation"] = json!("hash");
            assert_eq!(
                call(&parameters).await.unwrap()["hash"],
                expected,
                "{parameters}"
            );
        }
        let whole = json!({"algorithm": "sha256", "format": "hex", "hash": SHA256_ABC, "bytes": 3});
        assert_eq!(
            call(&json!({"operation": "hash", "input": "abc"})).await,
            Ok(whole)
        );
    }

    #[tokio::test]
    async fn verify_says_whether_it_is_the_same() {
        let upper = SHA256_ABC.to_uppercase();
        let table = [
            ("abc", SHA256_ABC, true),
            ("abc", upper.as_str(), true),
            ("abd", SHA256_ABC, false),
        ];
        for (input, expected_hash, valid) in table {
            let parameters =
                json!({"operation": "verify", "input": input, "expected_hash": expected_hash});
            let expected = json!({"algorithm": "sha256", "valid": valid, "bytes": 3});
            assert_eq!(call(&parameters).await, Ok(expected));
        }
    }

    #[tokio::test]
    async fn files_are_hashed_in_pieces_within_their_bounds() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "abc").unwrap();
        std::fs::write(folder.path().join("large"), vec![0; CHUNK_BYTES * 2 + 1]).unwrap();
        std::fs::write(
            folder.path().join("too_large"),
            vec![0; CHUNK_BYTES * 2 + 2],
        )
        .unwrap();
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
            let result = result
                .map(|result| result["bytes"].clone())
                .map_err(|error| error.code);
            assert_eq!(result, expected, "{file}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_hashed_is_refused() {
        let table = [
            (
                json!({"operation": "hash"}),
                "`input` is needed, and `file` only with `input_type: file`",
            ),
            (
                json!({"operation": "hash", "input": "a", "file": "b"}),
                "`input` is needed, and `file` only with `input_type: file`",
            ),
            (
                json!({"operation": "hash", "input_type": "file", "input": "a"}),
                "`input_type: file` needs `file` and no `input`",
            ),
            (
                json!({"operation": "hash", "input_type": "hex", "input": "xy"}),
                "`input` is no hex: Invalid character 'x' at position 0",
            ),
            (
                json!({"operation": "hash", "input_type": "base64", "input": "?"}),
                "`input` is no base64: Invalid symbol 63, offset 0.",
            ),
            (
                json!({"operation": "hash", "input": "", "expected_hash": "00"}),
                "`expected_hash` means nothing to `hash` (use `verify`)",
            ),
            (
                json!({"operation": "verify", "input": ""}),
                "`verify` needs the parameter `expected_hash`",
            ),
            (
                json!({"operation": "verify", "input": "", "expected_hash": "00"}),
                "`expected_hash` is no sha256 in hex, which has 32 bytes",
            ),
        ];
        for (parameters, expected) in table {
            assert_eq!(
                call(&parameters).await,
                Err(expected.to_owned()),
                "{parameters}"
            );
        }
    }
}
