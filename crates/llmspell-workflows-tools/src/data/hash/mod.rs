//! Hashes text, bytes and files.

#[cfg(test)]
mod tests;

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
    OperationParameters, blocking, check_cancelled, check_operation, check_text_size, file_reader_spec, invalid,
    object_schema, per_operation, read, require, too_large,
};
use crate::{Access, Services, Tool, ToolContext, ToolError, ToolSpec};

/// The chunk size for reading files.
const CHUNK_BYTES: usize = 64 * 1024;

/// Computes and verifies hashes of text, bytes and files.
///
/// `input_type` determines how `input` is decoded: as UTF-8 text, or as bytes encoded in base64 or hex. With
/// `input_type: file`, the file at the path `file` is hashed in chunks instead. `hash` returns `{algorithm, format,
/// hash, bytes}`. `verify` compares the hash in constant time with `expected_hash`, which is written in `format`, and
/// returns `{algorithm, valid, bytes}` without revealing the hash. The default `algorithm` is sha256 and the default
/// `format` is hex; hex may be upper case. MD5 and SHA-1 are provided for checking published checksums; they are
/// not secure.
pub(crate) struct HashCalculator {
    spec: ToolSpec,
    services: Services,
}

const OPERATIONS: [OperationParameters; 2] = [
    ("hash", &[], &["algorithm", "input_type", "input", "file", "format"]),
    ("verify", &["expected_hash"], &["algorithm", "input_type", "input", "file", "format"]),
];

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
            "operation": { "enum": ["hash", "verify"], "description": "Compute a hash, or compare it with an expected hash" },
            "algorithm": { "enum": ["md5", "sha1", "sha256", "sha512"], "description": "`sha256` by default" },
            "input_type": { "enum": ["text", "base64", "hex", "file"], "description": "How `input` is decoded; `text` by default" },
            "input": { "type": "string", "description": "The data to hash" },
            "file": { "type": "string", "minLength": 1, "description": "The path of the file to hash, with `input_type: file`" },
            "format": { "enum": ["hex", "base64"], "description": "The encoding of hashes; `hex` by default" },
            "expected_hash": { "type": "string", "minLength": 1, "description": "The hash that `verify` compares with" },
        });
        let mut parameters = per_operation(object_schema(&["operation"], parameters), &OPERATIONS);
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
            "bytes": { "type": "integer", "minimum": 0, "description": "The number of bytes hashed" },
        });
        Self {
            spec: file_reader_spec(
                "hash_calculator",
                "Computes and verifies MD5, SHA-1, SHA-256 and SHA-512 hashes of text, bytes and files.",
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
        check_operation(&parameters, &OPERATIONS)?;
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| run(parameters, &services, token)).await
    }
}

fn run(parameters: Parameters, services: &Services, token: &CancellationToken) -> Result<Value, ToolError> {
    let Parameters { operation, algorithm, input_type, input, file, format, expected_hash } = parameters;
    let expected = match (operation, expected_hash) {
        (Operation::Verify, expected) => {
            let expected = require(expected, "expected_hash", "verify")?;
            Some(format.decode(&expected, algorithm)?)
        }
        (Operation::Hash, _) => None,
    };
    let mut digest = algorithm.digest();
    let bytes = match (input_type, input, file) {
        (InputType::File, None, Some(path)) => hash_file(&mut *digest, &path, services, token)?,
        (InputType::Text | InputType::Base64 | InputType::Hex, Some(input), None) => {
            check_text_size(input.len())?;
            let content = input_type.decode(input)?;
            digest.update(&content);
            content.len() as u64
        }
        (InputType::File, ..) => {
            return Err(invalid("missing_parameter", "`input_type: file` requires `file` and does not accept `input`"));
        }
        _ => {
            return Err(invalid(
                "missing_parameter",
                "`input` is required; `file` is only accepted with `input_type: file`",
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
    let target = services.sandbox.locate(path, Access::Read)?;
    let mut file = target.open()?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0_u64;
    loop {
        check_cancelled(token)?;
        let count = file.read(&mut chunk).map_err(|error| target.error("read", &error))?;
        if count == 0 {
            return Ok(bytes);
        }
        bytes += count as u64;
        let bytes_max = services.policy.file_bytes_max;
        if bytes > bytes_max {
            return Err(too_large("file_too_large", format!("`{path}` is larger than {bytes_max} bytes"))
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
                .map_err(|error| invalid("invalid_input", format!("`input` is not valid hex: {error}"))),
            Self::Base64 => BASE64
                .decode(&input)
                .map_err(|error| invalid("invalid_input", format!("`input` is not valid base64: {error}"))),
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

    /// Decodes a hash of `algorithm` in this format.
    fn decode(self, encoded: &str, algorithm: Algorithm) -> Result<Vec<u8>, ToolError> {
        let encoded = encoded.trim();
        let bytes = match self {
            Self::Hex => hex::decode(encoded).ok(),
            Self::Base64 => BASE64.decode(encoded).ok(),
        };
        let size = algorithm.digest().output_size();
        bytes.filter(|bytes| bytes.len() == size).ok_or_else(|| {
            let (name, format) = (algorithm.name(), self.name());
            invalid(
                "invalid_hash",
                format!("`expected_hash` is not a valid {name} hash in {format} ({size} bytes expected)"),
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
