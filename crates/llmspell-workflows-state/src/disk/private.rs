use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Returns options for creating a store's files so that only their owner can read and write
/// them, regardless of the process's umask.
#[must_use]
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a store's folder and any missing parents. Only their owner can access the new folders.
///
/// # Errors
/// Returns an error if the operating system reports one.
pub fn create_private_folders(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Replaces the content of a store's file. Only the owner can read and write a new file.
///
/// # Errors
/// Returns an error if the operating system reports one.
pub fn write_private_file(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    private_file().write(true).create(true).truncate(true).open(path)?.write_all(content.as_ref())
}
