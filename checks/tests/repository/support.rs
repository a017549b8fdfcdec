//! Access to the files of this repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the root folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Reads the file at `path`, relative to the root.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns all files below `folder` whose name ends with `ending`, as sorted paths relative to the root, with `/`.
///
/// Skips `target` and hidden folders except `.ci`.
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

/// Fails if there are problems, and lists all of them.
pub(crate) fn assert_none(problems: &[String], title: &str) {
    assert!(problems.is_empty(), "{title}:\n  {}", problems.join("\n  "));
}

/// Asserts that the page at `path` equals `expected`; with `UPDATE_DOCS=1`, writes it first.
pub(crate) fn assert_generated(path: &str, expected: &str) {
    let target = root().join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&target, expected).unwrap();
    }
    let actual = fs::read_to_string(&target).unwrap_or_default();
    assert!(actual == expected, "{path} is out of date: run `UPDATE_DOCS=1 cargo test -p llmspell-workflows-checks`");
}
