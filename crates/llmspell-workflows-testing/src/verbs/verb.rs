use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use llmspell_workflows_advanced::{
    DurableRun, ExecutorError, KnownRun, Message, Prune, Resolution, RewindOptions, StartOptions,
};
use llmspell_workflows_basic::{WorkflowInput, sync::lock};
use serde_json::Value;
use uuid::Uuid;

use super::{cast::Role, ladder::LadderId, model::Progress, process::Hands};

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
    Migrate,
    Export,
    Import,
    Delete,
    Prune,
    Compact,
    BackUp,
    /// Resumes all runs that nobody owns, and keeps those that wait.
    Recover,
}

impl Verb {
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
            | Self::Migrate => true,
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
        !matches!(self, Self::Export | Self::Rerun | Self::Fork { .. })
    }
}

/// A verb with everything that it needs.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) verb: Verb,
    /// The run that the verb concerns; `None` if it concerns the home.
    pub(super) run: Option<Uuid>,
    /// The workflow of the run that the verb concerns or creates.
    pub(super) workflow: String,
    /// The ladder of the run that is created.
    pub(super) creates: Option<LadderId>,
    /// The name and the data of the signal that is sent.
    pub(super) signal: Option<(String, Value)>,
    /// The step that is resolved; `None` if the run is not stuck.
    pub(super) stuck: Option<Stuck>,
    /// The document that is imported.
    pub(super) document: Option<Arc<Value>>,
    /// The folder of the backup.
    pub(super) to: Option<PathBuf>,
    /// The runs that a recovery has to resume.
    pub(super) open: BTreeSet<Uuid>,
}

/// A stuck step of a run or of a sub-workflow.
#[derive(Debug, Clone, Default)]
pub(super) struct Stuck {
    pub(super) run: Uuid,
    pub(super) path: String,
    /// The output that the step would have.
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
        }
    }
}

/// What a verb reports while it works; it survives the crash of its process.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) progress: Arc<Mutex<Progress>>,
    /// The document that was exported.
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

    /// Performs the verb on the run `known`; returns the run that has to be driven, if any.
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
                let next = role.next.clone().expect("the workflow has a next definition");
                executor.resume_with(known, next).await.map(Some)
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
                unreachable!("the verb concerns no existing run")
            }
        }
    }

    /// Notes that `run` was created.
    fn begun(&self, run: DurableRun, report: &Report) -> DurableRun {
        lock(&report.progress).new = Some(run.id());
        run
    }
}
