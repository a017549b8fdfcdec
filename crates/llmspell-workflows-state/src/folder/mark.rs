//! How many changes were synced, outside of the engine: the file `mark`.
//!
//! It has two places of 512 bytes that are written in turn, so that a torn write leaves the one before. Each holds six
//! letters that stand for the engine, the version of the folder's format, a zero, the count, and the CRC-32C of these,
//! little-endian.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// The version of the folder's format that this code writes.
const VERSION: u8 = 1;

const PLACE: usize = 512;

#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    file: File,
    magic: &'static [u8; 6],
    count: u64,
    /// Which place is written next.
    next: u64,
}

impl Mark {
    /// The mark of `folder`, which is made where there is none and `has_data` is false.
    pub(super) fn open(folder: &Path, magic: &'static [u8; 6], has_data: bool) -> Result<Self, StoreError> {
        let path = folder.join("mark");
        let told = |error: io::Error| StoreError::io(&path, &error);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !has_data => {
                return Self::create(path.clone(), magic).map_err(told);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = "it has data and no `mark` that says how much";
                return Err(StoreError::Foreign { path: folder.to_owned(), message: message.to_owned() });
            }
            bytes => bytes.map_err(told)?,
        };
        let mut best = None;
        for (place, bytes) in (0..).zip(bytes.chunks(PLACE)) {
            if let Some(count) = read(&path, magic, bytes)?
                && best.is_none_or(|(_, most)| most <= count)
            {
                best = Some((place, count));
            }
        }
        let (place, count) = best.ok_or_else(|| {
            StoreError::damaged(path.display().to_string(), "neither of its two places is as it was written")
        })?;
        let file = OpenOptions::new().write(true).open(&path).map_err(told)?;
        Ok(Self { path, file, magic, count, next: 1 - place })
    }

    fn create(path: PathBuf, magic: &'static [u8; 6]) -> io::Result<Self> {
        // All of it is there before its name is, or a crash would leave a mark that nobody can read.
        let made = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&made)?;
        file.write_all(&[place(magic, 0), place(magic, 0)].concat())?;
        file.sync_all()?;
        fs::rename(&made, &path)?;
        path.parent().map_or(Ok(()), super::sync_dir)?;
        Ok(Self { path, file, magic, count: 0, next: 0 })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns once the count outlives a power loss.
    pub(super) fn set(&mut self, count: u64) -> Result<(), StoreError> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.next * PLACE as u64))?;
            self.file.write_all(&place(self.magic, count))?;
            self.file.sync_data()
        };
        write().map_err(|error| StoreError::io(&self.path, &error))?;
        (self.count, self.next) = (count, 1 - self.next);
        Ok(())
    }
}

fn place(magic: &[u8; 6], count: u64) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&[VERSION, 0]);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(PLACE, 0);
    bytes
}

/// The count at a place; `None` where it is torn.
fn read(path: &Path, magic: &[u8; 6], bytes: &[u8]) -> Result<Option<u64>, StoreError> {
    let (Some(covered), Some(checksum)) = (bytes.get(..16), bytes.get(16..20)) else { return Ok(None) };
    if !covered.starts_with(magic) || crc32c::crc32c(covered).to_le_bytes() != checksum {
        return Ok(None);
    }
    if covered[6] > VERSION {
        let place = path.display().to_string();
        return Err(StoreError::Newer { place, found: covered[6].into(), known: VERSION.into() });
    }
    Ok(Some(u64::from_le_bytes(covered[8..].try_into().expect("8 bytes"))))
}
