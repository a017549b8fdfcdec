use std::{collections::BTreeMap, fmt, str::FromStr};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use llmspell_workflows_basic::RunStatus;

use super::StoreError;

/// The most runs that one list has.
pub const RUNS_PAGE_MAX: usize = 10_000;

/// An index of runs.
///
/// It follows the journal and is made again from it, so **nothing here is synced**: a power loss may bring back an
/// earlier summary, or none. A write of another store of the same [`Stores`](super::Stores) syncs what came before.
#[async_trait]
pub trait RunStore: Send + Sync + fmt::Debug {
    /// Keeps the summaries, each instead of what was kept of its run; all or none of them.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError>;

    /// Keeps the summary instead of what was kept of its run.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn put(&self, run: &RunSummary) -> Result<(), StoreError> {
        self.put_all(std::slice::from_ref(run)).await
    }

    /// What is kept of a run.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError>;

    /// The runs that the query asks for, newest first.
    ///
    /// # Errors
    /// The query makes no sense, or the store cannot be read.
    async fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError>;

    /// Forgets a run; whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
}

/// What a list says of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run.
    pub id: Uuid,
    /// The name of its definition.
    pub workflow: String,
    /// The version of its definition.
    pub version: String,
    /// The hash of its definition.
    pub definition: String,
    /// How far it has come.
    pub status: RunStatus,
    /// When it was started, for the first time.
    pub started_at: Timestamp,
    /// When something of this was last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it goes on by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// Why it failed, or is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// The run that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Uuid>,
    /// What its users call it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The process that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Why a run failed, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The stable name of the error.
    pub code: String,
    /// What went wrong.
    pub message: String,
}

/// Which runs to list. Everything that is set must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct RunQuery {
    /// One of these; any where there are none.
    pub statuses: Vec<RunStatus>,
    /// The name of the definition.
    pub workflow: Option<String>,
    /// The run that started it.
    pub parent: Option<Uuid>,
    /// Labels that it has, with these values.
    pub labels: BTreeMap<String, String>,
    /// Started then or later, to the microsecond.
    pub started_from: Option<Timestamp>,
    /// Started before, to the microsecond.
    pub started_before: Option<Timestamp>,
    /// How its id begins, with or without hyphens.
    pub id_prefix: Option<String>,
    /// How many at most, from 1 to [`RUNS_PAGE_MAX`].
    pub limit: usize,
    /// Only those after this place, which [`RunPage::next`] gave.
    pub after: Option<RunCursor>,
}

impl Default for RunQuery {
    /// The newest 50.
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

/// A list of runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunPage {
    /// Newest first.
    pub runs: Vec<RunSummary>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<RunCursor>,
}

/// A place in a list of runs; as text it is `MICROSECONDS-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunCursor {
    pub(crate) started_us: i64,
    pub(crate) id: Uuid,
}

impl RunSummary {
    /// Where it stands in a list.
    #[must_use]
    pub fn cursor(&self) -> RunCursor {
        RunCursor { started_us: self.started_at.as_microsecond(), id: self.id }
    }
}

impl RunQuery {
    /// The ids that the query allows, first and last.
    ///
    /// # Errors
    /// It makes no sense.
    pub(crate) fn ids(&self) -> Result<(Uuid, Uuid), StoreError> {
        if !(1..=RUNS_PAGE_MAX).contains(&self.limit) {
            return Err(StoreError::Query(format!("the limit is {}; it is from 1 to {RUNS_PAGE_MAX}", self.limit)));
        }
        let text = self.id_prefix.as_deref().unwrap_or_default();
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        if digits.len() > 32 || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(StoreError::Query(format!(
                "no id begins with {text:?}; one has 32 hexadecimal digits, with or without hyphens"
            )));
        }
        let filled = |with: &str| {
            let text = digits.clone() + &with.repeat(32 - digits.len());
            Uuid::parse_str(&text).expect("32 hexadecimal digits")
        };
        Ok((filled("0"), filled("f")))
    }

    /// How many digits of the id are asked for.
    pub(crate) fn id_digits(&self) -> usize {
        self.id_prefix.as_deref().map_or(0, |text| text.chars().filter(|character| *character != '-').count())
    }

    /// Whether the run is one of those that are asked for; `ids` as [`Self::ids`] gave them.
    pub(crate) fn admits(&self, run: &RunSummary, ids: (Uuid, Uuid)) -> bool {
        let place = run.cursor();
        (self.statuses.is_empty() || self.statuses.contains(&run.status))
            && self.workflow.as_ref().is_none_or(|workflow| *workflow == run.workflow)
            && self.parent.is_none_or(|parent| run.parent == Some(parent))
            && self.labels.iter().all(|(key, value)| run.labels.get(key) == Some(value))
            && self.started_from.is_none_or(|from| place.started_us >= from.as_microsecond())
            && self.started_before.is_none_or(|before| place.started_us < before.as_microsecond())
            && (ids.0..=ids.1).contains(&run.id)
            && self.after.is_none_or(|after| place < after)
    }

    /// The page out of all `runs`, wherever they come from.
    ///
    /// # Errors
    /// The query makes no sense.
    pub fn select(&self, mut runs: Vec<RunSummary>) -> Result<RunPage, StoreError> {
        let ids = self.ids()?;
        runs.retain(|run| self.admits(run, ids));
        Ok(self.page(runs))
    }

    /// The page made of `runs`, which hold at least the first `limit` + 1 that are asked for.
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
        let (started_us, id) =
            parts.ok_or_else(|| StoreError::Query(format!("{text:?} is no place in a list; take one from a list")))?;
        Ok(Self { started_us, id })
    }
}
