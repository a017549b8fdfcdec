use std::{collections::BTreeMap, fmt, str::FromStr};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use llmspell_workflows_basic::RunStatus;

use super::StoreError;

/// The maximum number of runs in one page.
pub const RUNS_PAGE_MAX: usize = 10_000;

/// An index of runs.
///
/// The index is derived from the journal and can be rebuilt from it, so **nothing here is synced**:
/// after a power loss a summary may be outdated or missing. A write to another store of the same
/// [`Stores`](super::Stores) also syncs all earlier writes to the index.
#[async_trait]
pub trait RunStore: Send + Sync + fmt::Debug {
    /// Stores the summaries, replacing earlier ones. Either all of the summaries are stored or
    /// none.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError>;

    /// Stores the summary, replacing an earlier one.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put(&self, run: &RunSummary) -> Result<(), StoreError> {
        self.put_all(std::slice::from_ref(run)).await
    }

    /// Returns the summary of a run.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError>;

    /// Returns the runs that match the query, newest first.
    ///
    /// # Errors
    /// Returns an error if the query is invalid or the store cannot be read.
    async fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError>;

    /// Removes the runs and returns how many of them existed. Either all of the runs are removed or
    /// none.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError>;

    /// Removes a run; returns whether it existed.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn remove(&self, run: Uuid) -> Result<bool, StoreError> {
        Ok(self.remove_all(&[run]).await? > 0)
    }
}

/// The summary of a run, as it appears in lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub id: Uuid,
    /// The name of the definition.
    pub workflow: String,
    /// The version of the definition.
    pub version: String,
    /// The hash of the definition.
    pub definition: String,
    /// The status.
    pub status: RunStatus,
    /// When the run was first started.
    pub started_at: Timestamp,
    /// When the summary last changed.
    pub updated_at: Timestamp,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When the run wakes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// Why the run failed or is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The run that started this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Uuid>,
    /// Labels that the run was started with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The process that owns the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A run's error, reduced to its code and message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The stable code.
    pub code: String,
    /// What went wrong.
    pub message: String,
}

/// A query for runs. A run must meet all conditions that are set.
#[derive(Debug, Clone, PartialEq)]
pub struct RunQuery {
    /// The allowed statuses; if empty, any status is allowed.
    pub statuses: Vec<RunStatus>,
    /// The name of the definition.
    pub workflow: Option<String>,
    /// The parent run.
    pub parent: Option<Uuid>,
    /// Labels that the run must have, with their values.
    pub labels: BTreeMap<String, String>,
    /// Runs that started at this time or later, with a precision of microseconds.
    pub started_from: Option<Timestamp>,
    /// Runs that started before this time, with a precision of microseconds.
    pub started_before: Option<Timestamp>,
    /// A prefix of the run's id, with or without hyphens.
    pub id_prefix: Option<String>,
    /// The maximum number of runs to return, from 1 to [`RUNS_PAGE_MAX`].
    pub limit: usize,
    /// Only runs after this position, from [`RunPage::next`].
    pub after: Option<RunCursor>,
}

impl Default for RunQuery {
    /// Returns a query for the newest 50 runs.
    fn default() -> Self {
        Self {
            statuses: Vec::new(),
            workflow: None,
            parent: None,
            labels: BTreeMap::new(),
            started_from: None,
            started_before: None,
            id_prefix: None,
            limit: 50,
            after: None,
        }
    }
}

/// One page of a run listing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunPage {
    /// The runs, newest first.
    pub runs: Vec<RunSummary>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<RunCursor>,
}

/// A position in a run listing; as text it is `MICROSECONDS-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunCursor {
    pub(crate) started_us: i64,
    pub(crate) id: Uuid,
}

impl RunSummary {
    /// Returns the run's position in a list.
    #[must_use]
    pub fn cursor(&self) -> RunCursor {
        RunCursor { started_us: self.started_at.as_microsecond(), id: self.id }
    }
}

impl RunQuery {
    /// Returns the first and last id that the query allows.
    ///
    /// # Errors
    /// Returns an error if the query is invalid.
    pub(crate) fn ids(&self) -> Result<(Uuid, Uuid), StoreError> {
        if !(1..=RUNS_PAGE_MAX).contains(&self.limit) {
            return Err(StoreError::Query(format!("the limit must be from 1 to {RUNS_PAGE_MAX}, got {}", self.limit)));
        }
        let text = self.id_prefix.as_deref().unwrap_or_default();
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        if digits.len() > 32 || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(StoreError::Query(format!(
                "{text:?} is not a prefix of a run id, which has 32 hexadecimal digits, with or without hyphens"
            )));
        }
        let filled = |with: &str| {
            let text = digits.clone() + &with.repeat(32 - digits.len());
            Uuid::parse_str(&text).expect("32 hexadecimal digits")
        };
        Ok((filled("0"), filled("f")))
    }

    /// Returns the number of digits in the id prefix.
    pub(crate) fn id_digits(&self) -> usize {
        self.id_prefix.as_deref().map_or(0, |text| text.chars().filter(|character| *character != '-').count())
    }

    /// Returns whether the run matches the query; `ids` is the result of [`Self::ids`].
    pub(crate) fn admits(&self, run: &RunSummary, ids: (Uuid, Uuid)) -> bool {
        let location = run.cursor();
        (self.statuses.is_empty() || self.statuses.contains(&run.status))
            && self.workflow.as_ref().is_none_or(|workflow| *workflow == run.workflow)
            && self.parent.is_none_or(|parent| run.parent == Some(parent))
            && self.labels.iter().all(|(key, value)| run.labels.get(key) == Some(value))
            && self.started_from.is_none_or(|from| location.started_us >= from.as_microsecond())
            && self.started_before.is_none_or(|before| location.started_us < before.as_microsecond())
            && (ids.0..=ids.1).contains(&run.id)
            && self.after.is_none_or(|after| location < after)
    }

    /// Returns the page with the matching runs among `runs`.
    ///
    /// # Errors
    /// Returns an error if the query is invalid.
    pub fn select(&self, mut runs: Vec<RunSummary>) -> Result<RunPage, StoreError> {
        let ids = self.ids()?;
        runs.retain(|run| self.admits(run, ids));
        Ok(self.page(runs))
    }

    /// Returns the page from `runs`, which contains at least the first `limit` + 1 matches.
    pub(crate) fn page(&self, mut runs: Vec<RunSummary>) -> RunPage {
        runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.cursor()));
        let has_more = runs.len() > self.limit;
        runs.truncate(self.limit);
        let next = runs.last().filter(|_| has_more).map(RunSummary::cursor);
        RunPage { runs, next }
    }
}

impl fmt::Display for RunCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.started_us, self.id.simple())
    }
}

impl FromStr for RunCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parts = text.rsplit_once('-').and_then(|(started, id)| Some((started.parse().ok()?, id.parse().ok()?)));
        let (started_us, id) = parts
            .ok_or_else(|| StoreError::Query(format!("{text:?} is not a list position; use `next` from a page")))?;
        Ok(Self { started_us, id })
    }
}
