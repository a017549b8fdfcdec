//! Validates broken workflows as new users write them, and compares the messages with golden files.
//!
//! `UPDATE_GOLDEN=1` updates the golden files beside the workflows in `broken`.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::Sandbox;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authoring/broken");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension != "txt"));
    files.sort();
    files
}

#[test]
fn messages_for_broken_workflows_match_the_golden_files() {
    let files = files();
    assert!(files.len() >= 44, "only {} broken workflows", files.len());
    let sandbox = Sandbox::new();
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy();
        sandbox.write(&name, &fs::read_to_string(&path).unwrap());
        let ran = sandbox.run(&["validate", &name]);
        assert_eq!((ran.code, ran.err.as_str()), (3, ""), "{name}: {}", ran.out);
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &ran.out).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != ran.out {
            wrong.push(format!("{}:\n{}", golden.display(), ran.out));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The part of each file that the first message must mark; the cause of these errors is easily
/// misidentified.
const MARKED: &[(&str, usize, &str)] = &[
    ("backslash.yaml", 5, "\\d"),
    ("default-yes.yaml", 3, "yes"),
    ("duplicate-ids.yaml", 11, "greet"),
    ("indentation.yaml", 5, "command: echo hello"),
    ("missing-colon.yaml", 4, "type shell"),
    ("missing-dash-of-second-step.yaml", 7, "id: part"),
    ("nested-double-quotes.yaml", 5, "\""),
    ("run-for-command.yaml", 5, "run"),
    ("shell-default.yaml", 6, "${CI:-no}"),
    ("sizes.yaml", 2, "4x"),
    ("template-without-quotes.yaml", 8, "{{ who }}"),
    ("unclosed-bracket.yaml", 2, "["),
    ("unclosed-double-quote.yaml", 5, "\"echo hello"),
    ("unclosed-quote-before-another.yaml", 5, "\"echo hello"),
];

#[test]
fn first_message_marks_the_cause() {
    let sandbox = Sandbox::new();
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy();
        let Some((_, line, part)) = MARKED.iter().find(|(marked, ..)| *marked == name) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        sandbox.write(&name, &text);
        let ran = sandbox.run(&["validate", &name, "-o", "json"]).json();
        let first = &ran["files"][0]["diagnostics"][0];
        let (column, end) =
            (first["column"].as_u64().unwrap() as usize, first["end_column"].as_u64().unwrap() as usize);
        let written: String = text.lines().nth(line - 1).unwrap().chars().skip(column - 1).take(end - column).collect();
        assert_eq!((first["line"].as_u64(), written.as_str()), (Some(*line as u64), *part), "{name}");
    }
    let known: Vec<_> = files().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(MARKED.iter().all(|(name, ..)| known.iter().any(|file| file == name)));
}
