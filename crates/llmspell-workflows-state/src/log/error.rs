use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a log cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The operating system reported an error.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's message.
        message: String,
    },
    /// Synced data is missing or damaged.
    #[error("{} is damaged: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// A description of the damage.
        message: String,
    },
    /// A later version of this program wrote the file.
    #[error("{} is newer than this program: {message}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that was found.
        message: String,
    },
    /// An earlier version of this program wrote the file.
    #[error(
        "{} was written in format {found}, which this version does not read; finish or export its runs with the \
         program that wrote it, or move the folder away to start without them",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The format that was found.
        found: u8,
    },
    /// Another program removed or replaced the file while the log was open.
    #[error("{} was removed or replaced while this process was using it; nothing more is recorded", path.display())]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// The log has been closed.
    #[error("the log has been closed")]
    Closed,
}

impl LogError {
    /// Returns the stable error code, which has a page under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "journal_failed"
    }

    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), message: error.to_string() }
    }

    pub(crate) fn damaged(path: &Path, message: String) -> Self {
        Self::Damaged { path: path.to_owned(), message }
    }
}
