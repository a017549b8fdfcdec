use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::{sentences, words};

/// The relative bonus on the weight of a text's first sentence. Later sentences receive a smaller
/// bonus, because writers tend to put the most important facts first.
const LEAD_BONUS: f64 = 0.5;

/// The factor by which a word's probability is multiplied when a sentence with this word is chosen.
/// SumBasic squares the probability instead. In a text of a few sentences, squaring reduces the
/// probability so much that filler sentences win.
const REPETITION_FACTOR: f64 = 0.4;

/// The most informative sentences of a text.
#[derive(Debug, PartialEq)]
pub(super) struct Summary {
    /// The sentences in their original order, separated by single spaces.
    pub(super) text: String,
    /// The indices, from 0, of the chosen sentences.
    pub(super) chosen: Vec<usize>,
    /// The number of sentences in the text.
    pub(super) total: usize,
    /// Whether even the best sentence had to be truncated.
    pub(super) truncated: bool,
}

/// Chooses the most informative sentences of `text` that together fit into `chars_max` characters.
///
/// This is SumBasic (Nenkova and Vanderwende, 2005). The weight of a sentence is the mean probability of its meaningful
/// words in the text. Choosing a sentence lowers the probabilities of its words, so the next chosen sentence adds
/// something new. Because weights only decrease, a heap whose top sentence is reweighed until it stays on top yields
/// the same order with far less work.
pub(super) fn summarize(text: &str, chars_max: usize) -> Summary {
    let sentences: Vec<String> = sentences::split(text).into_iter().map(single_spaced).collect();
    let total = sentences.len();
    let lengths: Vec<usize> = sentences.iter().map(|sentence| sentence.chars().count()).collect();
    let mut taken = vec![false; total];
    let mut room = chars_max;
    let mut weights = Weights::new(&sentences);
    while let Some(index) = weights.best() {
        let separator = usize::from(room < chars_max);
        if lengths[index] + separator <= room {
            room -= lengths[index] + separator;
            taken[index] = true;
            weights.take(index);
        }
    }
    let chosen: Vec<usize> = (0..total).filter(|index| taken[*index]).collect();
    if chosen.is_empty() && total > 0 {
        let first = Weights::new(&sentences).best().unwrap_or(0);
        return Summary { text: truncate(&sentences[first], chars_max), chosen: vec![first], total, truncated: true };
    }
    let text = chosen.iter().map(|index| sentences[*index].as_str()).collect::<Vec<_>>().join(" ");
    Summary { text, chosen, total, truncated: false }
}

/// The weights of the sentences that have not been considered yet.
struct Weights {
    words: Vec<Vec<usize>>,
    probabilities: Vec<f64>,
    heap: BinaryHeap<SentenceWeight>,
}

#[derive(PartialEq)]
struct SentenceWeight {
    value: f64,
    index: usize,
}

impl Weights {
    fn new(sentences: &[String]) -> Self {
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut counts: Vec<f64> = Vec::new();
        let mut words = Vec::with_capacity(sentences.len());
        for sentence in sentences {
            let mut of_sentence: Vec<usize> = Vec::new();
            for word in words::meaningful(sentence) {
                let next = numbers.len();
                let number = *numbers.entry(word).or_insert(next);
                if number == counts.len() {
                    counts.push(0.0);
                }
                counts[number] += 1.0;
                of_sentence.push(number);
            }
            words.push(of_sentence);
        }
        let total: f64 = counts.iter().sum();
        let probabilities = counts.into_iter().map(|count| count / total).collect();
        let mut weights = Self { words, probabilities, heap: BinaryHeap::new() };
        weights.heap = (0..sentences.len()).map(|index| weights.weigh(index)).collect();
        weights
    }

    fn best(&mut self) -> Option<usize> {
        loop {
            let top = self.heap.pop()?;
            let now = self.weigh(top.index);
            if self.heap.peek().is_none_or(|next| now >= *next) {
                return Some(now.index);
            }
            self.heap.push(now);
        }
    }

    fn take(&mut self, index: usize) {
        for word in &self.words[index] {
            self.probabilities[*word] *= REPETITION_FACTOR;
        }
    }

    fn weigh(&self, index: usize) -> SentenceWeight {
        let words = &self.words[index];
        let sum: f64 = words.iter().map(|word| self.probabilities[*word]).sum();
        let mean = if words.is_empty() { 0.0 } else { sum / words.len() as f64 };
        SentenceWeight { value: mean * (1.0 + LEAD_BONUS / (1.0 + index as f64)), index }
    }
}

impl Eq for SentenceWeight {}

impl PartialOrd for SentenceWeight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SentenceWeight {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.total_cmp(&other.value).then_with(|| other.index.cmp(&self.index))
    }
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Truncates `sentence` at the end of a word, to at most `chars_max` characters including the ellipsis.
fn truncate(sentence: &str, chars_max: usize) -> String {
    let Some((end, _)) = sentence.char_indices().nth(chars_max.saturating_sub(1)) else {
        return sentence.to_owned();
    };
    let head = &sentence[..end];
    let head = head.rfind(char::is_whitespace).map_or(head, |space| &head[..space]);
    format!("{}…", head.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARTICLE: &str = "Solar panels turn sunlight into power. The weather was mild on Tuesday. Power from solar \
        panels became cheap as panels became better. Somebody had coffee. Batteries store the power of solar panels \
        for the night, which makes panels useful around the clock.";

    #[test]
    fn the_most_informative_sentences_are_kept_in_order() {
        let summary = summarize(ARTICLE, 120);
        assert_eq!(
            summary.text,
            "Solar panels turn sunlight into power. Power from solar panels became cheap as panels became better."
        );
        assert_eq!((summary.chosen, summary.total, summary.truncated), (vec![0, 2], 5, false));
    }

    #[test]
    fn a_summary_never_exceeds_its_maximum_length() {
        for chars_max in 1..300 {
            let summary = summarize(ARTICLE, chars_max);
            assert!(summary.text.chars().count() <= chars_max, "{chars_max}: {}", summary.text);
            assert!(!summary.chosen.is_empty());
        }
    }

    #[test]
    fn a_repeated_sentence_appears_only_once() {
        let text = "Cats sleep. Cats sleep. Dogs bark at night.";
        assert_eq!(summarize(text, 35).text, "Cats sleep. Dogs bark at night.");
    }

    #[test]
    fn a_long_sentence_is_truncated_at_a_word_boundary() {
        let summary = summarize("Extraordinarily long sentences cannot be kept whole", 24);
        assert_eq!((summary.text.as_str(), summary.truncated), ("Extraordinarily long…", true));
    }

    #[test]
    fn the_summary_of_an_empty_text_is_empty() {
        assert_eq!(summarize(" \n", 10), Summary { text: String::new(), chosen: vec![], total: 0, truncated: false });
    }
}
