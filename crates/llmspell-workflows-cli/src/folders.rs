//! Folders given in place of files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Exit, Failure};

/// The definitions among `given`: files as they are, and of folders every file in them, at any depth, that looks like
/// one.
///
/// # Errors
/// A folder cannot be read, or has none.
pub(crate) fn definitions(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    expand(given, "workflow", &|name| {
        // JSON in a folder is mostly data.
        [".yaml", ".yml"].iter().any(|end| name.ends_with(end)) && !is_test(name)
    })
}

/// The tests among `given`, likewise.
///
/// # Errors
/// The same.
pub(crate) fn tests(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    expand(given, "test", &is_test)
}

fn is_test(name: &str) -> bool {
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

fn expand(given: &[PathBuf], noun: &str, is_one: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        walk(path, is_one, &mut files)?;
        if files.len() == before {
            let message = format!("there is no {noun} in the folder `{}`", path.display());
            return Err(Failure::new(Exit::NotFound, "nothing_found", message));
        }
    }
    Ok(files)
}

/// Hidden folders are left out; links to folders are not followed, so that it ends.
fn walk(folder: &Path, is_one: &dyn Fn(&str) -> bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::file("read", folder, &error);
    let mut entries: Vec<_> = fs::read_dir(folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && !name.starts_with('.') {
            walk(&entry.path(), is_one, files)?;
        } else if !kind.is_dir() && is_one(&name) && !is_special(&entry.path()) {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Whether something is there that is no file, such as a pipe, which would be waited for without an end. A link that
/// leads nowhere is not: reading it says so.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}
