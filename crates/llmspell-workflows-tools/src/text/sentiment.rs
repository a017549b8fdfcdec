use serde::Serialize;

use super::{sentences, vader};

/// From this compound score on a text counts as positive, and from its negative on as negative; the bounds that
/// VADER's authors give.
const DECIDED: f64 = 0.05;

/// How a text feels.
#[derive(Debug, Serialize)]
pub(super) struct Sentiment {
    /// `positive`, `negative` or `neutral`.
    pub(super) label: &'static str,
    /// From -1, most negative, to 1, most positive.
    pub(super) score: f64,
    /// The share of positive words.
    positive: f64,
    /// The share of neutral words.
    neutral: f64,
    /// The share of negative words.
    negative: f64,
    /// How many sentences were scored.
    sentences: usize,
}

/// The mean sentiment of the sentences of `text`.
///
/// Sentences, since the scale of [`vader`] is made for them, and saturates on longer texts.
pub(super) fn sentiment(text: &str) -> Sentiment {
    let scores: Vec<_> = sentences::split(text).into_iter().map(vader::score).collect();
    let count = scores.len();
    let mean = |sum: f64| {
        if count == 0 { 0.0 } else { (sum / count as f64 * 1e4).round() / 1e4 }
    };
    let score = mean(scores.iter().map(|score| score.compound).sum());
    let label = match score {
        score if score >= DECIDED => "positive",
        score if score <= -DECIDED => "negative",
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
    fn feelings_are_told_apart() {
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
    fn intensifiers_strengthen() {
        let score = |text| sentiment(text).score;
        assert!(score("It is extremely good.") > score("It is good."));
        assert!(score("It is good!!!") > score("It is good."));
        assert!(score("It is slightly bad.") > score("It is bad."));
    }

    #[test]
    fn a_long_text_is_the_mean_of_its_sentences() {
        let mixed = sentiment("I love it. I hate it.");
        assert!(mixed.score.abs() < 0.1, "{mixed:?}");
        assert_eq!(mixed.sentences, 2);
    }
}
