//! Brings runs into a journal of this process from another journal or from the archive, or changes
//! runs in place.
//!
//! To move a run, an executor first claims the run and its sub-workflows, so that nothing else
//! can change them, and reads them from their current location. The runs then arrive in their
//! new journal all at once; until then, they stay in the old location. After the arrival, they
//! are removed from their former journals. A process that dies before the removal leaves an
//! outdated copy there. The copy has an earlier epoch, so it does not count, and the next
//! process that resumes the run removes it.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_state::{Arrival, Epoch, Record, RunState};
use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::Inner;
use crate::{
    ExecutorError, KnownRun,
    home::{Claim, JournalId, Lease, RunLocation},
};

/// The amount by which a move raises the epoch of a run.
///
/// An outdated copy can be opened and rewritten until it is removed, and each time its epoch rises
/// by one. The copy's epoch must never catch up with the run's epoch.
const MOVE: u64 = 1 << 32;

/// Runs that are being brought into a journal.
pub(super) struct Bringing<'e> {
    inner: &'e Arc<Inner>,
    _claim: Claim,
    /// A lock that prevents the runs from being archived.
    _archiving: MutexGuard<'e, ()>,
    /// The journals that contain the runs.
    sources: BTreeMap<JournalId, Lease>,
    /// The origin of each run.
    read: BTreeMap<Uuid, Origin>,
    arrivals: Vec<Arrival>,
}

/// The place from which a run was read: the journal (`None` for the archive) and the run's
/// epoch there.
struct Origin {
    epoch: Epoch,
    journal: Option<JournalId>,
    copies: Vec<JournalId>,
}

impl Inner {
    /// Claims `run` and its sub-workflows in order to bring them in.
    pub(super) async fn bring_in(self: &Arc<Self>, run: Uuid) -> Result<Bringing<'_>, ExecutorError> {
        let claim = self.home.claim(run).await?;
        Ok(Bringing {
            inner: self,
            _claim: claim,
            _archiving: self.archiving.lock().await,
            sources: BTreeMap::new(),
            read: BTreeMap::new(),
            arrivals: Vec::new(),
        })
    }
}

impl Bringing<'_> {
    /// Returns the current version of a claimed run, which nobody else can change until this value
    /// is dropped.
    pub(super) async fn look_again(&self, run: Uuid) -> Result<KnownRun, ExecutorError> {
        self.inner.home.get(run).await?.ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))
    }

    /// Reads the records of a run. If the run is in a journal, the journal is leased until the run
    /// has been brought in.
    pub(super) async fn records(&mut self, known: &KnownRun) -> Result<Vec<Record>, ExecutorError> {
        let run = known.id();
        if self.inner.registry.is_owned(run) {
            return Err(ExecutorError::Driven { run });
        }
        let mut known = known.clone();
        // The run may be archived while its journal is leased. It cannot return to a journal,
        // because it is claimed.
        while let RunLocation::Journal(journal) = &known.location {
            let lease = self.source(run, journal).await?;
            if lease.journal.runs().contains(&run) {
                let opened = lease.journal.open(run).await?;
                let origin = Origin { epoch: opened.epoch, journal: Some(lease.id), copies: known.copies.clone() };
                self.read.insert(run, origin);
                return Ok(opened.records);
            }
            known = self.look_again(run).await?;
        }
        self.read.insert(run, Origin { epoch: Epoch::default(), journal: None, copies: Vec::new() });
        self.inner.home.records(&known).await
    }

    /// Adds a run with its new records.
    pub(super) fn add(&mut self, run: Uuid, records: Vec<Record>) {
        let after = self.read.get(&run).map_or(Epoch::default(), |origin| origin.epoch);
        let after = Epoch(after.0.saturating_add(MOVE));
        self.arrivals.push(Arrival { run, after, records });
    }

    /// Brings in the added runs and returns the lease on their new journal.
    pub(super) async fn finish(self) -> Result<Lease, ExecutorError> {
        let target = self.target().await?;
        self.finish_in(&target).await?;
        Ok(target)
    }

    /// Brings the added runs into the journal of `target`.
    pub(super) async fn finish_in(mut self, target: &Lease) -> Result<(), ExecutorError> {
        self.add_families(&target.id).await?;
        let Self { inner, sources, mut read, arrivals, .. } = self;
        let runs: Vec<Uuid> = arrivals.iter().map(|arrival| arrival.run).collect();
        if let Some(ended) = inner.registry.runs().ended.get_mut(&target.id) {
            ended.runs.retain(|run| !runs.contains(run));
        }
        target.journal.arrive(arrivals).await?;
        for run in runs {
            let Some(Origin { epoch, journal, copies }) = read.remove(&run) else { continue };
            if let Some(source) = journal.filter(|journal| *journal != target.id).and_then(|id| sources.get(&id)) {
                source.journal.forget(&[(run, epoch)]).await?;
            }
            inner.drop_copies(run, &copies, &target.id).await?;
        }
        Ok(())
    }

    /// Adds the other sub-workflows of the added runs, unchanged, if they would be left behind in a
    /// journal other than `target`. A sub-workflow must stay in its parent's journal, no matter
    /// which process moves the parent.
    async fn add_families(&mut self, target: &JournalId) -> Result<(), ExecutorError> {
        if !self.inner.home.has_journals() {
            return Ok(());
        }
        let mut moved: BTreeMap<JournalId, Vec<Uuid>> = BTreeMap::new();
        for arrival in &self.arrivals {
            let journal = self.read.get(&arrival.run).and_then(|origin| origin.journal.clone());
            journal.filter(|journal| journal != target).into_iter().for_each(|journal| {
                moved.entry(journal).or_default().push(arrival.run);
            });
        }
        for (journal, runs) in moved {
            let summaries = self.inner.home.summaries(&journal).await?;
            for run in runs.into_iter().flat_map(|run| family_of(run, &summaries.runs)) {
                if self.arrivals.iter().any(|arrival| arrival.run == run) {
                    continue;
                }
                let here = KnownRun { location: RunLocation::Journal(journal.clone()), ..self.look_again(run).await? };
                let records = self.records(&here).await?;
                self.add(run, records);
            }
        }
        self.add_archived_families().await
    }

    /// Adds the remaining sub-workflows of the added runs that were archived.
    async fn add_archived_families(&mut self) -> Result<(), ExecutorError> {
        let mut at = 0;
        while let Some(Arrival { run, records, .. }) = self.arrivals.get(at) {
            at += 1;
            if self.read.get(run).is_none_or(|origin| origin.journal.is_some()) {
                continue;
            }
            for child in RunState::read_outline(records).children() {
                if self.arrivals.iter().any(|arrival| arrival.run == child) {
                    continue;
                }
                let Some(known) = self.inner.home.get(child).await? else { continue };
                let records = self.records(&known).await?;
                self.add(child, records);
            }
        }
        Ok(())
    }

    /// Returns the target journal. If one journal contains all the runs and this process has leased
    /// it, that journal is the target. Otherwise, the target is the journal for new runs.
    async fn target(&self) -> Result<Lease, ExecutorError> {
        let mut from = self.arrivals.iter().map(|arrival| self.read.get(&arrival.run)?.journal.as_ref());
        if let Some(first) = from.next().flatten()
            && from.all(|journal| journal == Some(first))
            && let Some(lease) = self.inner.leased_journal(first).await
        {
            return Ok(lease);
        }
        self.inner.own_lease().await
    }

    /// Returns the lease on `journal`, which contains `run`.
    async fn source(&mut self, run: Uuid, journal: &JournalId) -> Result<Lease, ExecutorError> {
        if let Some(lease) = self.sources.get(journal) {
            return Ok(lease.clone());
        }
        if !self.inner.home.has_journals() {
            return self.inner.lease_of(run, journal).await;
        }
        let lease = self.inner.lease_briefly(run, journal).await?;
        self.sources.insert(journal.clone(), lease.clone());
        Ok(lease)
    }
}

impl Inner {
    /// Removes outdated copies of a run that is now in the journal `place`. If the run arrived in a
    /// journal with an outdated copy, it has already replaced that copy.
    pub(super) async fn drop_copies(
        self: &Arc<Self>,
        run: Uuid,
        copies: &[JournalId],
        place: &JournalId,
    ) -> Result<(), ExecutorError> {
        for journal in copies.iter().filter(|journal| *journal != place) {
            self.lease_briefly(run, journal).await?.forget(run).await?;
        }
        Ok(())
    }

    /// Returns the lease on the journal that contains `known` and its sub-workflows.
    ///
    /// If their journal is damaged or contains other runs to resume, the runs are first moved to
    /// the journal for new runs, so that other processes can still take the other runs.
    pub(super) async fn lease_run(
        self: &Arc<Self>,
        known: &KnownRun,
        journal: &JournalId,
    ) -> Result<Lease, ExecutorError> {
        if !self.home.has_journals() || self.leased_journal(journal).await.is_some() {
            return self.lease_of(known.id(), journal).await;
        }
        let lease = self.lease_briefly(known.id(), journal).await?;
        if lease.is_only_for(known.id()) {
            return self.keep_lease(lease).await;
        }
        // The process that has claimed the run may be waiting for this lease.
        drop(lease);
        let summaries = self.home.summaries(journal).await?;
        let family = family_of(known.id(), &summaries.runs);
        let is_stranger =
            |run: &&crate::home::LiveRunSummary| !run.summary.status.has_ended() && !family.contains(&run.summary.id);
        let is_alone = summaries.runs.iter().find(is_stranger).is_none();
        if is_alone && summaries.damaged.is_empty() && summaries.damage.is_empty() {
            return self.lease_of(known.id(), journal).await;
        }
        let mut bringing = self.bring_in(known.id()).await?;
        for run in family {
            let here = KnownRun { location: RunLocation::Journal(journal.clone()), ..bringing.look_again(run).await? };
            let records = bringing.records(&here).await?;
            bringing.add(run, records);
        }
        bringing.finish().await
    }
}

/// Returns `run` and its sub-workflows among `runs`, parents first.
fn family_of(run: Uuid, runs: &[crate::home::LiveRunSummary]) -> Vec<Uuid> {
    let mut family = vec![run];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = runs.iter().filter(|run| run.summary.parent == Some(parent)).map(|run| run.summary.id);
        let children: Vec<Uuid> = children.filter(|child| !family.contains(child)).collect();
        family.extend(children);
        at += 1;
    }
    family
}
