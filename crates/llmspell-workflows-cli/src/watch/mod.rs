//! What is shown of a run while it goes on.
//!
//! [`Watch`] is an interceptor that turns what the engine does into [`Event`]s; a [`View`] shows them: [`Lines`] one a
//! line, [`Jsonl`] for programs, [`Live`] as a tree that is redrawn in place.

mod jsonl;
mod lines;
mod live;
mod tree;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_advanced::{is_choice_recorded, is_recorded};
use llmspell_workflows_basic::{
    StepError, StepPath,
    engine::{
        Attempt, Call, Decision, DecisionPoint, Interceptor, Next, NextDecision, NextRecall, Outcome, SkipReason,
        StepStatus,
    },
    model::StepKind,
};
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use {jsonl::Jsonl, lines::Lines, live::Live};

/// Something that happened in a run.
#[derive(Debug)]
pub(crate) enum Event<'e> {
    /// A step begins.
    Began { path: &'e Place, kind: &'e str },
    /// A step has ended.
    Ended { path: &'e Place, status: StepStatus, elapsed: Duration, error: Option<&'e StepError> },
    /// A step does not run.
    Skipped { path: &'e Place, reason: &'e SkipReason },
    /// An attempt failed, and another one follows.
    Retried { path: &'e Place, attempt: u64, error: &'e StepError, delay: Duration },
    /// A loop knows how many iterations it makes.
    Counted { path: &'e Place, total: usize },
}

/// Where a step is: its path, behind those of the steps that are the runs around its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(Vec<StepPath>);

impl Place {
    /// The path in each of the runs, the outermost first.
    pub(crate) fn paths(&self) -> &[StepPath] {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|path| path.fmt(f))
    }
}

/// Shows what happens.
pub(crate) trait View: Send + Sync {
    /// Takes in one event; called from many tasks, so it must be quick.
    fn event(&self, event: &Event<'_>);

    /// Takes in one that had happened before this process went on with the run.
    fn recorded(&self, event: &Event<'_>) {
        let _ = event;
    }

    /// Some time has passed.
    fn tick(&self) {}

    /// The run has ended.
    fn finish(&self) {}
}

/// Tells a view of everything below the root step, which is the run itself.
pub(crate) struct Watch {
    view: Arc<dyn View>,
    /// The steps that are runs at work, by the ids of these.
    around: Mutex<HashMap<Uuid, Place>>,
}

impl Watch {
    pub(crate) fn new(view: Arc<dyn View>) -> Self {
        Self { view, around: Mutex::default() }
    }

    fn around(&self) -> MutexGuard<'_, HashMap<Uuid, Place>> {
        self.around.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, call: &Call) -> Place {
        let around = self.around().get(&call.run().id()).cloned();
        let paths = around.into_iter().flat_map(|place| place.0).chain([call.path().to_path()]);
        Place(paths.collect())
    }

    /// Tells the view of something that happens now, or that is on record.
    fn tell(&self, event: &Event<'_>, is_recorded: bool) {
        if is_recorded { self.view.recorded(event) } else { self.view.event(event) }
    }

    /// The steps of the run that `place` is are no longer to be placed.
    fn leave(&self, place: &Place) {
        self.around().retain(|_, around| around != place);
    }
}

#[async_trait]
impl Interceptor for Watch {
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        if call.path().to_path().segments().len() < 2 {
            return next.run(call).await;
        }
        let path = self.place(&call);
        let is_run = matches!(call.step().kind, StepKind::Workflow(_));
        let is_recorded = is_recorded(&call);
        self.tell(&Event::Began { path: &path, kind: call.step().kind.as_str() }, is_recorded);
        let began = Instant::now();
        let outcome = next.run(call).await;
        if is_run {
            self.leave(&path);
        }
        let (status, error) = match &outcome {
            Outcome::Completed(_) => (StepStatus::Completed, None),
            Outcome::Failed(failure) => (StepStatus::Failed, Some(&*failure.error)),
            Outcome::Cancelled(_) => (StepStatus::Cancelled, None),
            Outcome::Parked(_) => (StepStatus::Waiting, None),
            Outcome::Stuck(_) => (StepStatus::Stuck, None),
            Outcome::Skipped(reason) => {
                self.tell(&Event::Skipped { path: &path, reason }, is_recorded);
                return outcome;
            }
        };
        self.tell(&Event::Ended { path: &path, status, elapsed: began.elapsed(), error }, is_recorded);
        outcome
    }

    async fn recall(&self, point: DecisionPoint<'_>, next: NextRecall<'_>) -> Result<Option<Decision>, StepError> {
        let known = next.run(point).await?;
        known.iter().for_each(|decision| self.chosen(point.call, decision, true));
        Ok(known)
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let is_recorded = is_choice_recorded(&point);
        let answer = next.run(point, decision).await?;
        self.chosen(point.call, &answer, is_recorded);
        Ok(answer)
    }
}

impl Watch {
    /// Tells of a choice, as far as it is shown.
    fn chosen(&self, call: &Call, decision: &Decision, is_recorded: bool) {
        let path = || self.place(call);
        match decision {
            Decision::Enter(Some(reason)) => self.tell(&Event::Skipped { path: &path(), reason }, is_recorded),
            Decision::Items(items) => self.tell(&Event::Counted { path: &path(), total: items.len() }, is_recorded),
            Decision::Attempt(attempt, Attempt::Failed { error, wake_at }) => {
                let delay = Duration::try_from(wake_at.duration_since(Timestamp::now())).unwrap_or_default();
                let (path, attempt) = (path(), u64::from(*attempt));
                self.tell(&Event::Retried { path: &path, attempt, error, delay }, is_recorded);
            }
            Decision::Child(_, child) => {
                let place = path();
                self.around().insert(child.run, place);
            }
            _ => {}
        }
    }
}

/// The sign beside a status; never the only thing that says it.
pub(crate) fn sign(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "·",
        StepStatus::Running => "→",
        StepStatus::Waiting => "…",
        StepStatus::Completed => "✓",
        StepStatus::Failed => "✗",
        StepStatus::Skipped => "–",
        StepStatus::Cancelled => "■",
        _ => "?",
    }
}

/// A length of time as people read it: `340µs`, `12ms`, `1.2s`, `3m07s`.
pub(crate) fn elapsed(duration: Duration) -> String {
    match duration {
        d if d < Duration::from_millis(1) => format!("{}µs", d.as_micros()),
        d if d < Duration::from_secs(1) => format!("{}ms", d.as_millis()),
        d if d < Duration::from_secs(60) => format!("{:.1}s", d.as_secs_f64()),
        d if d < Duration::from_secs(3600) => format!("{}m{:02}s", d.as_secs() / 60, d.as_secs() % 60),
        d => format!("{}h{:02}m", d.as_secs() / 3600, d.as_secs() / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (millis, expected) in [(0, "0µs"), (12, "12ms"), (1_240, "1.2s"), (187_000, "3m07s"), (7_500_000, "2h05m")]
        {
            assert_eq!(elapsed(Duration::from_millis(millis)), expected);
        }
    }
}
