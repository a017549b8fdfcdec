use std::collections::HashMap;
use std::sync::LazyLock;

/// The amount that an intensifier adds to a word's valence, and that a weakener subtracts from it.
const BOOST: f64 = 0.293;
/// The amount that capitals add to a word's valence in a text that is not written entirely in capitals.
const CAPITALS: f64 = 0.733;
/// The factor by which a preceding negation multiplies a valence.
const NEGATION: f64 = -0.74;
/// The factor by which a preceding `never so` or `never this` multiplies a valence.
const NEVER_SO: f64 = 1.25;
/// The weights of the preceding words that affect a word, nearest first.
const CONTEXT: [f64; 3] = [1.0, 0.95, 0.9];
/// The score is about 0.7 if the square of the summed valences equals this value.
const NORMAL_SQUARED: f64 = 15.0;

const INTENSIFIERS: &str = "absolutely amazingly awfully completely considerable considerably decidedly deeply
enormous enormously entirely especially exceptional exceptionally extreme extremely fabulously fully greatly hella highly
hugely incredible incredibly intensely major majorly more most particularly purely quite really remarkably so
substantially thoroughly total totally tremendous tremendously uber unbelievably unusually utter utterly very";
const WEAKENERS: &str =
    "almost barely hardly kinda kindof less little marginal marginally occasional occasionally partly
scarce scarcely slight slightly somewhat sorta sortof";
const WEAKENING_PAIRS: [(&str, &str); 3] = [("kind", "of"), ("sort", "of"), ("just", "enough")];
const NEGATIONS: &str = "aint arent cannot cant couldnt darent didnt doesnt dont hadnt hasnt havent isnt mightnt mustnt
neednt neither never none nope nor not nothing nowhere oughtnt shant shouldnt wasnt werent without wont wouldnt rarely
seldom despite";

static LEXICON: LazyLock<HashMap<String, f64>> =
    LazyLock::new(|| vader_sentiment::LEXICON.iter().map(|(word, valence)| (word.to_lowercase(), *valence)).collect());
static BOOSTERS: LazyLock<HashMap<&'static str, f64>> = LazyLock::new(|| {
    let with = |words: &'static str, boost: f64| words.split_whitespace().map(move |word| (word, boost));
    with(INTENSIFIERS, BOOST).chain(with(WEAKENERS, -BOOST)).collect()
});

/// The sentiment of a sentence.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Score {
    /// The score, from -1 (most negative) to 1 (most positive).
    pub(super) compound: f64,
    /// The share of positive words.
    pub(super) positive: f64,
    /// The share of neutral words.
    pub(super) neutral: f64,
    /// The share of negative words.
    pub(super) negative: f64,
}

struct Token<'a> {
    text: &'a str,
    lower: String,
}

/// Scores a sentence as VADER does (Hutto and Gilbert, ICWSM 2014), with the lexicon of VADER's authors.
///
/// The rules are implemented from the paper, because both existing Rust ports count an intensifier twice, and with the
/// wrong sign before a negative word. The constants are taken from the authors' work; their seven idioms and their
/// descriptions of emoji are not included.
pub(super) fn score(sentence: &str) -> Score {
    let tokens: Vec<Token<'_>> = sentence.split_whitespace().map(Token::new).collect();
    if tokens.is_empty() {
        return Score::default();
    }
    let capitals = tokens.iter().filter(|token| token.is_capitals()).count();
    let capitals_matter = capitals > 0 && capitals < tokens.len();
    let mut valences: Vec<f64> = (0..tokens.len()).map(|index| valence(&tokens, index, capitals_matter)).collect();
    if let Some(but) = tokens.iter().position(|token| token.lower == "but") {
        let (before, after) = valences.split_at_mut(but);
        before.iter_mut().for_each(|valence| *valence *= 0.5);
        after.iter_mut().skip(1).for_each(|valence| *valence *= 1.5);
    }
    total(&valences, emphasis(sentence))
}

impl<'a> Token<'a> {
    fn new(word: &'a str) -> Self {
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation() || "“”‘’…—–".contains(c));
        // If at most two characters remain, the token may be an emoticon, so it is kept untrimmed.
        let text = if bare.chars().count() <= 2 { word } else { bare };
        Self { text, lower: text.to_lowercase().replace('’', "'") }
    }

    fn is_capitals(&self) -> bool {
        self.text.chars().any(char::is_uppercase) && !self.text.chars().any(char::is_lowercase)
    }

    fn is_negation(&self) -> bool {
        static SET: LazyLock<Vec<&'static str>> = LazyLock::new(|| NEGATIONS.split_whitespace().collect());
        self.lower.contains("n't") || SET.contains(&self.lower.as_str())
    }
}

/// Returns the valence of the word at `index` in its context.
fn valence(tokens: &[Token<'_>], index: usize, capitals_matter: bool) -> f64 {
    let word = &tokens[index];
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.lower == text);
    if BOOSTERS.contains_key(word.lower.as_str()) || (word.lower == "kind" && is(index + 1, "of")) {
        return 0.0;
    }
    let Some(mut valence) = LEXICON.get(&word.lower).copied() else {
        return 0.0;
    };
    if capitals_matter && word.is_capitals() {
        valence += CAPITALS.copysign(valence);
    }
    for (distance, weight) in CONTEXT.iter().enumerate() {
        let Some(before) = index.checked_sub(distance + 1) else {
            break;
        };
        if LEXICON.contains_key(&tokens[before].lower) {
            continue;
        }
        valence += weight * boost(&tokens[before], valence, capitals_matter);
        if is(before, "never") && (is(before + 1, "so") || is(before + 1, "this")) {
            valence *= NEVER_SO;
        } else if tokens[before].is_negation() && !(is(before, "without") && is(before + 1, "doubt")) {
            valence *= NEGATION;
        }
    }
    for (first, second) in WEAKENING_PAIRS {
        if index >= 2 && is(index - 2, first) && is(index - 1, second) {
            valence -= BOOST.copysign(valence);
        }
    }
    let is_least = index >= 1 && is(index - 1, "least");
    if is_least && !(index >= 2 && (is(index - 2, "at") || is(index - 2, "very"))) {
        valence *= NEGATION;
    }
    valence
}

/// Returns the amount that `token` adds to the valence of a word that follows it.
fn boost(token: &Token<'_>, valence: f64, capitals_matter: bool) -> f64 {
    let Some(boost) = BOOSTERS.get(token.lower.as_str()) else {
        return 0.0;
    };
    let boost = if valence < 0.0 { -boost } else { *boost };
    if capitals_matter && token.is_capitals() { boost + CAPITALS.copysign(valence) } else { boost }
}

/// Returns the amount that exclamation and question marks add to the magnitude of the score.
fn emphasis(sentence: &str) -> f64 {
    let count = |mark: char| sentence.matches(mark).count();
    let exclamations = count('!').min(4) as f64 * 0.292;
    let questions = match count('?') {
        0 | 1 => 0.0,
        few @ 2..=3 => few as f64 * 0.18,
        _ => 0.96,
    };
    exclamations + questions
}

fn total(valences: &[f64], emphasis: f64) -> Score {
    let emphasized = |sum: f64| {
        if sum == 0.0 { 0.0 } else { sum + emphasis.copysign(sum) }
    };
    let sum = emphasized(valences.iter().sum());
    let compound = sum / (sum * sum + NORMAL_SQUARED).sqrt();
    // One is added to the magnitude of each valence so that neutral words have weight too.
    let mut positive: f64 = valences.iter().filter(|valence| **valence > 0.0).map(|valence| valence + 1.0).sum();
    let mut negative: f64 = valences.iter().filter(|valence| **valence < 0.0).map(|valence| 1.0 - valence).sum();
    let neutral = valences.iter().filter(|valence| **valence == 0.0).count() as f64;
    if positive > negative {
        positive += emphasis;
    } else if negative > positive {
        negative += emphasis;
    }
    let all = positive + negative + neutral;
    Score { compound, positive: positive / all, neutral: neutral / all, negative: negative / all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_match_the_examples_of_the_vader_authors() {
        // The sentences and scores are from the README of cjhutto/vaderSentiment.
        for (sentence, compound) in [
            ("VADER is smart, handsome, and funny.", 0.8316),
            ("VADER is smart, handsome, and funny!", 0.8439),
            ("VADER is very smart, handsome, and funny.", 0.8545),
            ("VADER is VERY SMART, handsome, and FUNNY.", 0.9227),
            ("VADER is VERY SMART, handsome, and FUNNY!!!", 0.9342),
            ("VADER is not smart, handsome, nor funny.", -0.7424),
            ("The book was good.", 0.4404),
            ("At least it isn't a horrible book.", 0.431),
            ("The book was only kind of good.", 0.3832),
            ("The plot was good, but the characters are uncompelling and the dialog is not great.", -0.7042),
            ("Today SUX!", -0.5461),
            ("Today only kinda sux! But I'll get by, lol", 0.5249),
            ("Make sure you :) or :D today!", 0.8633),
            ("Not bad at all", 0.431),
        ] {
            let got = (score(sentence).compound * 1e4).round() / 1e4;
            assert_eq!(got, compound, "{sentence}");
        }
    }

    #[test]
    fn shares_of_positive_neutral_and_negative_words_add_up_to_one() {
        for sentence in ["good", "It is bad!", "The the the", ":(", "…"] {
            let score = score(sentence);
            let sum = score.positive + score.neutral + score.negative;
            assert!((sum - 1.0).abs() < 1e-9, "{sentence}: {score:?}");
        }
    }
}
