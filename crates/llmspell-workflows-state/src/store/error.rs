use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::record::FormatError;

/// Why a store cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused.
    #[error("use the store {}: {message}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// Another process has it, and only one can.
    #[error(
        "open the store {}: it is in use by {holder}, and a store on sled is for one process; end that process, or use a \
         store on SQLite, which several share",
        path.display()
    )]
    Held {
        /// Which folder.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// Other processes kept it locked for longer than anyone should.
    #[error(
        "use the store {}: other processes have kept it locked for {waited_ms} ms; look for one that is stopped or hangs",
        path.display()
    )]
    Busy {
        /// Which file.
        path: PathBuf,
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// A later version of this program wrote it.
    #[error("read {place}: it has format {found} and this program knows formats up to {known}; use a later version")]
    Newer {
        /// What was read.
        place: String,
        /// The format that it has.
        found: u64,
        /// The latest format that this program knows.
        known: u64,
    },
    /// A record in it is of another version of the format.
    #[error("read {place}: {error}")]
    Format {
        /// What was read.
        place: String,
        /// Why.
        error: FormatError,
    },
    /// It is not as it was written.
    #[error("read {place}: it is damaged: {message}; restore the store from a backup")]
    Damaged {
        /// What was read.
        place: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something else is there.
    #[error("open the store {}: {message}; name another place, or move it away", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What is there.
        message: String,
    },
    /// An earlier write failed, and nobody knows what of it is kept.
    #[error("write to the store {}: an earlier write failed ({message}); open it again", path.display())]
    Broken {
        /// Where.
        path: PathBuf,
        /// Why the earlier one failed.
        message: String,
    },
    /// What was asked makes no sense.
    #[error("list runs: {0}")]
    Query(String),
    /// The id of a message stands for another message already.
    #[error(
        "post to the run {run}: the message id {message_id:?} was used for another message; use an id for one only"
    )]
    MessageIdTaken {
        /// To whom.
        run: Uuid,
        /// The id.
        message_id: String,
    },
    /// Nobody keeps such a value.
    #[error("keep the value {hash}: there is none of this hash")]
    NoBlob {
        /// Its hash.
        hash: String,
    },
}

impl StoreError {
    /// The stable code, which has a page.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if self.is_other_format() { "record_format" } else { "store_failed" }
    }

    /// Whether trying again may help: another process may let go of the store.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::Busy { .. })
    }

    /// What is read at `place` is not what was written.
    pub(crate) fn damaged(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Damaged { place: place.into(), message: message.into() }
    }

    /// Whether another version of this program wrote what cannot be read.
    #[must_use]
    pub fn is_other_format(&self) -> bool {
        matches!(self, Self::Format { .. } | Self::Newer { .. })
    }

    /// A record at `place` cannot be read.
    pub(crate) fn unreadable(place: impl Into<String>, error: FormatError) -> Self {
        match error {
            FormatError::Unreadable(message) => Self::damaged(place, format!("a record cannot be read: {message}")),
            error @ (FormatError::Earlier { .. } | FormatError::Later { .. }) => {
                Self::Format { place: place.into(), error }
            }
        }
    }

    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), message: error.to_string() }
    }
}
