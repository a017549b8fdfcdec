//! Source files are short and documented, and contain no unfinished work or machine-specific paths.

use syn::{Attribute, File};

use crate::support::{assert_none, files, text};

/// The maximum number of lines; a longer file should be split.
const LINES_MAX: usize = 400;

fn has_docs(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("doc"))
}

#[test]
fn source_files_are_short() {
    let lines = |path: &String| text(path).lines().count();
    let long = files("", ".rs").into_iter().filter(|path| lines(path) > LINES_MAX);
    let long: Vec<_> =
        long.map(|path| format!("{path}: {} lines, at most {LINES_MAX} are allowed", lines(&path))).collect();
    assert_none(&long, "files that are too long");
}

#[test]
fn crate_and_module_roots_are_documented() {
    let mut wrong = Vec::new();
    for path in files("crates", ".rs") {
        let is_crate = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
        let is_module = path.ends_with("/mod.rs") && path.contains("/src/");
        if !is_crate && !is_module {
            continue;
        }
        let file: File = syn::parse_file(&text(&path)).unwrap();
        let declared = !is_crate && declaration_has_docs(&path);
        if !has_docs(&file.attrs) && !declared {
            wrong.push(path);
        }
    }
    assert_none(&wrong, "crate and module roots without docs");
}

/// Returns whether the declaration `mod name;` of the module at `path` has docs.
fn declaration_has_docs(path: &str) -> bool {
    let folder = path.trim_end_matches("/mod.rs");
    let (around, name) = folder.rsplit_once('/').unwrap();
    let parents = ["mod.rs", "lib.rs", "main.rs"].map(|file| format!("{around}/{file}"));
    let parent = parents.iter().find(|parent| crate::support::root().join(parent).exists()).unwrap();
    let file: File = syn::parse_file(&text(parent)).unwrap();
    file.items
        .iter()
        .any(|item| matches!(item, syn::Item::Mod(module) if module.ident == name && has_docs(&module.attrs)))
}

#[test]
fn sources_contain_no_unfinished_work() {
    let mut wrong = Vec::new();
    let marks = ["TO", "FIX", "XX", "HA"].into_iter().zip(["DO", "ME", "X", "CK"]);
    let marks: Vec<_> = marks.map(|(start, end)| format!("{start}{end}")).collect();
    let stubs = ["todo", "unimplemented"].map(|name| format!("{name}!("));
    for path in files("", ".rs") {
        for (number, line) in text(&path).lines().enumerate() {
            let line = line.trim_start();
            let comment =
                line.starts_with("//").then_some(line).or_else(|| line.split_once(" // ").map(|(_, end)| end));
            let marked =
                comment.is_some_and(|comment| words(comment).any(|word| marks.iter().any(|mark| mark == word)));
            if marked || stubs.iter().any(|stub| line.contains(stub)) {
                wrong.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert_none(&wrong, "unfinished work");
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric() && character != '_')
}

#[test]
fn files_contain_no_machine_specific_paths() {
    let mut wrong = Vec::new();
    let homes = ["home", "Users", "root"].map(|folder| format!("/{folder}/"));
    for ending in [".rs", ".toml", ".md", ".yaml", ".yml", ".json", "run"] {
        for path in files("", ending) {
            for (number, line) in text(&path).lines().enumerate() {
                if homes.iter().any(|home| begins_with(line, home)) {
                    wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert_none(&wrong, "machine-specific paths");
}

/// Returns whether a path in `line` begins with `folder`.
fn begins_with(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric()))
}
