use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::record::FormatError;

/// Why a store cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system reported an error.
    #[error("cannot use the store {}: {message}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's message.
        message: String,
    },
    /// Another process has the store open, and the store allows only one process.
    #[error(
        "cannot open the store {}: it is in use by {holder}, and a sled store allows only one process; end that process, \
         or use a SQLite store, which several processes can share",
        path.display()
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// The process that has the store open.
        holder: String,
    },
    /// Other processes kept the store locked for too long.
    #[error(
        "cannot use the store {}: other processes kept it locked for {waited_ms} ms; look for a stopped or hung \
         process",
        path.display()
    )]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long this process waited.
        waited_ms: u64,
    },
    /// A later version of this program wrote the data.
    #[error(
        "cannot read {location}: it has format {found}, but this program reads formats up to {known}; use a later \
         version"
    )]
    Newer {
        /// The data that was read.
        location: String,
        /// The format that was found.
        found: u64,
        /// The latest format that this program reads.
        known: u64,
    },
    /// A record has a different format version.
    #[error("cannot read {location}: {error}")]
    Format {
        /// The data that was read.
        location: String,
        /// Why the record cannot be read.
        error: FormatError,
    },
    /// The stored data is damaged.
    #[error("cannot read {location}: it is damaged: {message}; restore the store from a backup")]
    Damaged {
        /// The data that was read.
        location: String,
        /// A description of the damage.
        message: String,
    },
    /// The store was created earlier and no longer exists.
    #[error("cannot open the store {}: it is missing or empty, but it was in use before; restore it from a backup", path.display())]
    Lost {
        /// The path of the store.
        path: PathBuf,
    },
    /// The path contains something other than a store.
    #[error("cannot open the store {}: {message}; choose another path, or move it away", path.display())]
    Foreign {
        /// The path of the store.
        path: PathBuf,
        /// The content at the path.
        message: String,
    },
    /// An earlier write failed, and an unknown part of its data was stored.
    #[error("cannot write to the store {}: an earlier write failed ({message}); reopen the store", path.display())]
    Broken {
        /// The path of the store.
        path: PathBuf,
        /// Why the earlier write failed.
        message: String,
    },
    /// The query is invalid.
    #[error("cannot list runs: {0}")]
    Query(String),
    /// The message id was already used for a different message.
    #[error(
        "cannot post to run {run}: the message id {message_id:?} was already used for another message; use a new id"
    )]
    MessageIdTaken {
        /// The receiving run.
        run: Uuid,
        /// The id.
        message_id: String,
    },
    /// No stored value has this hash.
    #[error("cannot share the value {hash}: no stored value has this hash")]
    NoBlob {
        /// The hash.
        hash: String,
    },
}

impl StoreError {
    /// Returns the stable error code, which has a page under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if self.is_other_format() { "record_format" } else { "store_failed" }
    }

    /// Returns whether a retry may succeed once another process releases the store.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Busy { .. })
    }

    /// Returns whether data in the store is lost or damaged.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Lost { .. })
    }

    /// Creates the error for damaged data at `location`.
    pub(crate) fn damaged(location: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Damaged { location: location.into(), message: message.into() }
    }

    /// Returns whether the data was written by another version of this program.
    #[must_use]
    pub fn is_other_format(&self) -> bool {
        matches!(self, Self::Format { .. } | Self::Newer { .. })
    }

    /// Creates the error for an unreadable record at `location`.
    pub(crate) fn unreadable(location: impl Into<String>, error: FormatError) -> Self {
        match error {
            FormatError::Unreadable(message) => Self::damaged(location, format!("a record cannot be read: {message}")),
            error @ (FormatError::Earlier { .. } | FormatError::Later { .. }) => {
                Self::Format { location: location.into(), error }
            }
        }
    }

    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), message: error.to_string() }
    }
}
