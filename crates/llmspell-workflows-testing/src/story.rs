use std::fmt;

use similar::{ChangeTag, TextDiff};

/// What was seen, in order, a line each; its assertions show what there was.
///
/// ```
/// use llmspell_workflows_testing::Story;
///
/// let story = Story::of(["step.started /main/charge", "step.retrying /main/charge", "step.completed /main/charge"]);
/// story.has_in_order(&["step.started /main/charge", "step.completed /main/charge"]);
/// story.never("step.failed /main/charge");
/// story.only(|line| line.starts_with("step.retrying")).is(&["step.retrying /main/charge"]);
/// ```
///
/// One that is not as it should be shows the difference: what is missing with `-`, what is too much with `+`.
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
    /// The story of these lines.
    pub fn of(lines: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { lines: lines.into_iter().map(Into::into).collect(), lost: 0 }
    }

    /// The same, before which so many lines were lost because there was no room for them.
    #[must_use]
    pub fn after_lost(self, lost: u64) -> Self {
        Self { lost, ..self }
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// How many lines before these were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How often `line` is there.
    #[must_use]
    pub fn count(&self, line: &str) -> usize {
        self.lines.iter().filter(|seen| *seen == line).count()
    }

    /// The lines that `wanted` picks.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let lines = self.lines.iter().filter(|line| wanted(line)).cloned().collect();
        Self { lines, lost: self.lost }
    }

    /// In what it differs from `expected`, line by line; `None`: in nothing.
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

    /// These lines are there, in this order, and no others.
    ///
    /// # Panics
    /// Others are, or in another order, or some were lost.
    #[track_caller]
    pub fn is(&self, expected: &[&str]) {
        self.assert_whole();
        if let Some(difference) = self.difference(expected) {
            panic!("the story should be another one (- is missing, + is too much):\n{difference}");
        }
    }

    /// These lines are there, in this order; others may stand between them.
    ///
    /// # Panics
    /// One is missing, or comes too early.
    #[track_caller]
    pub fn has_in_order(&self, expected: &[&str]) {
        let mut seen = self.lines.iter();
        for (index, line) in expected.iter().enumerate() {
            let after = index.checked_sub(1).map_or(String::new(), |before| format!(" after `{}`", expected[before]));
            assert!(seen.any(|seen| seen == line), "the story should have `{line}`{after}:\n{self}");
        }
    }

    /// `line` is not there.
    ///
    /// # Panics
    /// It is, or some were lost and it may be among them.
    #[track_caller]
    pub fn never(&self, line: &str) {
        self.assert_whole();
        assert!(self.count(line) == 0, "the story should not have `{line}`:\n{self}");
    }

    #[track_caller]
    fn assert_whole(&self) {
        assert!(self.lost == 0, "{} lines were lost: record with more room\n{self}", self.lost);
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
