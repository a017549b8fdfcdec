//! Atomic replacement of files.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Atomically replaces the content of `file` with `text`: readers see the old or the new text,
/// never a mix.
///
/// The text is written to a temporary file beside `file`, which is then renamed. Permissions are
/// kept, and symbolic links are preserved.
///
/// # Errors
/// Returns an error if the temporary file cannot be written or renamed; `file` is then unchanged.
pub(crate) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(file)?;
    let permissions = fs::metadata(&target)?.permissions();
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let replaced = write(&temporary, text, permissions).and_then(|()| fs::rename(&temporary, &target));
    if replaced.is_err() {
        // Ignore the error: the file may not exist, and a leftover file can be recognized by its name.
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

fn write(file: &Path, text: &str, permissions: fs::Permissions) -> io::Result<()> {
    let mut file = File::create_new(file)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(permissions)?;
    file.sync_all()
}
