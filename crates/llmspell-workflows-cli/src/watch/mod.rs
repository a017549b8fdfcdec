//! Live progress of a run.
//!
//! [`Watch`] is an interceptor that turns the engine's calls into [`Event`]s, and a [`View`] shows them: [`Lines`]
//! prints one line per event, [`Jsonl`] prints JSON for programs, and [`Live`] redraws a tree in place.

mod items;
mod jsonl;
mod lines;
mod live;
mod render;
mod streamed;
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
    Run, StepError, StepPath,
    engine::{
        Attempt, Awaited, Call, Decision, DecisionPoint, Happening, Interceptor, Next, NextDecision, NextRecall,
        Outcome, Received, SkipReason, StepStatus,
    },
    model::{Pattern, StepKind},
};
use tokio::time::Instant;
use uuid::Uuid;

use items::Items;
pub(crate) use {
    jsonl::Jsonl,
    lines::Lines,
    live::Live,
    streamed::{LineEvent, Streamed, line_after_path},
};

/// Something that happened in a run.
#[derive(Debug)]
pub(crate) enum Event<'e> {
    /// A step started. `parts` is the number of inner steps, if each of them runs once; `item`
    /// describes an iteration's item.
    Began { path: &'e Place, kind: &'e str, is_leaf: bool, parts: Option<usize>, item: Option<&'e str> },
    /// A step began to wait for an event or a time. `run` is the run that contains the step.
    Awaits { path: &'e Place, run: Uuid, awaited: &'e Awaited },
    /// The wait of a step has ended.
    Received { path: &'e Place },
    /// A step ended.
    Ended { path: &'e Place, status: StepStatus, elapsed: Duration, error: Option<&'e StepError> },
    /// A step was skipped.
    Skipped { path: &'e Place, reason: &'e SkipReason },
    /// An attempt failed and will be retried.
    Retried { path: &'e Place, attempt: u64, error: &'e StepError, delay: Duration },
    /// The number of iterations of a loop is known.
    Counted { path: &'e Place, total: usize },
}

/// The location of a step: its path, preceded by the paths of the `workflow` steps that enclose its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place(Vec<StepPath>);

impl Place {
    /// Returns the path in each run, outermost first.
    pub(crate) fn paths(&self) -> &[StepPath] {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|path| path.fmt(f))
    }
}

/// Shows the events of a run.
pub(crate) trait View: Send + Sync {
    /// Shows an event. Called from many tasks, so it must be fast.
    fn event(&self, event: &Event<'_>);

    /// Shows an event that was recorded before this process resumed the run.
    fn recorded(&self, event: &Event<'_>) {
        let _ = event;
    }

    /// Shows the effect of an operating system signal immediately; the text stays visible while the
    /// run ends.
    fn notice(&self, text: &str);

    /// Called periodically to redraw the view.
    fn tick(&self) {}

    /// Called when the run has ended.
    fn finish(&self) {}
}

/// The `workflow` steps with active runs, by run id.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<Uuid, Place>>);

impl Places {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the step that started `run` as a sub-workflow.
    fn around(&self, run: Uuid) -> Option<Place> {
        self.lock().get(&run).cloned()
    }
}

/// Shows nothing.
pub(crate) struct Hidden;

impl View for Hidden {
    fn event(&self, _: &Event<'_>) {}

    fn notice(&self, _: &str) {}
}

/// Reports every step below the root step to a view; the root step is the run itself.
pub(crate) struct Watch {
    view: Arc<dyn View>,
    places: Arc<Places>,
    items: Items,
}

impl Watch {
    pub(crate) fn new(view: Arc<dyn View>, places: Arc<Places>) -> Self {
        Self { view, places, items: Items::default() }
    }

    fn place(&self, call: &Call) -> Place {
        self.place_in(call.run(), call.path().to_path())
    }

    fn place_in(&self, run: &Run, path: StepPath) -> Place {
        let around = self.places.around(run.id());
        Place(around.into_iter().flat_map(|place| place.0).chain([path]).collect())
    }

    /// Reports a new or a recorded event to the view.
    fn tell(&self, event: &Event<'_>, is_recorded: bool) {
        if is_recorded { self.view.recorded(event) } else { self.view.event(event) }
    }

    /// Forgets the run of the `workflow` step at `place`.
    fn leave(&self, place: &Place) {
        self.places.lock().retain(|_, around| around != place);
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
        let kind = &call.step().kind;
        let pattern = kind.traits().pattern;
        let parts = matches!(pattern, Pattern::List | Pattern::Parallel).then(|| call.step().children().len());
        let item = self.items.label(&path, call.run().masker());
        let (is_leaf, item, is_loop) = (pattern == Pattern::Leaf, item.as_deref(), pattern == Pattern::Loop);
        self.tell(&Event::Began { path: &path, kind: kind.as_str(), is_leaf, parts, item }, is_recorded);
        let began = Instant::now();
        let outcome = next.run(call).await;
        if is_run {
            self.leave(&path);
        }
        if is_loop {
            self.items.remove(&path);
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

    fn observe(&self, run: &Run, happening: Happening<'_>) {
        if let Happening::UndoesChild { path, child } = happening {
            let place = self.place_in(run, path.clone());
            self.places.lock().insert(child, place);
        }
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
    /// Reports a decision, if views show this kind of decision.
    fn chosen(&self, call: &Call, decision: &Decision, is_recorded: bool) {
        let path = || self.place(call);
        match decision {
            Decision::Enter(Some(reason)) => self.tell(&Event::Skipped { path: &path(), reason }, is_recorded),
            Decision::Items(items) => {
                let path = path();
                self.items.insert(&path, items);
                self.tell(&Event::Counted { path: &path, total: items.len() }, is_recorded);
            }
            Decision::Awaits(_, awaited) => {
                let signal = awaited.signal.as_ref().map(|name| call.run().masker().masked(name).into_owned());
                let awaited = Awaited { signal, ..awaited.clone() };
                self.tell(&Event::Awaits { path: &path(), run: call.run().id(), awaited: &awaited }, is_recorded);
            }
            Decision::Received(_, received) if *received != Received::Refused => {
                self.tell(&Event::Received { path: &path() }, is_recorded);
            }
            Decision::Attempt(attempt, Attempt::Failed { error, wake_at }) => {
                let delay = Duration::try_from(wake_at.duration_since(Timestamp::now())).unwrap_or_default();
                let (path, attempt) = (path(), u64::from(*attempt));
                self.tell(&Event::Retried { path: &path, attempt, error, delay }, is_recorded);
            }
            Decision::Child(_, child) => {
                let place = path();
                self.places.lock().insert(child.run, place);
            }
            _ => {}
        }
    }
}

/// Returns the symbol of a status; always shown together with the status name.
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

/// Formats a duration for people: `340µs`, `12ms`, `1.2s`, `3m07s`.
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
    fn durations_use_a_compact_format() {
        for (millis, expected) in [(0, "0µs"), (12, "12ms"), (1_240, "1.2s"), (187_000, "3m07s"), (7_500_000, "2h05m")]
        {
            assert_eq!(elapsed(Duration::from_millis(millis)), expected);
        }
    }
}
