//! Runs and their sub-workflows.

use llmspell_workflows_basic::{engine::Awaited, model::StepKind};
use llmspell_workflows_state::{RunState, StepState, store::Message};
use uuid::Uuid;

use super::{Home, KnownRun};
use crate::ExecutorError;

/// A step of a run, or of one of its sub-workflows, that waits for a signal or a time.
#[derive(Debug, Clone, PartialEq)]
pub struct RunWait {
    /// The run that the step belongs to.
    pub run: Uuid,
    /// The path of the step, prefixed with the paths of the enclosing sub-workflow steps.
    pub path: String,
    /// What the step waits for.
    pub awaited: Awaited,
    /// Whether the signal is stored, so that the step receives it once the run is resumed. Unknown, and false, if the step
    /// accepts only some signals of this name.
    pub has_arrived: bool,
}

/// The run of a sub-workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct SubRun {
    /// The path of its `workflow` step, prefixed with the paths of the enclosing sub-workflow steps.
    pub path: String,
    /// The run.
    pub run: KnownRun,
}

impl dyn Home {
    /// Returns the runs of the sub-workflows of a run, at any depth, in the order in which they were started. For a
    /// `workflow` step that was retried, this is the last run.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn sub_runs(&self, run: &KnownRun) -> Result<Vec<SubRun>, ExecutorError> {
        let mut found: Vec<SubRun> = Vec::new();
        let mut next = vec![SubRun { path: String::new(), run: run.clone() }];
        while let Some(SubRun { path: around, run }) = next.pop() {
            let state = RunState::read_outline(&self.records(&run).await?);
            for (path, step) in state.steps() {
                let Some(child) = StepState::child(step) else { continue };
                if let Some(run) = self.get(child).await? {
                    let sub = SubRun { path: format!("{around}{path}"), run };
                    next.push(sub.clone());
                    found.push(sub);
                }
            }
        }
        found.sort_by(|one, other| {
            let key = |sub: &SubRun| (sub.run.summary.started_at, sub.path.len());
            key(one).cmp(&key(other)).then_with(|| one.path.cmp(&other.path))
        });
        Ok(found)
    }

    /// Returns what the steps of a run and of its sub-workflows wait for, ordered by path.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn waits(&self, run: &KnownRun) -> Result<Vec<RunWait>, ExecutorError> {
        let mut waits = Vec::new();
        self.collect_waits(run, "", &mut waits).await?;
        waits.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(waits)
    }

    async fn collect_waits(&self, run: &KnownRun, around: &str, all: &mut Vec<RunWait>) -> Result<(), ExecutorError> {
        if run.status().has_ended() {
            return Ok(());
        }
        let state = RunState::read_outline(&self.records(run).await?);
        let (mut children, mut waiting) = (Vec::new(), Vec::new());
        for (path, step) in state.steps() {
            waiting.extend(step.waits().map(|awaited| (path, awaited)));
            let child = StepState::child(step).filter(|_| step.end().is_none());
            children.extend(child.map(|child| (format!("{around}{path}"), child)));
        }
        let mut stored = match waiting.iter().any(|(_, awaited)| awaited.signal.is_some()) {
            true => self.stored_signals(run, &state).await?,
            false => Vec::new(),
        };
        // Without its definition, nobody can say which signals a step accepts.
        let definition = if stored.is_empty() { None } else { self.definition(&run.summary.definition).await.ok() };
        let accepts_all = |path: &str| {
            let step = path.parse().ok().and_then(|path| definition.as_ref()?.step_at(&path));
            step.is_some_and(|step| matches!(&step.kind, StepKind::WaitForEvent(wait) if wait.filter.is_none()))
        };
        for (path, awaited) in waiting {
            let nth = stored.iter().position(|name| awaited.signal.as_ref() == Some(name) && accepts_all(path));
            let has_arrived = nth.map(|nth| stored.remove(nth)).is_some();
            all.push(RunWait { run: run.id(), path: format!("{around}{path}"), awaited, has_arrived });
        }
        for (path, child) in children {
            if let Some(child) = self.get(child).await? {
                Box::pin(self.collect_waits(&child, &path, all)).await?;
            }
        }
        Ok(())
    }

    /// Returns the names of the stored signals that no step of the run has received.
    async fn stored_signals(&self, run: &KnownRun, state: &RunState) -> Result<Vec<String>, ExecutorError> {
        let Some(stores) = self.existing_stores().await? else { return Ok(Vec::new()) };
        let (mut names, mut last) = (Vec::new(), 0);
        loop {
            let messages = stores.inbox.next(run.id(), last).await?;
            let Some((number, _)) = messages.last() else { return Ok(names) };
            last = *number;
            names.extend(messages.into_iter().filter_map(|(number, message)| match message {
                Message::Signal { name, .. } if !state.has_received(number) => Some(name),
                _ => None,
            }));
        }
    }

    /// Returns all sub-workflows of a run, at any depth, parents first.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn descendants(&self, run: &KnownRun) -> Result<Vec<KnownRun>, ExecutorError> {
        let mut found: Vec<KnownRun> = Vec::new();
        let mut next = vec![run.clone()];
        while let Some(run) = next.pop() {
            let state = RunState::read_outline(&self.records(&run).await?);
            for child in state.children() {
                if found.iter().any(|known| known.id() == child) {
                    continue;
                }
                if let Some(child) = self.get(child).await? {
                    next.push(child.clone());
                    found.push(child);
                }
            }
        }
        Ok(found)
    }

    /// Returns the run that `run` is a part of: `run` itself, unless it is a sub-workflow.
    ///
    /// # Errors
    /// Returns an error if a journal or the store cannot be read.
    pub async fn root_of(&self, run: &KnownRun) -> Result<KnownRun, ExecutorError> {
        let mut root = run.clone();
        while let Some(parent) = root.summary.parent {
            match self.get(parent).await? {
                Some(parent) => root = parent,
                None => break,
            }
        }
        Ok(root)
    }
}
