//! A minimal journal, implemented as an ordinary interceptor, that can crash at each of its boundaries.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    StepError, StepPath,
    engine::{
        Call, CancelReason, Decision, DecisionKey, DecisionPoint, Interceptor, Next, NextDecision, NextRecall, Outcome,
    },
};
use tokio::sync::Notify;

/// The records that survive a crash.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    pub(crate) decisions: BTreeMap<(String, DecisionKey), Decision>,
}

impl Records {
    /// Returns all paths that have a record.
    pub(crate) fn paths(&self) -> Vec<StepPath> {
        let paths = self.outcomes.keys().chain(self.decisions.keys().map(|(path, _)| path));
        paths.map(|path| path.parse().unwrap()).collect()
    }
}

/// An interceptor that records outcomes and decisions; the process can crash before and after each record.
#[derive(Clone)]
pub(crate) struct Journal {
    records: Arc<Mutex<Records>>,
    boundary: Arc<AtomicU64>,
    crash_at: Option<u64>,
    crashed: Arc<Notify>,
}

impl Journal {
    /// Creates the journal of a process that crashes at boundary `crash_at`; `records` are kept for the next process.
    pub(crate) fn new(records: &Arc<Mutex<Records>>, crash_at: Option<u64>) -> Self {
        Self { records: records.clone(), boundary: Arc::default(), crash_at, crashed: Arc::default() }
    }

    /// Waits until the process crashes.
    pub(crate) async fn crashed(&self) {
        self.crashed.notified().await;
    }

    async fn append(&self, write: impl FnOnce(&mut Records)) {
        self.boundary().await;
        write(&mut self.records.lock().unwrap());
        self.boundary().await;
    }

    async fn boundary(&self) {
        let number = self.boundary.fetch_add(1, Ordering::SeqCst);
        if self.crash_at.is_some_and(|at| number >= at) {
            self.crashed.notify_one();
            // A crashed process never continues.
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Interceptor for Journal {
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let path = call.path().to_string();
        if let Some(outcome) = self.records.lock().unwrap().outcomes.get(&path) {
            return outcome.clone();
        }
        let outcome = next.run(call).await;
        let shut_down = matches!(&outcome, Outcome::Cancelled(c) if c.reason == CancelReason::Shutdown);
        if outcome.is_final() && !shut_down {
            self.append(|records| drop(records.outcomes.insert(path, outcome.clone()))).await;
        }
        outcome
    }

    async fn recall(&self, point: DecisionPoint<'_>, next: NextRecall<'_>) -> Result<Option<Decision>, StepError> {
        let known = self.records.lock().unwrap().decisions.get(&key_of(point)).cloned();
        if known.is_some() { Ok(known) } else { next.run(point).await }
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let key = key_of(point);
        if let Some(known) = self.records.lock().unwrap().decisions.get(&key) {
            return Ok(known.clone());
        }
        let decision = next.run(point, decision).await?;
        if !decision.is_withheld() {
            self.append(|records| drop(records.decisions.insert(key, decision.clone()))).await;
        }
        Ok(decision)
    }
}

fn key_of(point: DecisionPoint<'_>) -> (String, DecisionKey) {
    (point.call.path().to_string(), point.key.clone())
}
