//! A seal on stored data, which detects whether the data was changed, truncated or moved to a different key.
//!
//! | bytes | content |
//! |---|---|
//! | 0–3 | the text `SPWS` |
//! | 4 | version of the format |
//! | 5–8 | CRC-32C of the version, the key and the body, little-endian |
//! | 9– | body |

use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

const MAGIC: &[u8; 4] = b"SPWS";

/// The version that this code writes. This code also reads all earlier versions.
const VERSION: u8 = 1;

const HEAD: usize = 9;

/// Seals `body` for storage under `key`.
pub(crate) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&checksum(VERSION, key, body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Opens sealed data that was stored under `key`; returns its body.
pub(crate) fn open<'a>(location: &str, key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let damaged = |message: &str| Err(StoreError::damaged(location, message));
    let Some((head, body)) = bytes.split_at_checked(HEAD) else { return damaged("it is truncated") };
    if !head.starts_with(MAGIC) {
        return damaged("its header is wrong");
    }
    if head[4] > VERSION {
        return Err(StoreError::Newer { location: location.to_owned(), found: head[4].into(), known: VERSION.into() });
    }
    if head[5..] != checksum(head[4], key, body).to_le_bytes() {
        return damaged("its checksum does not match");
    }
    Ok(body)
}

/// Seals `value` as JSON.
pub(crate) fn seal_json(key: &[u8], value: &impl Serialize) -> Vec<u8> {
    seal(key, &serde_json::to_vec(value).expect("a stored value can always be encoded as JSON"))
}

/// Opens sealed JSON.
pub(crate) fn open_json<T: DeserializeOwned>(location: &str, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(open(location, key, bytes)?)
        .map_err(|error| StoreError::damaged(location, format!("it cannot be parsed: {error}")))
}

/// Opens sealed text.
pub(crate) fn open_text(location: &str, key: &[u8], bytes: &[u8]) -> Result<String, StoreError> {
    let text = str::from_utf8(open(location, key, bytes)?);
    text.map(str::to_owned).map_err(|error| StoreError::damaged(location, format!("it is not text: {error}")))
}

fn checksum(version: u8, key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[version]), key), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_or_missing_byte_is_detected() {
        let sealed = seal(b"key", b"body");
        assert_eq!(open("it", b"key", &sealed).unwrap(), b"body");
        let refused = |key: &[u8], bytes: &[u8]| open("it", key, bytes).unwrap_err();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x40;
            let error = refused(b"key", &changed);
            let is_newer = matches!(error, StoreError::Newer { found: 65, known: 1, .. });
            assert!(is_newer == (at == 4), "byte {at}: {error}");
            assert!(matches!(refused(b"key", &sealed[..at]), StoreError::Damaged { .. }), "cut to {at} bytes");
        }
        assert!(matches!(refused(b"other", &sealed), StoreError::Damaged { .. }));
    }
}
