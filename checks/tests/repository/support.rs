//! The files of this repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The text of the file at `path`, seen from the root.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below `folder` whose name ends with `ending`, as paths from the root with `/`, sorted.
///
/// What builds and runs leave behind is no part of the repository.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let mut paths: Vec<_> = found
        .iter()
        .map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"))
        .filter(|path| path.ends_with(ending))
        .collect();
    paths.sort();
    paths
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            let name = name.to_string_lossy();
            if name != "target" && (!name.starts_with('.') || name == ".ci") {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Fails with all of `wrong` at once.
pub(crate) fn none(wrong: &[String], what: &str) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

/// Compares the generated page at `path` with `made`, or writes it where `UPDATE_DOCS` is set.
pub(crate) fn generated(path: &str, made: &str) {
    let target = root().join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&target, made).unwrap();
    }
    let there = fs::read_to_string(&target).unwrap_or_default();
    assert!(there == made, "{path} is not up to date: run `UPDATE_DOCS=1 cargo test -p llmspell-workflows-checks`");
}
