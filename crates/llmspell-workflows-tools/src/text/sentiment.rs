use serde::Serialize;

use super::{sentences, vader};

/// A text is positive if its compound score is at least this value, and negative if it is at most the negative of this
/// value. VADER's authors recommend this threshold.
const THRESHOLD: f64 = 0.05;

/// The sentiment of a text.
#[derive(Debug, Serialize)]
pub(super) struct Sentiment {
    /// `positive`, `negative` or `neutral`.
    pub(super) label: &'static str,
    /// The score, from -1 (most negative) to 1 (most positive).
    pub(super) score: f64,
    /// The share of positive words.
    positive: f64,
    /// The share of neutral words.
    neutral: f64,
    /// The share of negative words.
    negative: f64,
    /// The number of sentences scored.
    sentences: usize,
}

/// Returns the mean sentiment of the sentences of `text`.
///
/// The text is scored by sentence because the scale of [`vader`] is designed for sentences and saturates on longer
/// texts.
pub(super) fn sentiment(text: &str) -> Sentiment {
    let scores: Vec<_> = sentences::split(text).into_iter().map(vader::score).collect();
    let count = scores.len();
    let mean = |sum: f64| {
        if count == 0 { 0.0 } else { (sum / count as f64 * 1e4).round() / 1e4 }
    };
    let score = mean(scores.iter().map(|score| score.compound).sum());
    let label = match score {
        score if score >= THRESHOLD => "positive",
        score if score <= -THRESHOLD => "negative",
        _ => "neutral",
    };
    Sentiment {
        label,
        score,
        positive: mean(scores.iter().map(|score| score.positive).sum()),
        neutral: mean(scores.iter().map(|score| score.neutral).sum()),
        negative: mean(scores.iter().map(|score| score.negative).sum()),
        sentences: count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_negative_and_neutral_texts_are_distinguished() {
        for (text, expected) in [
            ("I love this wonderful library!", "positive"),
            ("This is a terrible, awful failure.", "negative"),
            ("The meeting is on Tuesday.", "neutral"),
            ("This is not good.", "negative"),
            ("It isn't bad at all.", "positive"),
            ("", "neutral"),
            ("...", "neutral"),
        ] {
            assert_eq!(sentiment(text).label, expected, "{text}: {:?}", sentiment(text));
        }
    }

    #[test]
    fn intensifiers_increase_the_score() {
        let score = |text| sentiment(text).score;
        assert!(score("It is extremely good.") > score("It is good."));
        assert!(score("It is good!!!") > score("It is good."));
        assert!(score("It is slightly bad.") > score("It is bad."));
    }

    #[test]
    fn the_score_of_a_text_is_the_mean_of_its_sentences() {
        let mixed = sentiment("I love it. I hate it.");
        assert!(mixed.score.abs() < 0.1, "{mixed:?}");
        assert_eq!(mixed.sentences, 2);
    }
}
