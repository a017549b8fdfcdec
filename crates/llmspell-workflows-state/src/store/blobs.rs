use std::fmt::{self, Write};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::StoreError;

/// Large values by hash. Each value is stored only once, and is kept as long as it has an owner.
///
/// References are counted by owner, usually a run. An owner that stores a value twice, for example before and after a
/// crash, is counted once, so the count cannot drift.
#[async_trait]
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// Stores bytes for `owner` and returns their hash. The bytes survive a power loss once the
    /// call returns.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put(&self, owner: Uuid, bytes: Vec<u8>) -> Result<String, StoreError>;

    /// Returns the bytes with this hash.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read, or the bytes are damaged.
    async fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Adds an owner of stored bytes.
    ///
    /// # Errors
    /// Returns an error if no stored value has this hash or the store cannot be written.
    async fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError>;

    /// Returns the number of owners of the bytes with this hash.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn owners(&self, hash: &str) -> Result<usize, StoreError>;

    /// Returns the sorted hashes of all values owned by `owner`.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError>;

    /// Removes `owner` from all values that it owns. Also removes the values left without an owner,
    /// and returns their number.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn release(&self, owner: Uuid) -> Result<usize, StoreError>;
}

/// Returns the hash of stored bytes: SHA-256, as 64 hexadecimal digits.
#[must_use]
pub fn blob_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String succeeds");
        text
    })
}

/// Returns `bytes` if they match the hash.
pub(crate) fn checked(location: &str, hash: &str, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    if blob_hash(&bytes) == hash {
        return Ok(bytes);
    }
    Err(StoreError::damaged(format!("the value {hash} in {location}"), "its hash does not match"))
}
