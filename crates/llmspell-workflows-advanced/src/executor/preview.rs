//! Shows which steps a run would repeat and which results it would keep under another definition.

use std::{collections::BTreeSet, fmt, sync::Arc};

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_hooks::point::WorkflowResume;
use llmspell_workflows_state::{Cause, Corrected, Resumption, Rewinding, RunsAgain};
use serde_json::Value;
use uuid::Uuid;

use super::{DurableRun, Executor, Redefinition, RewindOptions};
use crate::{ExecutorError, KnownRun};

/// How a run continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// Like [`Executor::resume_with`].
    Resume,
    /// Like [`Executor::retry`].
    Retry,
    /// Like [`Executor::fork`].
    Fork,
}

/// The steps and results that a run repeats and keeps when it continues under another definition.
/// The paths of steps in sub-workflows start with the paths of the enclosing steps.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The difference between the definitions; `None` if they are equal.
    pub difference: Option<Difference>,
    /// The steps that have already run and will run again.
    pub runs_again: Vec<RunsAgain>,
    /// The recorded steps that the new definition does not contain.
    pub removed: Vec<String>,
    /// The changed steps whose results are kept.
    pub kept: Vec<String>,
}

/// Findings about a run and its sub-workflows, collected while they are changed.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Whether steps are reported even if the definition does not change.
    is_preview: bool,
    pub(super) runs_again: Vec<RunsAgain>,
    removed: Vec<String>,
    kept: Vec<String>,
    /// The removed steps that must not run twice and whose effect is unknown.
    unknown: Vec<String>,
    /// The requested steps to keep that have been found so far.
    pub(super) matched: BTreeSet<String>,
}

impl Report {
    pub(super) fn add(&mut self, around: &str, corrected: &Corrected, runs_again: Vec<RunsAgain>) {
        let whole = |path: &String| format!("{around}{path}");
        self.removed.extend(corrected.removed.iter().map(whole));
        self.kept.extend(corrected.kept.iter().map(whole));
        self.unknown.extend(corrected.unknown.iter().map(whole));
        self.runs_again.extend(runs_again.into_iter().map(|step| {
            let cause = match step.cause {
                Cause::Follows(path) => Cause::Follows(whole(&path)),
                Cause::New(path) => Cause::New(whole(&path)),
                Cause::Removed(path) => Cause::Removed(whole(&path)),
                other => other,
            };
            RunsAgain { path: whole(&step.path), cause, ..step }
        }));
    }

    /// Adds the steps that run again if the definition does not change.
    pub(super) fn add_unchanged(&mut self, around: &str, rewinding: &Rewinding<'_>) {
        if self.is_preview {
            self.add(around, &Corrected::default(), rewinding.runs_again(None));
        }
    }

    /// Records that the sub-workflow of the step at `path` continues, so the step does not run
    /// again.
    pub(super) fn continues(&mut self, path: &str) {
        self.runs_again.retain(|step| step.path != path);
    }

    /// Checks that no at-most-once step runs again without an explicit request, unless it has been undone.
    ///
    /// Also fails if such a step was removed or renamed while it is unknown whether it took effect.
    pub(super) fn check_at_most_once(&self, run: Uuid) -> Result<(), ExecutorError> {
        if !self.unknown.is_empty() {
            return Err(ExecutorError::UnknownEffects { run, paths: self.unknown.clone() });
        }
        let must_not = |step: &&RunsAgain| step.at_most_once && !matches!(step.cause, Cause::Requested | Cause::Undone);
        let paths: Vec<String> = self.runs_again.iter().filter(must_not).map(|step| step.path.clone()).collect();
        let why = "these steps run at most once, but have started and would run again";
        if paths.is_empty() { Ok(()) } else { Err(ExecutorError::CannotRunAgain { run, why, paths }) }
    }
}

impl Executor {
    /// Returns the steps that `known` would repeat and keep if it continued with these options.
    /// Nothing changes, except that the new definition is stored.
    ///
    /// # Errors
    /// Fails like the operation itself.
    pub async fn preview(
        &self,
        known: &KnownRun,
        continuation: Continuation,
        options: &RewindOptions,
    ) -> Result<Preview, ExecutorError> {
        let mut report = Report { is_preview: true, ..Report::default() };
        match continuation {
            Continuation::Resume => {
                self.check_resumable(known).await?;
                self.resume_in_place(known, "", options.definition.as_ref(), &mut None, &mut report).await?;
            }
            Continuation::Retry => self.preview_retry(known, options, &mut report).await?,
            Continuation::Fork => self.preview_fork(known, options, &mut report).await?,
        }
        let Report { mut runs_again, removed, kept, .. } = report;
        runs_again.sort_by(|one, other| one.path.cmp(&other.path));
        let difference = match &options.definition {
            Some(new) if new.definition.hash() != known.summary.definition => {
                let old = Arc::new(self.inner.home.definition(&known.summary.definition).await?);
                // The fields of a stored definition are in a different order from those of its
                // source file.
                let sorted = serde_json::from_str(&new.definition.to_json()).unwrap_or_else(|_| new.definition.clone());
                Some(Difference { old, new: sorted })
            }
            _ => None,
        };
        Ok(Preview { difference, runs_again, removed, kept })
    }

    /// Resumes a run under another definition.
    ///
    /// Results of unchanged steps are kept. Changed steps run again, together with the steps after
    /// them, and records of steps that are not in `new` are ignored; see [`Self::preview`]. If
    /// `new` has migrations and a different version, all results are kept instead: every recorded
    /// step must exist in `new`, and the state is migrated. If anything fails, the run does not
    /// change.
    ///
    /// # Errors
    /// Fails like [`Self::resume`]. Also fails if a step that must run at most once would run again, if the run's input
    /// does not fit `new`, or if a migration is missing, fails or is forbidden by a hook.
    pub async fn resume_with(
        &self,
        known: &KnownRun,
        new: impl Into<Redefinition>,
    ) -> Result<DurableRun, ExecutorError> {
        let new = new.into();
        self.check_resumable(known).await?;
        self.inner.services.permit(WorkflowResume, known.id(), Value::Null).await?;
        let mut bringing = self.inner.bring_in(known.id()).await?;
        // The run may have ended before this process claimed it.
        let known = &bringing.look_again(known.id()).await?;
        self.check_resumable(known).await?;
        self.resume_in_place(known, "", Some(&new), &mut Some(&mut bringing), &mut Report::default()).await?;
        let lease = bringing.finish().await?;
        self.claim_and_open(known.id(), &lease, Resumption::Resumed).await
    }
}

impl Executor {
    /// Checks that the run has not ended, and that it is not a sub-workflow.
    async fn check_resumable(&self, known: &KnownRun) -> Result<(), ExecutorError> {
        self.journal_of(known)?;
        self.check_top_level(known).await?;
        if known.status().has_ended() { Err(ExecutorError::Ended { run: known.id() }) } else { Ok(()) }
    }
}

/// The difference between the definition of a run and another definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The definition with which the run was started.
    pub old: Arc<Definition>,
    /// The other definition.
    pub new: Arc<Definition>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |definition: &Definition| serde_json::to_string_pretty(definition).unwrap_or_default() + "\n";
        let (old, new) = (text(&self.old), text(&self.new));
        write!(f, "{}", similar::TextDiff::from_lines(&old, &new).unified_diff().context_radius(2))
    }
}
