use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Returns options for files of a store: a file that they create can be read and written only by its owner, whatever
/// the process's file mode mask says.
#[must_use]
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a folder of a store and the missing folders above it; only their owner can look into those that are new.
///
/// # Errors
/// Returns an error if the operating system reports one.
pub fn create_private_folders(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Replaces the content of a file of a store; a new file can be read and written only by its owner.
///
/// # Errors
/// Returns an error if the operating system reports one.
pub fn write_private_file(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    private_file().write(true).create(true).truncate(true).open(path)?.write_all(content.as_ref())
}
