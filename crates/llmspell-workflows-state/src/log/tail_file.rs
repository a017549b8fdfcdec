//! The tail file names the last segment with synced frames, and its end when the log was
//! closed.
//!
//! No segment mentions later segments, so without this file, the loss of the last segment would go
//! unnoticed. The file is written without a sync. After a power loss, it may be missing or name an
//! earlier segment, but never a later one.
//!
//! | bytes | content |
//! |---|---|
//! | 0–7 | `SPFTAIL\x01` |
//! | 8–15 | number of the segment, little-endian |
//! | 16–23 | where its synced frames ended when the log was closed; 0 if the log is open or was not closed |
//! | 24–27 | CRC-32C of everything before it |

use std::{io, path::Path};

use crate::disk::Disk;

const NAME: &str = "tail";
const MAGIC: &[u8; 8] = b"SPFTAIL\x01";
const LENGTH: usize = 28;

/// The content of a tail file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TailFile {
    pub(super) segment: u64,
    pub(super) end: u64,
}

/// Returns the content of the tail file of the log in `dir`; `None` if the file is missing or
/// damaged.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Option<TailFile> {
    let bytes = disk.open_to_read(&dir.join(NAME)).and_then(|file| file.read_at(0, LENGTH)).ok()?;
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let is_intact = bytes.starts_with(MAGIC) && bytes[24..] == crc32c::crc32c(&bytes[..24]).to_le_bytes();
    is_intact.then_some(TailFile { segment: number(8)?, end: number(16)? })
}

/// Writes the tail file of the log in `dir`.
pub(super) fn write(disk: &dyn Disk, dir: &Path, content: TailFile) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&content.segment.to_le_bytes());
    bytes.extend_from_slice(&content.end.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    disk.put(&dir.join(NAME), &bytes)
}
