//! A step kind is defined in one place. For an existing leaf and an existing composite, this test
//! counts the other places that name the kind.

use crate::support::{assert_none, files, text};

/// An existing kind: the words that name it in code, its own files, and the maximum number of other
/// lines that name it.
struct Kind {
    words: &'static [&'static str],
    own: &'static [&'static str],
    places_max: usize,
}

const SLEEP: Kind =
    Kind { words: &["Sleep", "SLEEP", "mod sleep;"], own: &["leaves/sleep.rs", "kinds/sleep.rs"], places_max: 8 };

const SWITCH: Kind = Kind {
    words: &["Switch", "SWITCH", "mod switch;", "switch(inner"],
    own: &["patterns/choice.rs", "kinds/switch.rs"],
    places_max: 12,
};

/// The folders that may need changes for a new kind. Tests and examples that merely use a kind are
/// not included.
const FOLDERS: [&str; 9] = [
    "crates/llmspell-workflows-basic/src",
    "crates/llmspell-workflows-basic/tests/engine/support",
    "crates/llmspell-workflows-definition/src",
    "crates/llmspell-workflows-hooks/src",
    "crates/llmspell-workflows-state/src",
    "crates/llmspell-workflows-tools/src",
    "crates/llmspell-workflows-advanced/src",
    "crates/llmspell-workflows-cli/src",
    "crates/llmspell-workflows-testing/src/generate",
];

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn places(kind: &Kind) -> Vec<String> {
    let paths = FOLDERS.iter().flat_map(|folder| files(folder, ".rs"));
    let others = paths.filter(|path| !kind.own.iter().any(|own| path.ends_with(own)));
    let lines = others.flat_map(|path| {
        let text = text(&path);
        let naming = text.lines().enumerate().filter(|(_, line)| {
            !line.trim_start().starts_with("//") && kind.words.iter().any(|word| has_word(line, word))
        });
        naming.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    });
    lines.collect()
}

#[test]
fn step_kinds_are_named_in_few_places() {
    for (name, kind) in [("sleep", SLEEP), ("switch", SWITCH)] {
        let places = places(&kind);
        // The kind's variant, row and plan name the kind, so there are at least three places.
        assert!(places.len() >= 3, "{name} is named in {places:?}");
        let too_many = if places.len() > kind.places_max { places } else { Vec::new() };
        assert_none(&too_many, &format!("more than {} lines outside its own files name `{name}`", kind.places_max));
    }
}
