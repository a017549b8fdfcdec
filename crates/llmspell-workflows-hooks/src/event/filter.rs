use uuid::Uuid;

use super::{Event, EventKind};
use crate::pattern;

/// Selects the events that a subscriber receives. An event must meet all criteria.
///
/// If several kinds or several paths are given, an event must match one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    kinds: Vec<String>,
    paths: Vec<String>,
    run: Option<Uuid>,
    correlation: Option<String>,
}

impl Filter {
    /// Selects all events.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Restricts the selection to kinds that match a pattern such as `step.*`, `*.failed` or `run.completed`.
    #[must_use]
    pub fn kind(mut self, pattern: impl Into<String>) -> Self {
        self.kinds.push(pattern.into());
        self
    }

    /// Restricts the selection to steps whose path matches a pattern such as `/main/review[*]/**`.
    #[must_use]
    pub fn path(mut self, pattern: impl Into<String>) -> Self {
        self.paths.push(pattern.into());
        self
    }

    /// Restricts the selection to the run with this id.
    #[must_use]
    pub fn run(mut self, run_id: Uuid) -> Self {
        self.run = Some(run_id);
        self
    }

    /// Restricts the selection to runs with this correlation id.
    #[must_use]
    pub fn correlation(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation = Some(correlation_id.into());
        self
    }

    /// Returns the bit set of the matching kinds.
    pub(crate) fn mask(&self) -> u64 {
        let matches = |kind: &&EventKind| pattern::any(&self.kinds, |wanted| pattern::text(wanted, kind.as_str()));
        EventKind::ALL.iter().filter(matches).fold(0, |mask, kind| mask | kind.bit())
    }

    /// Returns whether `event`, of a matching kind, meets the other criteria.
    pub(crate) fn matches_event(&self, event: &Event) -> bool {
        self.run.is_none_or(|run_id| run_id == event.run_id)
            && self.correlation.as_ref().is_none_or(|wanted| match &event.correlation_id {
                Some(correlation_id) => **correlation_id == **wanted,
                None => event.run_id.to_string() == *wanted,
            })
            // An event that concerns the run as a whole has no path.
            && (self.paths.is_empty() || event.path.as_ref().is_some_and(|path| pattern::any_path(&self.paths, path)))
    }
}
