//! The signals that runs have not received yet.

use std::collections::{HashMap, HashSet};

use llmspell_workflows_basic::engine::Signal;
use llmspell_workflows_state::{JournalContents, Record, RunState, store::Message};
use uuid::Uuid;

use super::{Home, KnownRun};
use crate::ExecutorError;

impl dyn Home {
    /// Returns the signals sent to `run` that neither its steps nor those of its sub-workflows have received, oldest
    /// first.
    pub(super) async fn unreceived_signals(
        &self,
        run: &KnownRun,
        state: &RunState,
    ) -> Result<Vec<Signal>, ExecutorError> {
        let mut signals = self.signals(run.id()).await?;
        signals.retain(|signal| !state.has_received(signal.number));
        if !signals.is_empty() {
            let received = self.received_by_children(run, state).await?;
            signals.retain(|signal| !received.contains(&signal.number));
        }
        Ok(signals)
    }

    /// Returns the outlines of the runs in the journal of `run`, in which its sub-workflows are. There may be thousands of
    /// them, so the journal is read once.
    pub(super) async fn outlines_beside(&self, run: &KnownRun) -> Result<HashMap<Uuid, Vec<Record>>, ExecutorError> {
        let contents = match run.journal() {
            Some(journal) => self.outlines(journal).await?,
            None => JournalContents::default(),
        };
        Ok(contents.runs.into_iter().filter_map(|run| Some((run.run, run.records.ok()?))).collect())
    }

    async fn received_by_children(&self, run: &KnownRun, state: &RunState) -> Result<HashSet<u64>, ExecutorError> {
        let mut children = ReceivedByChildren::new(run.id(), state);
        if children.open.is_empty() {
            return Ok(children.received);
        }
        let outlines = self.outlines_beside(run).await?;
        while let Some(child) = children.next() {
            if let Some(records) = outlines.get(&child) {
                children.add(records);
            } else if let Some(child) = self.get(child).await? {
                children.add(&self.records(&child).await?);
            }
        }
        Ok(children.received)
    }

    /// Makes sure that the next message to `run` gets a number that its records do not mention, or the run would take it
    /// for one that it has already received. Numbers are used again if the store was lost or replaced by an older copy.
    pub(super) async fn skip_known_numbers(&self, run: &KnownRun) -> Result<(), ExecutorError> {
        let state = RunState::read_outline(&self.records(run).await?);
        let by_children = self.received_by_children(run, &state).await?.into_iter().max();
        let known = state.last_known_message().max(by_children.unwrap_or(0));
        let mut last = self.last_message(run.id()).await?;
        while last < known {
            // A request to resume does nothing in a run that reads it.
            last = self.stores().await?.inbox.post(run.id(), &Uuid::now_v7().to_string(), &Message::Resume).await?;
        }
        Ok(())
    }

    /// Returns all signals sent to `run`, oldest first.
    pub(crate) async fn signals(&self, run: Uuid) -> Result<Vec<Signal>, ExecutorError> {
        let Some(stores) = self.existing_stores().await? else { return Ok(Vec::new()) };
        let (mut signals, mut last) = (Vec::new(), 0);
        loop {
            let messages = stores.inbox.next(run, last).await?;
            let Some((number, _)) = messages.last() else { return Ok(signals) };
            last = *number;
            signals.extend(messages.into_iter().filter_map(|(number, message)| match message {
                Message::Signal { name, payload } => Some(Signal::new(number, name, payload)),
                _ => None,
            }));
        }
    }
}

/// Collects the numbers of a run's signals that its sub-workflows, at any depth, have received.
pub(crate) struct ReceivedByChildren {
    run: Uuid,
    open: Vec<Uuid>,
    /// The visited runs, since imported runs can claim to be each other's parents.
    visited: HashSet<Uuid>,
    pub(crate) received: HashSet<u64>,
}

impl ReceivedByChildren {
    /// Starts with the sub-workflows of `run`.
    pub(crate) fn new(run: Uuid, state: &RunState) -> Self {
        Self { run, open: state.all_children().collect(), visited: HashSet::from([run]), received: HashSet::new() }
    }

    /// Returns the next sub-workflow whose records have to be added.
    pub(crate) fn next(&mut self) -> Option<Uuid> {
        std::iter::from_fn(|| self.open.pop()).find(|child| self.visited.insert(*child))
    }

    /// Adds the records of a sub-workflow.
    pub(crate) fn add(&mut self, records: &[Record]) {
        let state = RunState::read_outline(records);
        self.received.extend(state.received_of(self.run));
        self.open.extend(state.all_children());
    }
}
