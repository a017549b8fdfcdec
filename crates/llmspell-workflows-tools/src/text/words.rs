use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_segmentation::UnicodeSegmentation;

/// English words that do not indicate the topic of a text.
const STOP_WORDS: &str = "
a about above after again against all almost also although always am among an and any anybody anyone anything are as at
back be became because been before being below between both but by came can cannot come could did do does doing done
down during each either else ever every everybody everyone everything few for from further gave get gets give go goes
going gone got had has have having he her here hers herself him himself his how however i if in instead into is it its
itself just know known last later least less let like likely made make makes many may maybe me might mine more most much
must my myself near neither never no nobody none nor not nothing now of off often on once one only onto or other others
our ours ourselves out over own per perhaps quite rather really said same saw say says see seem seemed seems several
shall she should since so some somebody someone something still such take taken than that the their theirs them
themselves then there therefore these they thing things this those though through thus to together too took toward
towards two under until up upon us use used uses using very was way we well went were what whatever when where whether
which while who whole whom whose why will with within without would yes yet you your yours yourself yourselves
ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't he'd he'll he's i'd i'll i'm i've isn't it'll
it's let's she'd she'll she's shouldn't that's there's they'd they'll they're they've wasn't we'd we'll we're we've
weren't what's who's won't wouldn't you'd you'll you're you've";

static STOP_SET: LazyLock<HashSet<&'static str>> = LazyLock::new(|| STOP_WORDS.split_whitespace().collect());

/// Returns whether `word`, in lower case, is an English function word.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_SET.contains(word)
}

/// Returns the meaningful words of `text`, in lower case and in order, without function words, bare numbers and single
/// letters.
pub(super) fn meaningful(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().map(normalize).filter(|word| is_meaningful(word))
}

/// Converts `word` to lower case, with a straight apostrophe.
pub(super) fn normalize(word: &str) -> String {
    word.to_lowercase().replace('’', "'")
}

/// Returns whether `word`, in lower case, indicates the topic of a text.
pub(super) fn is_meaningful(word: &str) -> bool {
    let is_single_letter = word.is_ascii() && word.len() < 2;
    !is_single_letter && word.chars().any(char::is_alphabetic) && !is_stop_word(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_words_and_numbers_are_omitted() {
        let words: Vec<_> = meaningful("The cat didn’t see 42 Mice, x y; it's a Straße").collect();
        assert_eq!(words, ["cat", "mice", "straße"]);
    }
}
