use std::collections::HashMap;

use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation;

use super::words;

/// The maximum number of words in a keyword; longer sequences of words are rarely terms, and would score too high.
const PHRASE_WORDS_MAX: usize = 4;

/// A phrase that characterizes a text.
#[derive(Debug, Serialize)]
pub(super) struct Keyword {
    /// The words of the phrase in lower case.
    pub(super) text: String,
    /// The sum of the words' scores (degree divided by frequency), multiplied by the number of occurrences.
    score: f64,
    /// The number of occurrences.
    count: usize,
}

/// Returns the `count_max` most characteristic phrases of `text`, best first.
///
/// This is RAKE (Rose and others, 2010). Candidates are the sequences of meaningful words between function words and
/// punctuation. The score of a word is its degree (the number of words that it occurs with) divided by its frequency.
/// Unlike in the original algorithm, frequent phrases score higher, which works better for texts that are longer than
/// an abstract.
pub(super) fn keywords(text: &str, count_max: usize) -> Vec<Keyword> {
    let mut counts: HashMap<Vec<String>, usize> = HashMap::new();
    for phrase in phrases(text) {
        *counts.entry(phrase).or_default() += 1;
    }
    let (mut frequency, mut degree) = (HashMap::<&str, f64>::new(), HashMap::<&str, f64>::new());
    for (phrase, count) in &counts {
        for word in phrase {
            *frequency.entry(word).or_default() += *count as f64;
            *degree.entry(word).or_default() += (count * phrase.len()) as f64;
        }
    }
    let word_score = |word: &String| degree[word.as_str()] / frequency[word.as_str()];
    let mut keywords: Vec<Keyword> = counts
        .iter()
        .map(|(phrase, count)| {
            let score = phrase.iter().map(word_score).sum::<f64>() * *count as f64;
            Keyword { text: phrase.join(" "), score: (score * 1e4).round() / 1e4, count: *count }
        })
        .collect();
    keywords.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.text.cmp(&b.text)));
    keywords.truncate(count_max);
    keywords
}

fn phrases(text: &str) -> Vec<Vec<String>> {
    let mut phrases = Vec::new();
    let mut current: Vec<String> = Vec::new();
    for piece in text.split_word_bounds() {
        if piece.chars().all(char::is_whitespace) && !piece.contains('\n') || piece == "-" {
            continue;
        }
        let word = words::normalize(piece);
        if words::is_meaningful(&word) {
            current.push(word);
        } else {
            phrases.push(std::mem::take(&mut current));
        }
    }
    phrases.push(current);
    phrases.retain(|phrase| (1..=PHRASE_WORDS_MAX).contains(&phrase.len()));
    phrases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_characteristic_phrases_come_first() {
        let text = "Durable workflows survive a crash. With durable workflows, the machine learning model is trained \
            once, and the machine learning model is kept. Coffee helps.";
        let found: Vec<_> = keywords(text, 3).into_iter().map(|keyword| keyword.text).collect();
        assert_eq!(found, ["machine learning model", "durable workflows survive", "durable workflows"]);
    }

    #[test]
    fn long_word_sequences_and_function_words_yield_no_keywords() {
        assert!(keywords("", 5).is_empty());
        assert!(keywords("the of and, it is", 5).is_empty());
        assert!(keywords("red green blue white black yellow", 5).is_empty());
    }
}
