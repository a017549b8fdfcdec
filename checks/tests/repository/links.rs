//! Links between pages resolve, and every page is linked.

use std::path::Path;

use crate::support::{assert_none, files, root, text};

#[test]
fn every_link_resolves() {
    let mut wrong = Vec::new();
    for page in files("", ".md") {
        let text = text(&page);
        let folder = root().join(&page).parent().unwrap().to_owned();
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if path.is_empty() { root().join(&page) } else { folder.join(path) };
            if !file.exists() {
                wrong.push(format!("{page}: {target}"));
            } else if !anchor.is_empty() && !has_heading(&file, anchor) {
                wrong.push(format!("{page}: {target}: no such heading"));
            }
        }
    }
    assert_none(&wrong, "broken links");
}

/// Returns the targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // If the line is split at backticks, every second piece is code.
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| target.to_owned()));
    }
    found
}

fn has_heading(file: &Path, anchor: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        kept.collect::<String>().replace(' ', "-") == anchor
    })
}

#[test]
fn links_inside_code_are_ignored() {
    let text = "a [b](c.md) and [`d`](e.md#f)\n`[x](y)`\n```\n[x](z)\n```\n";
    assert_eq!(links(text), ["c.md", "e.md#f"]);
}

#[test]
fn every_page_is_linked() {
    let all: String = files("", ".md").iter().map(|page| text(page)).collect();
    let links = links(&all).join("\n");
    let unlinked = files("docs", ".md").into_iter().filter(|page| !links.contains(page.rsplit('/').next().unwrap()));
    assert_none(&unlinked.collect::<Vec<_>>(), "pages without a link to them");
}
