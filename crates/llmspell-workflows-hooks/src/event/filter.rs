use uuid::Uuid;

use super::{Event, EventKind};
use crate::pattern;

/// Which events a subscriber gets: those that fit all that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    kinds: Vec<String>,
    paths: Vec<String>,
    run: Option<Uuid>,
    correlation: Option<String>,
}

impl Filter {
    /// All events.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only kinds that fit, such as `step.*`, `*.failed` or `run.completed`; or another pattern that was said.
    #[must_use]
    pub fn kind(mut self, pattern: impl Into<String>) -> Self {
        self.kinds.push(pattern.into());
        self
    }

    /// Only steps whose path fits, such as `/main/review[*]/**`; or another pattern that was said.
    #[must_use]
    pub fn path(mut self, pattern: impl Into<String>) -> Self {
        self.paths.push(pattern.into());
        self
    }

    /// Only the run of this id.
    #[must_use]
    pub fn run(mut self, run_id: Uuid) -> Self {
        self.run = Some(run_id);
        self
    }

    /// Only runs that belong to this correlation id.
    #[must_use]
    pub fn correlation(mut self, correlation_id: impl Into<String>) -> Self {
        self.correlation = Some(correlation_id.into());
        self
    }

    /// The set of kinds that it lets through.
    pub(crate) fn mask(&self) -> u64 {
        let fits = |kind: &&EventKind| pattern::any(&self.kinds, |wanted| pattern::text(wanted, kind.as_str()));
        EventKind::ALL.iter().filter(fits).fold(0, |mask, kind| mask | kind.bit())
    }

    /// Whether `event`, of a kind that it lets through, gets through.
    pub(crate) fn lets(&self, event: &Event) -> bool {
        self.run.is_none_or(|run_id| run_id == event.run_id)
            && self.correlation.as_ref().is_none_or(|wanted| match &event.correlation_id {
                Some(correlation_id) => **correlation_id == **wanted,
                None => event.run_id.to_string() == *wanted,
            })
            // What happens to a run as a whole happens at no path.
            && (self.paths.is_empty() || event.path.as_ref().is_some_and(|path| pattern::any_path(&self.paths, path)))
    }
}
