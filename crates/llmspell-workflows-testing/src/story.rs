use std::fmt;

use similar::{ChangeTag, TextDiff};

/// A recorded sequence of lines, with assertions that show the lines when they fail.
///
/// ```
/// use llmspell_workflows_testing::Story;
///
/// let story = Story::of(["step.started /main/charge", "step.retrying /main/charge", "step.completed /main/charge"]);
/// story.contains_in_order(&["step.started /main/charge", "step.completed /main/charge"]);
/// story.never("step.failed /main/charge");
/// story.only(|line| line.starts_with("step.retrying")).is(&["step.retrying /main/charge"]);
/// ```
///
/// The difference marks expected lines with `-` and actual lines with `+`.
///
/// ```
/// # use llmspell_workflows_testing::Story;
/// let story = Story::of(["step.started /main/charge", "step.failed /main/charge"]);
/// let expected = ["step.started /main/charge", "step.completed /main/charge"];
/// assert_eq!(
///     story.difference(&expected).unwrap().lines().collect::<Vec<_>>(),
///     ["  step.started /main/charge", "- step.completed /main/charge", "+ step.failed /main/charge"],
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Story {
    lines: Vec<String>,
    lost: u64,
}

impl Story {
    /// Creates a story from these lines.
    pub fn of(lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { lines: lines.into_iter().map(Into::into).collect(), lost: 0 }
    }

    /// Sets the number of earlier lines that were lost because the recorder was full.
    #[must_use]
    pub fn after_lost(self, lost: u64) -> Self {
        Self { lost, ..self }
    }

    /// Returns the lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Returns the number of earlier lines that were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns how often `line` occurs.
    #[must_use]
    pub fn count(&self, line: &str) -> usize {
        self.lines.iter().filter(|seen| *seen == line).count()
    }

    /// Returns a story with only the lines for which `wanted` returns true.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let lines = self.lines.iter().filter(|line| wanted(line)).cloned().collect();
        Self { lines, lost: self.lost }
    }

    /// Returns a line-by-line difference from `expected`, or `None` if the lines are equal.
    #[must_use]
    pub fn difference(&self, expected: &[&str]) -> Option<String> {
        let seen: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        if seen == expected {
            return None;
        }
        let difference = TextDiff::from_slices(expected, &seen);
        let mark = |tag| match tag {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        Some(difference.iter_all_changes().map(|line| format!("{} {}\n", mark(line.tag()), line.value())).collect())
    }

    /// Asserts that the story consists of exactly these lines, in this order.
    ///
    /// # Panics
    /// Panics if the story differs, or if lines were lost.
    #[track_caller]
    pub fn is(&self, expected: &[&str]) {
        self.assert_whole();
        if let Some(difference) = self.difference(expected) {
            panic!("the story differs (- expected, + actual):\n{difference}");
        }
    }

    /// Asserts that these lines occur in this order, possibly with other lines between them.
    ///
    /// # Panics
    /// Panics if one of the lines is missing or occurs too early.
    #[track_caller]
    pub fn contains_in_order(&self, expected: &[&str]) {
        let mut seen = self.lines.iter();
        for (index, line) in expected.iter().enumerate() {
            let after = index.checked_sub(1).map_or(String::new(), |before| format!(" after `{}`", expected[before]));
            assert!(seen.any(|seen| seen == line), "expected `{line}`{after}:\n{self}");
        }
    }

    /// Asserts that `line` does not occur.
    ///
    /// # Panics
    /// Panics if `line` occurs, or if lines were lost, since `line` may be among them.
    #[track_caller]
    pub fn never(&self, line: &str) {
        self.assert_whole();
        assert!(self.count(line) == 0, "unexpected `{line}`:\n{self}");
    }

    #[track_caller]
    fn assert_whole(&self) {
        assert!(self.lost == 0, "{} lines were lost; record with a larger capacity\n{self}", self.lost);
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lost > 0 {
            writeln!(f, "  ({} lines were lost)", self.lost)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
