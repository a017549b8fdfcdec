//! Large values, each in its own file. A file is written and synced before anything refers to it, and is never changed.
//!
//! A crash before the reference is stored leaves at most an unneeded file.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{
    disk::{create_private_folders, private_file},
    store::StoreError,
};

/// The length of a name in bytes.
pub(super) const NAME: usize = 28;

/// A file name, consisting of an id and the value's length and CRC-32C, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(pub(super) [u8; NAME]);

#[derive(Debug)]
pub(super) struct Values {
    folder: PathBuf,
}

impl Values {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        create_private_folders(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Writes a value; it survives a power loss after the next [`Self::sync_names`].
    pub(super) fn write(&self, value: &[u8]) -> Result<Name, StoreError> {
        let name = Name::new(value);
        let path = self.path(&name);
        let write = || {
            let mut file = private_file().write(true).create_new(true).open(&path)?;
            file.write_all(value)?;
            file.sync_all()
        };
        write().map_err(|error| StoreError::io(&path, &error))?;
        Ok(name)
    }

    /// Syncs the folder so that the names of its files survive a power loss.
    pub(super) fn sync_names(&self) -> Result<(), StoreError> {
        super::sync_dir(&self.folder).map_err(|error| StoreError::io(&self.folder, &error))
    }

    pub(super) fn read(&self, name: &Name) -> Result<Vec<u8>, StoreError> {
        let path = self.path(name);
        let damaged = |message: &str| Err(StoreError::damaged(path.display().to_string(), message));
        match fs::read(&path) {
            Ok(value) if name.matches(&value) => Ok(value),
            Ok(_) => damaged("its length or checksum does not match"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => damaged("the file is missing"),
            Err(error) => Err(StoreError::io(&path, &error)),
        }
    }

    pub(super) fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(&path, &error)),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(name.id().simple().to_string())
    }
}

impl Name {
    fn new(value: &[u8]) -> Self {
        let mut bytes = [0; NAME];
        bytes[..16].copy_from_slice(Uuid::now_v7().as_bytes());
        bytes[16..24].copy_from_slice(&(value.len() as u64).to_le_bytes());
        bytes[24..].copy_from_slice(&crc32c::crc32c(value).to_le_bytes());
        Self(bytes)
    }

    fn id(&self) -> Uuid {
        Uuid::from_bytes(*self.0.first_chunk().expect("a name is longer than an id"))
    }

    fn matches(&self, value: &[u8]) -> bool {
        self.0[16..24] == (value.len() as u64).to_le_bytes() && self.0[24..] == crc32c::crc32c(value).to_le_bytes()
    }
}
