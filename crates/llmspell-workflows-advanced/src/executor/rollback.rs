//! Creates checkpoints of runs, and rolls runs back to them.

use std::collections::BTreeSet;

use llmspell_workflows_basic::{RunStatus, StepPath};
use llmspell_workflows_hooks::{
    event::{EventData, EventKind},
    point::{WorkflowCheckpoint, WorkflowRollback},
};
use llmspell_workflows_state::{Record, Resumption, Rewinding, store::Snapshot};
use serde_json::json;
use uuid::Uuid;

use super::{DurableRun, Executor};
use crate::{ExecutorError, KnownRun, StateManager, state::state_from_records};

impl Executor {
    /// Stores a checkpoint of a run under `name`: the run's journal position and its state, as in
    /// [`StateManager::state`].
    ///
    /// Replaces an earlier checkpoint with the same name. The run is not interrupted.
    ///
    /// # Errors
    /// Returns an error if a hook forbids the checkpoint, the run does not exist, or a journal or the store cannot be
    /// read or written.
    pub async fn checkpoint(&self, run: Uuid, name: &str) -> Result<Snapshot, ExecutorError> {
        self.inner.services.permit(WorkflowCheckpoint, run, json!({"name": name})).await?;
        let records = self.inner.records(run).await?;
        let snapshot = Snapshot {
            run,
            name: name.to_owned(),
            position: records.len() as u64,
            at: self.inner.engine.clock().now(),
            state: state_from_records(run, &records)?.to_value(),
        };
        self.inner.home.stores().await?.snapshots.put(&snapshot).await?;
        let (at, name) = (snapshot.at, &snapshot.name);
        self.inner.services.publish(EventKind::RunCheckpointed, run, at, || EventData::Custom(json!({"name": name})));
        Ok(snapshot)
    }

    /// Rolls a run that has not completed back to its checkpoint `name`.
    ///
    /// Steps that started or ended after the checkpoint run again as their next generation; everything else is kept.
    /// The state of the checkpoint is restored. Signals stay consumed: a wait that runs again waits for a new signal.
    ///
    /// # Errors
    /// Returns an error if the checkpoint does not exist, nothing has happened since, the run has completed or was
    /// cancelled, another process owns the run, a hook forbids the rollback, or a journal or the store cannot be read
    /// or written.
    pub async fn rollback(&self, known: &KnownRun, name: &str) -> Result<DurableRun, ExecutorError> {
        let run = known.id();
        if matches!(known.status(), RunStatus::Completed | RunStatus::Cancelled | RunStatus::Compensated) {
            return Err(ExecutorError::Ended { run });
        }
        if self.inner.registry.is_owned(run) {
            return Err(ExecutorError::Driven { run });
        }
        let checkpoint = StateManager::new(self.inner.home.clone()).find_checkpoint(run, name).await?;
        self.inner.services.permit(WorkflowRollback, run, json!({"name": name})).await?;
        let mut bringing = self.inner.bring_in(run).await?;
        let known = bringing.look_again(run).await?;
        let mut records = bringing.records(&known).await?;
        let plan = self.plan_of(run, &records).await?;
        let mut rewinding = Rewinding::new(&plan, &records)?;
        let targets = since(&records, usize::try_from(checkpoint.position).unwrap_or(usize::MAX));
        let is_current = |path: &StepPath| rewinding.find(&path.to_string()).is_ok_and(|found| found == *path);
        let targets: Vec<_> = targets.into_iter().filter(is_current).collect();
        if targets.is_empty() {
            return Err(ExecutorError::NothingSince { run, name: name.to_owned() });
        }
        targets.iter().for_each(|target| rewinding.from(target));
        let now = self.inner.engine.clock().now();
        let rewound = rewinding.rewound(now);
        records.push(Record::Rewound(Box::new(rewound)));
        bringing.add(run, records);
        let lease = bringing.finish().await?;
        let owned = self.inner.own(run, &lease.id)?;
        let opened = self.open(owned, &lease, Resumption::Resumed).await?;
        self.inner.services.publish(EventKind::RunRolledBack, run, now, || EventData::Custom(json!({"name": name})));
        let run = opened;
        self.read_inbox(&run, true).await?;
        Ok(run)
    }
}

/// Returns the outermost steps that started at or after record `position`, and older steps that
/// ended after that record.
fn since(records: &[Record], position: usize) -> BTreeSet<StepPath> {
    let parsed = |record: &Record| record.path().and_then(|path| path.parse::<StepPath>().ok());
    let prefixes = |path: &StepPath| -> Vec<StepPath> {
        (1..=path.segments().len()).map(|length| StepPath::new(path.segments()[..length].to_vec())).collect()
    };
    let before: BTreeSet<StepPath> =
        records.iter().take(position).filter_map(parsed).flat_map(|path| prefixes(&path)).collect();
    let around = |path: StepPath| prefixes(&path).split_last().map(|(_, around)| around.to_vec()).unwrap_or_default();
    let blocks: BTreeSet<StepPath> = records.iter().filter_map(parsed).flat_map(around).collect();
    let mut targets = BTreeSet::new();
    for record in records.iter().skip(position) {
        let Some(path) = parsed(record) else { continue };
        match prefixes(&path).into_iter().find(|prefix| !before.contains(prefix)) {
            // The root exists from the beginning, whether or not it is recorded.
            Some(outermost) if outermost.segments().len() > 1 => drop(targets.insert(outermost)),
            Some(_) if path.segments().len() > 1 => drop(targets.insert(prefixes(&path).swap_remove(1))),
            None if path.segments().len() > 1 && !blocks.contains(&path) => drop(targets.insert(path)),
            _ => {}
        }
    }
    targets
}
