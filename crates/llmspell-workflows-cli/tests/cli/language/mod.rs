//! The pages in `docs/language` and `docs/guides` match the program's behavior.
//!
//! The first words after the opening fence of a code block define the check:
//!
//! | block | check |
//! |---|---|
//! | `yaml run` | a definition that is valid without warnings, and whose run completes |
//! | `yaml fail` | the same, but the run fails |
//! | `yaml host` | a definition whose only problems are activities that a host program has to register |
//! | `yaml validate` | a definition that is valid without warnings; it needs a network, a signal or a time to run |
//! | `yaml invalid` | a definition with errors |
//! | `yaml test`, `toml file` | a file for the commands on the page |
//! | `yaml part` | fields of a step or of a definition |
//! | `json output`, `json error` | the output or the error of the preceding run; errors may show only some fields |
//! | `json steps` | the status of some steps of the preceding run, with the code of the error or the skip reason |
//! | `text diagnostics` | the output of `validate` for the preceding definition |
//! | `console` | commands and their output |
//!
//! A definition begins with a comment that contains its file name or the command that runs it;
//! otherwise it is called `flow.yaml`. All files of a page are in one folder, where its commands
//! run. `…` stands for any text. After `NEW-RULE`, the check must fail, because the mark stands for
//! the behavior of the next version.

mod blocks;
mod check;

use std::{
    fs,
    path::{Path, PathBuf},
};

use blocks::blocks;
use check::PageCheck;

fn pages(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(folder).canonicalize().unwrap();
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.sort();
    assert!(!pages.is_empty());
    pages
}

/// Checks all pages in `folder`, and reports all differences together.
fn check_pages(folder: &str) {
    let mut wrong = Vec::new();
    for path in pages(folder) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut page = PageCheck::new();
        for group in blocks(&text) {
            if let Err(message) = page.check_group(&group) {
                wrong.push(format!("{folder}/{name}:{}: {message}", group[0].line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn language_pages_match_the_program() {
    check_pages("language");
}

#[test]
fn step_type_pages_match_the_program() {
    check_pages("language/steps");
}

#[test]
fn guides_match_the_program() {
    check_pages("guides");
}

#[test]
fn every_step_type_page_has_an_example() {
    for path in pages("language/steps") {
        let text = fs::read_to_string(&path).unwrap();
        let is_example = |kind: &str| matches!(kind, "yaml run" | "yaml fail" | "yaml validate" | "yaml host");
        let has_example = blocks(&text).iter().any(|group| is_example(&group[0].kind));
        assert!(has_example || path.ends_with("README.md"), "{} has no example", path.display());
    }
}
