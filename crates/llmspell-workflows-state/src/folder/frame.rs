//! The frame around a value stored in an engine, used to detect changes to the value.
//!
//! | bytes | content |
//! |---|---|
//! | 0 | version of the format |
//! | 1 | 0: the value follows; 1: a file name follows |
//! | 2–9 | the number of the change that wrote the value, little-endian |
//! | 10–13 | CRC-32C of the key and all other bytes of the frame, little-endian |
//! | 14– | the value or the file name |

use super::values::{NAME, Name};
use crate::store::StoreError;

const VERSION: u8 = 1;

const HEAD: usize = 14;

/// A value and the number of the change that wrote it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) number: u64,
    pub(super) body: Body<'a>,
}

/// A value, or the file that contains it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Inline(&'a [u8]),
    File(Name),
}

pub(super) fn write(key: &[u8], number: u64, body: &Body<'_>) -> Vec<u8> {
    let (kind, bytes) = match body {
        Body::Inline(value) => (0, *value),
        Body::File(name) => (1, &name.0[..]),
    };
    let mut frame = Vec::with_capacity(HEAD + bytes.len());
    frame.extend_from_slice(&[VERSION, kind]);
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&checksum(key, &frame, bytes).to_le_bytes());
    frame.extend_from_slice(bytes);
    frame
}

pub(super) fn read<'a>(location: &str, key: &[u8], bytes: &'a [u8]) -> Result<Frame<'a>, StoreError> {
    let damaged = || {
        let message = format!("the value of the key {} is damaged", key.escape_ascii());
        StoreError::damaged(location, message)
    };
    let (head, body) = bytes.split_at_checked(HEAD).ok_or_else(damaged)?;
    if head[0] > VERSION {
        return Err(StoreError::Newer { location: location.to_owned(), found: head[0].into(), known: VERSION.into() });
    }
    if head[10..] != checksum(key, &head[..10], body).to_le_bytes() {
        return Err(damaged());
    }
    let number = u64::from_le_bytes(head[2..10].try_into().expect("8 bytes"));
    let body = match head[1] {
        0 => Body::Inline(body),
        _ => Body::File(Name(<[u8; NAME]>::try_from(body).map_err(|_| damaged())?)),
    };
    Ok(Frame { number, body })
}

fn checksum(key: &[u8], head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), head), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_round_trips_and_every_changed_or_missing_byte_is_detected() {
        for body in [Body::Inline(b"value"), Body::File(Name([7; NAME]))] {
            let bytes = write(b"key", 12, &body);
            assert_eq!(read("it", b"key", &bytes), Ok(Frame { number: 12, body }));
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert!(read("it", b"key", &changed).is_err(), "byte {at}");
                assert!(read("it", b"key", &bytes[..at]).is_err(), "cut to {at}");
            }
            assert!(read("it", b"other", &bytes).unwrap_err().to_string().contains("the key other"));
        }
    }

    #[test]
    fn the_format_is_stable() {
        let bytes = b"\x01\0\x0c\0\0\0\0\0\0\0\x13\x99~Cvalue";
        assert_eq!(write(b"key", 12, &Body::Inline(b"value")), bytes);
        assert_eq!(read("it", b"key", bytes), Ok(Frame { number: 12, body: Body::Inline(b"value") }));
    }
}
