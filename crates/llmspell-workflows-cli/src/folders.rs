//! Expands folder arguments to the files they contain.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Exit, Failure};

/// Returns the definitions in `given`. Files are returned unchanged; a folder is replaced by all
/// YAML files in it, at any depth, except tests.
///
/// # Errors
/// Returns an error if a folder cannot be read or contains no definition.
pub(crate) fn definitions(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    expand(given, "workflow", &|name| {
        // JSON files in a folder are mostly data.
        [".yaml", ".yml"].iter().any(|end| name.ends_with(end)) && !is_test(name)
    })
}

/// Returns the test files in `given`, searching folders as [`definitions`] does.
///
/// # Errors
/// Returns an error if a folder cannot be read or contains no test.
pub(crate) fn tests(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    expand(given, "test", &is_test)
}

fn is_test(name: &str) -> bool {
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

fn expand(given: &[PathBuf], noun: &str, is_match: &dyn Fn(&str) -> bool) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        walk(path, is_match, &mut files)?;
        if files.len() == before {
            let message = format!("no {noun} found in the folder `{}`", path.display());
            return Err(Failure::new(Exit::NotFound, "nothing_found", message));
        }
    }
    Ok(files)
}

/// Collects matching files. Skips hidden folders, and does not follow links to folders, which could form a cycle.
fn walk(folder: &Path, is_match: &dyn Fn(&str) -> bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::file("read", folder, &error);
    let mut entries: Vec<_> = fs::read_dir(folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && !name.starts_with('.') {
            walk(&entry.path(), is_match, files)?;
        } else if !kind.is_dir() && is_match(&name) && !is_special(&entry.path()) {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Returns whether `path` is not a regular file, such as a pipe; reading a pipe could block
/// forever. A dangling link does not count as special, because reading it reports the error.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}
