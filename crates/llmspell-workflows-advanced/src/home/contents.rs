//! The contents of journals, for lists of runs.

use llmspell_workflows_state::{Epoch, JournalContents, JournalError, store::RunSummary};
use uuid::Uuid;

use super::{Holder, KnownRun};
use crate::ExecutorError;

/// Summaries of the runs in a journal.
#[derive(Debug, Default)]
pub struct JournalSummaries {
    /// The holder of the lease on the journal when the runs were read.
    pub holder: Option<Holder>,
    /// The undamaged runs.
    pub runs: Vec<LiveRunSummary>,
    /// The runs whose records cannot be used.
    pub damaged: Vec<DamagedRun>,
    /// Damage to the journal outside these runs.
    pub damage: Vec<JournalError>,
}

/// The summary of a run in a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRunSummary {
    /// The summary.
    pub summary: RunSummary,
    /// The epoch of the latest owner. If several journals contain the run, the one with the latest epoch counts.
    pub epoch: Epoch,
}

/// A run whose records cannot be used.
#[derive(Debug)]
pub struct DamagedRun {
    /// The run.
    pub run: Uuid,
    /// Why its records cannot be used.
    pub error: JournalError,
}

impl JournalSummaries {
    /// Summarizes the runs in `contents`; `holder` is the holder of the journal.
    ///
    /// Runs without a start record are omitted, because their start was never acknowledged.
    #[must_use]
    pub fn of(contents: JournalContents, holder: Option<Holder>) -> Self {
        let owner = holder.as_ref().map(|holder| holder.0.clone());
        let mut summaries = Self { holder, damage: contents.damage, ..Self::default() };
        for run in contents.runs {
            match run.records {
                Ok(records) => {
                    let summary = RunSummary::of(run.run, &records, owner.as_deref());
                    summaries.runs.extend(summary.map(|summary| LiveRunSummary { summary, epoch: run.epoch }));
                }
                Err(error) => summaries.damaged.push(DamagedRun { run: run.run, error }),
            }
        }
        summaries
    }

    /// Returns the ids of the ended runs.
    pub(super) fn ended(&self) -> Vec<Uuid> {
        let ended = self.runs.iter().filter(|run| run.summary.status.has_ended());
        ended.map(|run| run.summary.id).collect()
    }

    /// Returns whether the journal contains an unfinished run or unreadable data.
    pub(super) fn has_live(&self) -> bool {
        let is_live = |run: &LiveRunSummary| !run.summary.status.has_ended();
        self.runs.iter().any(is_live) || !self.damaged.is_empty() || !self.damage.is_empty()
    }
}

/// Runs of a home, and the damage found in its journals.
#[derive(Debug, Default)]
pub struct RunListing {
    /// The runs, newest first.
    pub runs: Vec<KnownRun>,
    /// Runs that cannot be listed because their records cannot be used.
    pub damaged: Vec<DamagedRun>,
    /// Errors of damaged or unreadable journals. Other runs are not affected.
    pub damage: Vec<ExecutorError>,
}
