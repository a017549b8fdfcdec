use std::collections::HashMap;

use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation;

use super::words;

/// Longer runs of meaningful words are hardly ever a term, and score too high.
const PHRASE_WORDS_MAX: usize = 4;

/// A phrase that says what a text is about.
#[derive(Debug, Serialize)]
pub(super) struct Keyword {
    /// The words in lower case.
    pub(super) text: String,
    /// The sum of its words' degree by frequency, times how often the phrase occurs.
    score: f64,
    /// How often it occurs.
    count: usize,
}

/// The `count_max` phrases of `text` that tell most, best first.
///
/// RAKE (Rose and others, 2010): candidates are the runs of meaningful words between function words and punctuation; a
/// word is worth its degree (the words it occurs with) by its frequency. Unlike there, a phrase that occurs more often
/// counts more, which serves texts of more than an abstract's length.
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
    let worth = |word: &String| degree[word.as_str()] / frequency[word.as_str()];
    let mut keywords: Vec<Keyword> = counts
        .iter()
        .map(|(phrase, count)| {
            let score = phrase.iter().map(worth).sum::<f64>() * *count as f64;
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
        let word = words::normal(piece);
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
    fn what_a_text_is_about_comes_first() {
        let text = "Durable workflows survive a crash. With durable workflows, the machine learning model is trained \
            once, and the machine learning model is kept. Coffee helps.";
        let found: Vec<_> = keywords(text, 3).into_iter().map(|keyword| keyword.text).collect();
        assert_eq!(found, ["machine learning model", "durable workflows survive", "durable workflows"]);
    }

    #[test]
    fn long_runs_and_empty_texts_give_nothing() {
        assert!(keywords("", 5).is_empty());
        assert!(keywords("the of and, it is", 5).is_empty());
        assert!(keywords("red green blue white black yellow", 5).is_empty());
    }
}
