use std::fmt::{self, Write};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::StoreError;

/// Large values, by hash, each kept once and as long as anyone owns it.
///
/// References are counted by owner, a run as a rule: one that puts a value twice, before a crash and after it, owns it
/// once, so that the count cannot drift.
#[async_trait]
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// Keeps bytes for `owner`; their hash. They outlive a power loss when the call returns.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn put(&self, owner: Uuid, bytes: Vec<u8>) -> Result<String, StoreError>;

    /// The bytes of this hash.
    ///
    /// # Errors
    /// The store cannot be read, or they are not those that were put.
    async fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Makes `owner` one more owner of bytes that are kept.
    ///
    /// # Errors
    /// There are none of this hash, or the store cannot be written.
    async fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError>;

    /// How many own the bytes of this hash.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn owners(&self, hash: &str) -> Result<usize, StoreError>;

    /// The hashes of all that `owner` owns, sorted.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError>;

    /// Takes from `owner` all that it owns, and forgets what nobody owns any more; how many values were forgotten.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn release(&self, owner: Uuid) -> Result<usize, StoreError>;
}

/// The hash by which bytes are kept: SHA-256, 64 hexadecimal digits.
#[must_use]
pub fn blob_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// `bytes`, if they are those of the hash.
pub(crate) fn checked(place: &str, hash: &str, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    if blob_hash(&bytes) == hash {
        return Ok(bytes);
    }
    Err(StoreError::damaged(format!("the value {hash} in {place}"), "its hash does not fit"))
}
