//! The number of synced changes, stored outside the engine in the file `mark`.
//!
//! The file has two slots of 512 bytes, written alternately, so a torn write leaves the other slot
//! intact. Each slot contains six letters for the engine, the folder format version, a zero byte,
//! the count, and the CRC-32C of all of these. Numbers are little-endian.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{disk::private_file, store::StoreError};

/// The folder format version that this code writes.
const VERSION: u8 = 1;

const SLOT: usize = 512;

#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    file: File,
    magic: &'static [u8; 6],
    count: u64,
    /// The next slot to write.
    next: u64,
}

impl Mark {
    /// Opens the mark of `folder`; creates it if it is missing and `has_data` is false.
    pub(super) fn open(folder: &Path, magic: &'static [u8; 6], has_data: bool) -> Result<Self, StoreError> {
        let path = folder.join("mark");
        let io_error = |error: io::Error| StoreError::io(&path, &error);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !has_data => {
                return Self::create(path.clone(), magic).map_err(io_error);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = "it contains data but no `mark` file";
                return Err(StoreError::Foreign { path: folder.to_owned(), message: message.to_owned() });
            }
            bytes => bytes.map_err(io_error)?,
        };
        let mut best = None;
        for (location, bytes) in (0..).zip(bytes.chunks(SLOT)) {
            if let Some(count) = read(&path, magic, bytes)?
                && best.is_none_or(|(_, most)| most <= count)
            {
                best = Some((location, count));
            }
        }
        let (location, count) =
            best.ok_or_else(|| StoreError::damaged(path.display().to_string(), "both of its slots are damaged"))?;
        let file = OpenOptions::new().write(true).open(&path).map_err(io_error)?;
        Ok(Self { path, file, magic, count, next: 1 - location })
    }

    fn create(path: PathBuf, magic: &'static [u8; 6]) -> io::Result<Self> {
        // The file is complete before it is renamed to `mark`, so a crash cannot leave an
        // unreadable mark.
        let temporary = path.with_extension("new");
        let mut file = private_file().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(&[slot(magic, 0), slot(magic, 0)].concat())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        path.parent().map_or(Ok(()), super::sync_dir)?;
        Ok(Self { path, file, magic, count: 0, next: 0 })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Stores the count, which survives a power loss once this returns.
    pub(super) fn set(&mut self, count: u64) -> Result<(), StoreError> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.next * SLOT as u64))?;
            self.file.write_all(&slot(self.magic, count))?;
            self.file.sync_data()
        };
        write().map_err(|error| StoreError::io(&self.path, &error))?;
        (self.count, self.next) = (count, 1 - self.next);
        Ok(())
    }
}

fn slot(magic: &[u8; 6], count: u64) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&[VERSION, 0]);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(SLOT, 0);
    bytes
}

/// Returns the count in a slot, or `None` if the slot is torn.
fn read(path: &Path, magic: &[u8; 6], bytes: &[u8]) -> Result<Option<u64>, StoreError> {
    let (Some(covered), Some(checksum)) = (bytes.get(..16), bytes.get(16..20)) else { return Ok(None) };
    if !covered.starts_with(magic) || crc32c::crc32c(covered).to_le_bytes() != checksum {
        return Ok(None);
    }
    if covered[6] > VERSION {
        let location = path.display().to_string();
        return Err(StoreError::Newer { location, found: covered[6].into(), known: VERSION.into() });
    }
    Ok(Some(u64::from_le_bytes(covered[8..].try_into().expect("8 bytes"))))
}
