//! `docs/language` describes every step type and every field of the dialect.
//!
//! The field tables in its pages are generated from the reader's tables; `UPDATE_DOCS=1 cargo
//! test` writes them. A test checks that each default value in them results in the same
//! definition as omitting the field.

mod defaults;
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    dialect::{
        CASE, COMMON, CUSTOM_NAME, DEFAULTS, Field, INPUT, MEMBER, MIGRATION, RANGE, RETRY, ROOT, TIMEOUTS, TRANSITION,
        TRIGGER, VALIDATOR,
    },
    kinds::{KINDS, Kind},
};

/// Field tables for everything except step types, by the name in the marker `<!-- fields NAME -->`.
const TABLES: &[(&str, &[Field])] = &[
    ("definition", ROOT),
    ("common", COMMON),
    ("defaults", DEFAULTS),
    ("branch", MEMBER),
    ("retry", RETRY),
    ("case", CASE),
    ("transition", TRANSITION),
    ("range", RANGE),
    ("input", INPUT),
    ("trigger", TRIGGER),
    ("timeouts", TIMEOUTS),
    ("migration", MIGRATION),
    ("validator", VALIDATOR),
    ("custom", CUSTOM_NAME),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/language")
}

/// Returns the pages of the reference and their text, by path relative to `docs/language`.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for (prefix, folder) in [("", folder()), ("steps/", folder().join("steps"))] {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                pages.insert(format!("{prefix}{name}"), fs::read_to_string(path).unwrap());
            }
        }
    }
    pages
}

fn supported() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(|kind| kind.read.is_some())
}

/// Returns the generated part for the marker `name` on the page at `path`; `None` if there is no such part.
fn part(path: &str, name: &str) -> Option<String> {
    let kind = path.strip_prefix("steps/").and_then(|page| page.strip_suffix(".md"));
    match name {
        "fields" => {
            let kind = supported().find(|known| Some(known.name) == kind)?;
            Some(format!("{}\n{}", tables::notation(kind), tables::fields(kind.name, kind.fields)))
        }
        "types" => Some(tables::types(supported())),
        "unsupported" => Some(tables::unsupported()),
        _ => {
            let name = name.strip_prefix("fields ")?;
            let (_, table) = TABLES.iter().find(|(known, _)| *known == name)?;
            Some(tables::fields(name, table))
        }
    }
}

/// Returns the page with its generated parts replaced, and the names of these parts.
fn generated(path: &str, text: &str) -> (String, Vec<String>) {
    let (mut result, mut names) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        result += &format!("{line}\n");
        let Some(name) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        result += &part(path, name).unwrap_or_else(|| panic!("{path}: nothing can be generated for `{line}`"));
        assert!(lines.any(|line| line == "<!-- end -->"), "{path}: `{line}` has no end marker");
        result += "<!-- end -->\n";
        names.push(name.to_owned());
    }
    (result, names)
}

#[test]
fn step_types_and_pages_correspond_one_to_one() {
    let pages = pages();
    let found = pages.keys().filter_map(|path| path.strip_prefix("steps/")).filter(|name| *name != "README.md");
    let found: BTreeSet<_> = found.map(str::to_owned).collect();
    let expected: BTreeSet<_> = supported().map(|kind| format!("{}.md", kind.name)).collect();
    assert_eq!(found, expected, "the pages in docs/language/steps do not match the step types");
}

#[test]
fn all_step_type_pages_have_the_same_sections() {
    for (path, text) in pages().iter().filter(|(path, _)| path.starts_with("steps/") && *path != "steps/README.md") {
        let mut headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        for section in ["Output", "Scope", "When a run resumes", "Errors", "Example"] {
            let found = headings.any(|heading| heading.trim_end_matches('s') == section.trim_end_matches('s'));
            assert!(found, "docs/language/{path} lacks the section `{section}`, or has it in another place");
        }
    }
}

#[test]
fn field_tables_are_up_to_date_and_complete() {
    let mut all: Vec<String> = Vec::new();
    for (path, text) in pages() {
        let (expected, names) = generated(&path, &text);
        if path.starts_with("steps/") && path != "steps/README.md" {
            assert!(names.iter().any(|name| name == "fields"), "docs/language/{path} has no `<!-- fields -->`");
        }
        all.extend(names.into_iter().filter(|name| name != "fields"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(folder().join(&path), &expected).unwrap();
            continue;
        }
        assert!(text == expected, "docs/language/{path} is out of date: run the tests with UPDATE_DOCS=1");
    }
    all.sort();
    let tables = TABLES.iter().map(|(name, _)| format!("fields {name}"));
    let mut expected: Vec<_> = tables.chain(["types".to_owned(), "unsupported".to_owned()]).collect();
    expected.sort();
    assert_eq!(all, expected, "each of these parts is on exactly one page of docs/language");
}
