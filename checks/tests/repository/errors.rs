//! Every error code has a page, and every page describes an existing code.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    coded::errors_without_code,
    codes::codes,
    support::{assert_generated, assert_none, files, text},
};

const FOLDER: &str = "docs/errors/";

fn pages() -> BTreeSet<String> {
    let names = files(FOLDER, ".md").into_iter().map(|path| path[FOLDER.len()..].trim_end_matches(".md").to_owned());
    names.filter(|name| name != "README").collect()
}

#[test]
fn every_code_is_a_literal() {
    assert_none(&codes().unreadable, "codes that are not literals");
}

#[test]
fn error_pages_match_the_codes() {
    let (codes, pages) = (codes().places, pages());
    let mut wrong: Vec<_> = codes
        .iter()
        .filter(|(code, _)| !pages.contains(*code))
        .map(|(code, places)| format!("{code} has no page; it is used in {places:?}"))
        .collect();
    wrong.extend(
        pages
            .iter()
            .filter(|page| !codes.contains_key(*page))
            .map(|page| format!("{page}.md documents an unknown code")),
    );
    assert_none(&wrong, "error pages");
}

/// Codes of library errors that the command line also uses itself, each with a reason.
const ALSO_IN_THE_COMMAND_LINE: [(&str, &str); 4] = [
    ("file_failed", "it reads and writes files itself"),
    ("paused", "a paused run is a result of the executor, not an error"),
    ("stuck", "a stuck run is a result of the executor, not an error"),
    ("waiting", "a waiting run is a result of the executor, not an error"),
];

#[test]
fn command_line_does_not_repeat_codes_of_library_errors() {
    let codes = codes();
    let mut wrong = Vec::new();
    for (code, _) in
        codes.returned.iter().filter(|(code, _)| !ALSO_IN_THE_COMMAND_LINE.iter().any(|(name, _)| name == code))
    {
        let in_cli = codes.places[code].iter().filter(|path| path.contains("/llmspell-workflows-cli/"));
        wrong.extend(in_cli.map(|path| format!("{path} repeats `{code}`, which the library error returns")));
    }
    assert!(codes.returned.len() > 30, "only {} codes were found in methods named `code`", codes.returned.len());
    assert_none(&wrong, "codes of library errors in the command line");
}

#[test]
fn every_public_error_has_a_code() {
    assert_none(&errors_without_code(), "public errors without a code");
}

#[test]
fn every_error_page_has_the_required_sections() {
    let mut wrong = Vec::new();
    for code in pages() {
        let text = text(&format!("{FOLDER}{code}.md"));
        if !text.starts_with(&format!("# `{code}`\n\n"))
            || !text.contains("\n## Why\n\n")
            || !text.contains("\n## What to do\n\n")
        {
            wrong.push(format!("{code}.md needs `# \\`{code}\\``, a sentence, `## Why` and `## What to do`"));
        }
    }
    assert_none(&wrong, "error pages with missing sections");
}

#[test]
fn index_of_error_pages_is_up_to_date() {
    let mut index = "# Error codes\n\nGenerated from the pages in this directory. The meaning of a code never changes.\n\n| code | meaning |\n|---|---|\n".to_owned();
    for code in pages() {
        let text = text(&format!("{FOLDER}{code}.md"));
        let meaning = text.split("\n\n").nth(1).unwrap_or_default().replace('\n', " ");
        writeln!(index, "| [`{code}`]({code}.md) | {meaning} |").unwrap();
    }
    assert_generated(&format!("{FOLDER}README.md"), &index);
}
