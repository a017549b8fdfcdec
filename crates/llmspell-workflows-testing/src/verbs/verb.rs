use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use llmspell_workflows_advanced::{
    Continuation, DurableRun, ExecutorError, KnownRun, Message, Prune, Redefinition, Resolution, RewindOptions,
    StartOptions,
};
use llmspell_workflows_basic::{WorkflowInput, sync::lock};
use serde_json::Value;
use uuid::Uuid;

use super::{
    cast::Role,
    ladder::{Edition, LadderId},
    ledger::bare,
    model::Progress,
    process::Hands,
};

/// An operation on a run or on a home.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verb {
    Start,
    Resume,
    /// Resumes the run, and pauses it while a step executes.
    ResumeAndPause,
    /// Resumes the run, and cancels it while a step executes.
    ResumeAndCancel,
    Retry,
    Signal,
    Cancel,
    /// Resolves the stuck step as completed.
    Resolve,
    /// Resolves the stuck step as not executed, and runs it again.
    RunAgain,
    Rerun,
    Fork {
        from: String,
    },
    /// Resumes the run under the next definition.
    Migrate,
    /// Continues the run under a corrected definition.
    Correct(Correcting),
    Export,
    Import,
    Delete,
    Prune,
    Compact,
    BackUp,
    /// Resumes all unowned runs; runs that wait remain parked.
    Recover,
}

/// How a run continues under a corrected definition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Correcting {
    pub(super) how: How,
    /// The number of the correction.
    pub(super) number: usize,
    /// The changed step whose result is kept.
    pub(super) keep: Option<String>,
}

/// The command that receives a corrected definition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum How {
    Resume,
    Retry,
    Fork { from: String },
}

impl Verb {
    /// Returns the definition under which the verb continues the run, if the definition may change.
    pub(super) fn edition(&self) -> Option<Edition> {
        match self {
            Self::Migrate => Some(Edition::Next),
            Self::Correct(correcting) => Some(Edition::Corrected(correcting.number)),
            _ => None,
        }
    }

    /// Returns whether the verb creates a fork.
    pub(super) fn forks(&self) -> bool {
        matches!(self, Self::Fork { .. } | Self::Correct(Correcting { how: How::Fork { .. }, .. }))
    }

    /// Returns whether the verb drives a run until it rests.
    pub(super) fn drives(&self) -> bool {
        match self {
            Self::Start
            | Self::Resume
            | Self::ResumeAndPause
            | Self::ResumeAndCancel
            | Self::Retry
            | Self::Resolve
            | Self::RunAgain
            | Self::Rerun
            | Self::Fork { .. }
            | Self::Migrate
            | Self::Correct(_) => true,
            Self::Signal
            | Self::Cancel
            | Self::Export
            | Self::Import
            | Self::Delete
            | Self::Prune
            | Self::Compact
            | Self::BackUp
            | Self::Recover => false,
        }
    }
}

impl Verb {
    /// Returns the name of the verb.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Resume => "resume",
            Self::ResumeAndPause => "pause",
            Self::ResumeAndCancel => "cancel while a step executes",
            Self::Retry => "retry",
            Self::Signal => "signal",
            Self::Cancel => "cancel",
            Self::Resolve => "resolve as completed",
            Self::RunAgain => "resolve by running again",
            Self::Rerun => "rerun",
            Self::Fork { .. } => "fork",
            Self::Migrate => "migrate",
            Self::Correct(Correcting { how: How::Resume, .. }) => "correct and resume",
            Self::Correct(Correcting { how: How::Retry, .. }) => "correct and retry",
            Self::Correct(Correcting { how: How::Fork { .. }, .. }) => "correct and fork",
            Self::Export => "export",
            Self::Import => "import",
            Self::Delete => "delete",
            Self::Prune => "prune",
            Self::Compact => "compact",
            Self::BackUp => "back up",
            Self::Recover => "recover",
        }
    }

    /// Returns whether the verb changes the run that it concerns.
    pub(super) fn changes_its_run(&self) -> bool {
        !matches!(self, Self::Export | Self::Rerun) && !self.forks()
    }
}

/// A verb with all its arguments.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) verb: Verb,
    /// The run that the verb concerns; `None` if it concerns the home.
    pub(super) run: Option<Uuid>,
    /// The workflow of the run that the verb concerns or creates.
    pub(super) workflow: String,
    /// The ladder of the created run.
    pub(super) creates: Option<LadderId>,
    /// The name and the data of the sent signal.
    pub(super) signal: Option<(String, Value)>,
    /// The resolved step; `None` if the run is not stuck.
    pub(super) stuck: Option<Stuck>,
    /// The imported document.
    pub(super) document: Option<Arc<Value>>,
    /// The folder of the backup.
    pub(super) to: Option<PathBuf>,
    /// The runs that a recovery must resume.
    pub(super) open: BTreeSet<Uuid>,
    /// The run with its sub-workflows.
    pub(super) family: BTreeSet<Uuid>,
    /// The definitions that the run may have had.
    pub(super) editions: BTreeSet<Edition>,
    /// Whether the result kept by the verb is certain to exist.
    pub(super) keeps_for_certain: bool,
}

/// A stuck step of a run or of a sub-workflow.
#[derive(Debug, Clone, Default)]
pub(super) struct Stuck {
    pub(super) run: Uuid,
    pub(super) path: String,
    /// The expected output of the step.
    pub(super) output: Value,
}

impl Deed {
    pub(super) fn new(verb: Verb, run: Option<Uuid>, workflow: &str) -> Self {
        let workflow = workflow.to_owned();
        Self {
            verb,
            run,
            workflow,
            creates: None,
            signal: None,
            stuck: None,
            document: None,
            to: None,
            open: BTreeSet::new(),
            family: BTreeSet::new(),
            editions: BTreeSet::new(),
            keeps_for_certain: false,
        }
    }
}

/// The report of a verb in progress, which survives the crash of its process.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) progress: Arc<Mutex<Progress>>,
    /// The exported document.
    pub(super) document: Arc<Mutex<Option<Value>>>,
}

impl Report {
    fn commit(&self) {
        lock(&self.progress).committed = true;
    }
}

impl Deed {
    /// Performs the verb.
    pub(super) async fn perform(&self, hands: &Hands, role: &Role, report: &Report) -> Result<(), ExecutorError> {
        let Hands { executor, home, .. } = hands;
        let run = match &self.verb {
            Verb::Start => {
                let input = WorkflowInput::new(role.input.clone());
                self.begun(executor.start(role.definition.clone(), input, StartOptions::default()).await?, report)
            }
            Verb::Prune => {
                let prune = Prune { ended_before: Timestamp::MAX, statuses: Vec::new(), workflow: None, keep: 0 };
                let old = home.prunable(&prune).await?;
                return home.delete(&old).await;
            }
            Verb::Compact => return home.compact().await.map(drop),
            Verb::Recover => return hands.recover().await,
            Verb::BackUp => {
                let to = self.to.as_ref().expect("a backup has a folder");
                return home.back_up(to).await.map(drop);
            }
            Verb::Import => {
                let document = self.document.as_ref().expect("an import has a document");
                return home.import(document).await.map(drop);
            }
            Verb::Resume
            | Verb::ResumeAndPause
            | Verb::ResumeAndCancel
            | Verb::Retry
            | Verb::Signal
            | Verb::Cancel
            | Verb::Resolve
            | Verb::RunAgain
            | Verb::Rerun
            | Verb::Fork { .. }
            | Verb::Migrate
            | Verb::Correct(_)
            | Verb::Export
            | Verb::Delete => {
                let known = hands.find(self.run.expect("the verb concerns a run")).await?;
                match self.perform_on(&known, hands, role, report).await? {
                    Some(run) => run,
                    None => return Ok(()),
                }
            }
        };
        report.commit();
        let driven = hands.drive(run).await;
        lock(&report.progress).sent = hands.mid_step.end();
        driven.map(drop)
    }

    /// Performs the verb on the run `known`; returns the run to drive, if any.
    async fn perform_on(
        &self,
        known: &KnownRun,
        hands: &Hands,
        role: &Role,
        report: &Report,
    ) -> Result<Option<DurableRun>, ExecutorError> {
        let Hands { executor, home, mid_step, .. } = hands;
        match &self.verb {
            Verb::Resume => executor.resume(known).await.map(Some),
            Verb::ResumeAndPause | Verb::ResumeAndCancel => {
                let run = executor.resume(known).await?;
                let message = if self.verb == Verb::ResumeAndPause { Message::Pause } else { Message::Cancel };
                mid_step.prepare(home.clone(), known.id(), message);
                Ok(Some(run))
            }
            Verb::Retry => executor.retry(known, &RewindOptions::default()).await.map(Some),
            Verb::Resolve | Verb::RunAgain => {
                // A run that is not stuck has no step to resolve.
                let Stuck { path, output, .. } = self.stuck.clone().unwrap_or_default();
                let resolution = match self.verb {
                    Verb::Resolve => Resolution::Completed(output),
                    _ => Resolution::RunAgain,
                };
                executor.resolve(known, &path, resolution).await.map(Some)
            }
            Verb::Rerun => executor.rerun(known, None, None).await.map(|run| Some(self.begun(run, report))),
            Verb::Fork { from } => {
                let options = RewindOptions { from: Some(from.clone()), step_input: None, ..Default::default() };
                executor.fork(known, &options).await.map(|run| Some(self.begun(run, report)))
            }
            Verb::Migrate => {
                let how = How::Resume;
                self.continue_under(known, hands, role, report, (Edition::Next, &how, None)).await.map(Some)
            }
            Verb::Correct(Correcting { how, number, keep }) => {
                let by = (Edition::Corrected(*number), how, keep.as_ref());
                self.continue_under(known, hands, role, report, by).await.map(Some)
            }
            Verb::Signal => {
                let (name, payload) = self.signal.clone().expect("a signal has a name");
                home.post(known, &Message::Signal { name, payload }).await.map(|_| None)
            }
            Verb::Cancel => home.post(known, &Message::Cancel).await.map(|_| None),
            Verb::Export => {
                *lock(&report.document) = Some(home.export(known).await?);
                Ok(None)
            }
            Verb::Delete => home.delete(std::slice::from_ref(known)).await.map(|()| None),
            Verb::Start | Verb::Prune | Verb::Compact | Verb::BackUp | Verb::Import | Verb::Recover => {
                unreachable!("the verb does not concern an existing run")
            }
        }
    }

    /// Continues the run under another definition, after the preview has announced the steps that
    /// run again.
    async fn continue_under(
        &self,
        known: &KnownRun,
        hands: &Hands,
        role: &Role,
        report: &Report,
        (edition, how, keep): (Edition, &How, Option<&String>),
    ) -> Result<DurableRun, ExecutorError> {
        let Hands { executor, ledger, .. } = hands;
        let new = Redefinition { definition: role.edition(edition).clone(), keep: keep.into_iter().cloned().collect() };
        let mut options = RewindOptions { definition: Some(new.clone()), ..RewindOptions::default() };
        let continuation = match how {
            How::Resume => Continuation::Resume,
            How::Retry => Continuation::Retry,
            How::Fork { from } => {
                options.from = Some(from.clone());
                Continuation::Fork
            }
        };
        let preview = executor.preview(known, continuation, &options).await?;
        // A removed step may be added again later, and then it runs again.
        let again = preview.runs_again.iter().map(|step| &step.path).chain(&preview.removed);
        let named: BTreeSet<String> = again.map(|path| within_its_run(path)).collect();
        if let How::Fork { .. } = how {
            let run = executor.fork(known, &options).await?;
            lock(ledger).inherit(known.id(), run.id(), &named);
            return Ok(self.begun(run, report));
        }
        for step in preview.runs_again.iter().filter(|step| step.has_completed) {
            let path = within_its_run(&step.path);
            if role.is_unchanged(&path, self.editions.iter().copied().chain([edition])) || keep == Some(&path) {
                let path = &step.path;
                lock(ledger).object(format!(
                    "{path} of run {} has not changed, but would run again: {:?}",
                    known.id(),
                    step.cause
                ));
            }
        }
        for run in &self.family {
            let mut ledger = lock(ledger);
            let again = named.iter().filter(|path| ledger.expect_again(*run, path)).map(|path| (*run, path.clone()));
            let again: Vec<(Uuid, String)> = again.collect();
            lock(&report.progress).announced.extend(again);
        }
        match how {
            How::Retry => executor.retry(known, &options).await,
            _ => executor.resume_with(known, new).await,
        }
    }

    /// Reports that `run` was created.
    fn begun(&self, run: DurableRun, report: &Report) -> DurableRun {
        lock(&report.progress).new = Some(run.id());
        run
    }
}

/// Returns the path of a step in its own run, without generations; `path` may begin with the steps that run sub-workflows.
fn within_its_run(path: &str) -> String {
    bare(path.rfind("/main/").map_or(path, |at| &path[at..]))
}
