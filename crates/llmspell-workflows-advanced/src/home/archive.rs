//! Moves ended runs from the journal to the store, where large values are stored separately from records.

use std::collections::HashSet;

use llmspell_workflows_state::{JournalError, OpenedLines, Record, RecordLines, store::Stores};
use uuid::Uuid;

use super::{Home, Lease};
use crate::ExecutorError;

/// The number of runs moved in one batch.
const BATCH: usize = 256;

impl dyn Home {
    /// Moves the ended `runs` from the journal of `lease` to the store.
    ///
    /// Children are moved together with their parents, and stay in the journal as long as their
    /// parents do. Returns the number of runs moved.
    ///
    /// Writes the summaries and then the records, which syncs both. The runs are removed from the
    /// journal only after that, so each run is in the journal or in the store at all times.
    pub(crate) async fn archive(&self, lease: &Lease, runs: &[Uuid]) -> Result<usize, ExecutorError> {
        let mut moved = 0;
        let here: HashSet<Uuid> = lease.journal.runs().into_iter().collect();
        for batch in runs.chunks(BATCH) {
            let (mut epochs, mut all, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
            let mut summaries = Vec::new();
            let mut next: Vec<Uuid> = batch.to_vec();
            while !next.is_empty() {
                // An earlier move stored and forgot some runs before it failed.
                next.retain(|run| here.contains(run) && !taken.contains(run));
                let opened = lease.journal.open_lines(&next).await?;
                let of_each = std::mem::take(&mut next).into_iter().zip(opened);
                for (run, OpenedLines { epoch, records }) in of_each.filter(|(_, opened)| !opened.records.is_empty()) {
                    let state = records.outline().map_err(|error| JournalError::unreadable(run, error))?;
                    let parent = state.started().and_then(|started| started.parent.as_ref()).map(|parent| parent.run);
                    if parent.is_some_and(|parent| here.contains(&parent) && !taken.contains(&parent)) {
                        continue;
                    }
                    next.extend(state.children());
                    taken.insert(run);
                    epochs.push((run, epoch));
                    summaries.extend(state.summary(run, None));
                    all.push((run, records));
                }
            }
            let stores = self.stores().await?;
            stores.runs.put_all(&summaries).await?;
            put_all(stores, all).await?;
            lease.journal.forget(&epochs).await?;
            moved += epochs.len();
        }
        Ok(moved)
    }
}

/// Stores the large values of ended runs and then their records, so that no record refers to a
/// missing value.
async fn put_all(stores: &Stores, mut runs: Vec<(Uuid, RecordLines)>) -> Result<(), ExecutorError> {
    for (run, records) in &mut runs {
        for (hash, bytes) in records.extract_large().map_err(|error| JournalError::unreadable(*run, error))? {
            let kept = stores.blobs.put(*run, bytes).await?;
            debug_assert_eq!(kept, hash, "records and blobs use the same hash");
        }
    }
    Ok(stores.archive.put_all(runs).await?)
}

/// Returns the records of an ended run, including their large values.
pub(super) async fn get(stores: &Stores, run: Uuid) -> Result<Option<Vec<Record>>, ExecutorError> {
    let Some(mut records) = stores.archive.get(run).await? else { return Ok(None) };
    for record in &mut records {
        for hash in record.large_hashes() {
            let bytes = stores.blobs.get(&hash).await?;
            let put_back = bytes.as_deref().map(|bytes| record.restore_large(&hash, bytes));
            if !matches!(put_back, Some(Ok(()))) {
                let message = format!("the large value {hash} is missing or damaged");
                return Err(JournalError::Damaged { run, message }.into());
            }
        }
    }
    Ok(Some(records))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use llmspell_workflows_basic::{
        Engine, WorkflowInput,
        model::{Definition, Step},
    };
    use llmspell_workflows_state::{Opened, store::RunSummary};

    use super::*;
    use crate::{Contact, Executor, MemoryHome, StartOptions};

    #[tokio::test]
    async fn moving_a_run_again_keeps_its_records() {
        let home: Arc<dyn Home> = MemoryHome::new().into();
        let executor = Executor::new(home.clone(), Engine::builder());
        let definition = Definition::sequence("short", [Step::set("a", serde_json::Map::new())]);
        let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await.unwrap();
        let id = run.id();
        executor.drive(run).await.unwrap();
        drop(executor);
        let journal = home.journals().await.unwrap().remove(0);
        let lease = home.lease(&journal, Contact::None).await.unwrap();
        home.archive(&lease, &[id]).await.unwrap();
        let stores = home.stores().await.unwrap();
        let records = get(stores, id).await.unwrap().unwrap();
        assert!(!records.is_empty());
        // This is the state after a move that failed once the run had been stored and forgotten.
        home.archive(&lease, &[id]).await.unwrap();
        assert_eq!(get(stores, id).await.unwrap().unwrap(), records);
        assert!(home.verify().await.unwrap().damage.is_empty());
        stores.archive.put(id, Vec::new()).await.unwrap();
        assert_eq!(home.verify().await.unwrap().damage, [format!("the run {id} has no records in the archive")]);
    }

    #[tokio::test]
    async fn a_move_interrupted_after_writing_the_summary_is_not_damage() {
        let home: Arc<dyn Home> = MemoryHome::new().into();
        let executor = Executor::new(home.clone(), Engine::builder());
        let definition = Definition::sequence("short", [Step::set("a", serde_json::Map::new())]);
        let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await.unwrap();
        let id = run.id();
        executor.drive(run).await.unwrap();
        drop(executor);
        let journal = home.journals().await.unwrap().remove(0);
        let lease = home.lease(&journal, Contact::None).await.unwrap();
        let Opened { records, .. } = lease.journal.open(id).await.unwrap();
        let summary = RunSummary::of(id, &records, None).unwrap();
        home.stores().await.unwrap().runs.put_all(&[summary]).await.unwrap();
        assert_eq!(home.verify().await.unwrap().damage, Vec::<String>::new());
        // A summary whose records are missing everywhere counts as damage.
        let lost = RunSummary::of(uuid::Uuid::from_u128(7), &records, None).unwrap();
        home.stores().await.unwrap().runs.put_all(&[lost]).await.unwrap();
        assert_eq!(home.verify().await.unwrap().damage.len(), 1);
    }
}
