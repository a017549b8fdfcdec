//! Files written as a whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Puts `text` in place of what is in `file`: whoever reads it, and whatever fails, finds the old text or the new one.
///
/// The text goes to a new file beside it, which takes its place. Permissions are kept, and a link stays a link.
///
/// # Errors
/// The new file cannot be written or put in place; nothing has changed.
pub(crate) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let place = fs::canonicalize(file)?;
    let permissions = fs::metadata(&place)?.permissions();
    let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = place.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write(&beside, text, permissions).and_then(|()| fs::rename(&beside, &place));
    if written.is_err() {
        // It may not have been made; what is left says by its name what it is.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write(file: &Path, text: &str, permissions: fs::Permissions) -> io::Result<()> {
    let mut file = File::create_new(file)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(permissions)?;
    file.sync_all()
}
