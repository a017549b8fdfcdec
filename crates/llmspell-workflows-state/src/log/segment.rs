//! A segment: one file of the log, with a fixed length.
//!
//! The first 32 bytes contain the text `SPFLOG\0\x01`, the number and the length of the segment,
//! and the CRC-32C of these three fields. Frames follow, then zeros up to the end of the file.

use std::path::{Path, PathBuf};

pub(crate) const HEADER: u64 = 32;

const MAGIC: &[u8; 8] = b"SPFLOG\0\x01";

/// Returns the header of segment `number`.
pub(crate) fn header(number: u64, length: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.resize(usize::try_from(HEADER).expect("32"), 0);
    bytes
}

/// Returns the length in the header of segment `number`, or `None` if the header is not intact.
pub(crate) fn length(number: u64, bytes: &[u8]) -> Option<u64> {
    let (covered, checksum) = (bytes.get(..24)?, bytes.get(24..28)?);
    let is_whole = crc32c::crc32c(covered).to_le_bytes() == checksum
        && covered.starts_with(MAGIC)
        && covered[8..16] == number.to_le_bytes();
    is_whole.then(|| u64::from_le_bytes(covered[16..24].try_into().expect("8 bytes")))
}

pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}.log"))
}

/// Returns the number of the segment with this file name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_suffix(".log")?.parse().ok()
}
