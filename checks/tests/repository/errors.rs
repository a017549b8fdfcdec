//! A page per error code, and a code per page.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    codes::codes,
    support::{files, generated, none, text},
};

const FOLDER: &str = "docs/errors/";

fn pages() -> BTreeSet<String> {
    let names = files(FOLDER, ".md").into_iter().map(|path| path[FOLDER.len()..].trim_end_matches(".md").to_owned());
    names.filter(|name| name != "README").collect()
}

#[test]
fn every_code_can_be_read() {
    none(&codes().unreadable, "codes that are no literals");
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let (codes, pages) = (codes().places, pages());
    let mut wrong: Vec<_> = codes
        .iter()
        .filter(|(code, _)| !pages.contains(*code))
        .map(|(code, places)| format!("{code} has no page, used in {places:?}"))
        .collect();
    wrong.extend(pages.iter().filter(|page| !codes.contains_key(*page)).map(|page| format!("{page}.md is of no code")));
    none(&wrong, "error pages");
}

#[test]
fn every_page_says_what_it_is_and_what_to_do() {
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
    none(&wrong, "pages of another shape");
}

#[test]
fn the_index_is_made_from_the_pages() {
    let mut index = "# Error codes\n\nGenerated from the pages in this directory. The meaning of a code never changes.\n\n| code | meaning |\n|---|---|\n".to_owned();
    for code in pages() {
        let text = text(&format!("{FOLDER}{code}.md"));
        let meaning = text.split("\n\n").nth(1).unwrap_or_default().replace('\n', " ");
        writeln!(index, "| [`{code}`]({code}.md) | {meaning} |").unwrap();
    }
    generated(&format!("{FOLDER}README.md"), &index);
}
