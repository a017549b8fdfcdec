use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    Run, StepError,
    engine::{
        Attempt, Call, Decision, DecisionPoint, Happening, Interceptor, Next, NextDecision, Outcome, Received, Role,
        StepStatus,
    },
    model::Step,
};

use super::{EventBus, EventData, EventKind, Joined, ToldByHost};

/// Tells a bus what happens to runs; stands at
/// [`Position::Hooks`](llmspell_workflows_basic::engine::Position::Hooks), added before the
/// [`HookLayer`](crate::HookLayer).
///
/// There it is inside of the journal, so that what a run knows from before is not told again, and outside of hooks,
/// so that what they change is told as it comes out.
#[derive(Clone)]
pub struct EventLayer {
    bus: EventBus,
    always: bool,
}

impl EventLayer {
    /// A layer for every run, also for subscribers that come while it goes on.
    #[must_use]
    pub fn new(bus: EventBus) -> Self {
        Self { bus, always: true }
    }

    /// A layer only for definitions that are prepared while somebody is subscribed: others cost nothing at all.
    #[must_use]
    pub fn only_if_wanted(bus: EventBus) -> Self {
        Self { bus, always: false }
    }
}

#[async_trait]
impl Interceptor for EventLayer {
    fn applies(&self, _: &Step) -> bool {
        self.always || self.bus.is_wanted()
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let Some(kinds) = Kinds::of(call.role()).filter(|_| self.bus.is_wanted()) else { return next.run(call).await };
        if is_told(call.run()) {
            return self.joined(call, next).await;
        }
        self.bus.tell(kinds.started, &call, || EventData::None);
        let started_at = call.run().now();
        let outcome = next.run(call.clone()).await;
        let duration = since(started_at, call.run().now());
        if call.step().kind.pattern().joins() && outcome.is_final() {
            self.bus.tell_transient(EventKind::BlockJoined, &call, || EventData::Joined(joined(&call, duration)));
        }
        self.ended(&call, kinds, &outcome, duration);
        outcome
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let decision = next.run(point, decision).await?;
        if !is_told(point.call.run()) {
            self.chosen(point.call, &decision);
        }
        Ok(decision)
    }

    fn observe(&self, run: &Run, happening: Happening<'_>) {
        if is_told(run) {
            return;
        }
        match happening {
            Happening::Begins => self.bus.tell_of_run(EventKind::RunStarted, run, || {
                let definition = run.definition();
                EventData::Workflow { name: definition.name.clone(), version: definition.version.to_string() }
            }),
            Happening::Ends(outcome) => {
                let kind = match outcome {
                    Outcome::Completed(_) => EventKind::RunCompleted,
                    Outcome::Skipped(_) => EventKind::RunSkipped,
                    _ if run.is_compensated() => EventKind::RunCompensated,
                    Outcome::Failed(_) => EventKind::RunFailed,
                    Outcome::Cancelled(_) => EventKind::RunCancelled,
                    Outcome::Parked(_) => EventKind::RunWaiting,
                    Outcome::Stuck(_) => EventKind::RunStuck,
                };
                self.bus.tell_of_run(kind, run, || said(outcome, since(run.started_at(), run.now())));
            }
            Happening::Warns(warning) => {
                self.bus.tell_of_run(EventKind::RunWarned, run, || EventData::Warning(warning.clone()));
            }
            Happening::Cancels { by, compensates } => self.bus.tell_of_run(EventKind::RunAsked, run, || {
                let request = if compensates { "cancel_and_compensate" } else { "cancel" };
                EventData::Asked { request: request.to_owned(), by: by.clone() }
            }),
        }
    }
}

/// Whether its host tells what happens to a run.
fn is_told(run: &Run) -> bool {
    run.extension::<ToldByHost>().is_some()
}

/// The kinds of events of a step by what it is to the one around it.
#[derive(Clone, Copy)]
struct Kinds {
    started: EventKind,
    completed: EventKind,
    failed: EventKind,
}

impl Kinds {
    /// None for what nobody wrote as a step; the run as a whole has its own.
    fn of(role: Role) -> Option<Self> {
        match role {
            Role::Member | Role::Branch => Some(Self {
                started: EventKind::StepStarted,
                completed: EventKind::StepCompleted,
                failed: EventKind::StepFailed,
            }),
            Role::Iteration => Some(Self {
                started: EventKind::IterationStarted,
                completed: EventKind::IterationCompleted,
                failed: EventKind::IterationFailed,
            }),
            _ => None,
        }
    }
}

impl EventLayer {
    /// Goes on with a step of a run that its host tells of; how its branches came together is on no record.
    async fn joined(&self, call: Call, next: Next) -> Outcome {
        if !call.step().kind.pattern().joins() {
            return next.run(call).await;
        }
        let started_at = call.run().now();
        let outcome = next.run(call.clone()).await;
        if outcome.is_final() {
            let duration = since(started_at, call.run().now());
            self.bus.tell_transient(EventKind::BlockJoined, &call, || EventData::Joined(joined(&call, duration)));
        }
        outcome
    }

    fn ended(&self, call: &Call, kinds: Kinds, outcome: &Outcome, duration: Duration) {
        let kind = match outcome {
            Outcome::Completed(output) => {
                if !output.state_changes.is_empty() && call.step().kind.is_leaf() {
                    self.bus.tell(EventKind::StateChanged, call, || {
                        let parts = output.state_changes.iter().map(|change| change.path.to_string());
                        EventData::Changed(parts.collect())
                    });
                }
                kinds.completed
            }
            Outcome::Failed(_) => kinds.failed,
            Outcome::Skipped(_) => EventKind::StepSkipped,
            Outcome::Cancelled(_) => EventKind::StepCancelled,
            Outcome::Parked(_) => EventKind::StepWaiting,
            Outcome::Stuck(_) => EventKind::StepStuck,
        };
        self.bus.tell(kind, call, || said(outcome, duration));
    }

    fn chosen(&self, call: &Call, decision: &Decision) {
        let kind = match decision {
            Decision::Enter(Some(reason)) => {
                self.bus.tell(EventKind::StepSkipped, call, || EventData::Skipped(reason.clone()));
                return;
            }
            Decision::Attempt(_, Attempt::Failed { error, wake_at }) => {
                let (now, error) = (call.run().now(), error.clone());
                let duration = since(now, *wake_at);
                self.bus.tell(EventKind::StepRetrying, call, || EventData::Failed { error, duration });
                return;
            }
            Decision::Branch(_) => EventKind::BranchChosen,
            Decision::Transition(..) => EventKind::RouteMoved,
            Decision::Items(_) => EventKind::LoopItems,
            Decision::Resolved(..) => EventKind::StateConflict,
            Decision::HookAnswer(..) | Decision::HookAnswerTo(..) | Decision::HookAnswerToSignal(..) => {
                EventKind::HookAnswered
            }
            Decision::Awaits(_, awaited) if awaited.signal.is_some() => EventKind::SignalAwaited,
            Decision::Received(_, Received::Signal(_)) => EventKind::SignalReceived,
            _ => return,
        };
        self.bus.tell(kind, call, || EventData::Chosen(decision.clone()));
    }
}

/// What there is to say of how something ended.
fn said(outcome: &Outcome, duration: Duration) -> EventData {
    match outcome {
        Outcome::Completed(_) | Outcome::Cancelled(_) => EventData::Ended { duration },
        Outcome::Skipped(reason) => EventData::Skipped(reason.clone()),
        Outcome::Failed(failure) => EventData::Failed { error: failure.error.clone(), duration },
        Outcome::Parked(wait) => EventData::Waiting(wait.clone()),
        Outcome::Stuck(steps) => EventData::Stuck(steps.clone()),
    }
}

fn joined(call: &Call, duration: Duration) -> Joined {
    let mut joined = Joined { duration, ..Joined::default() };
    for record in call.children() {
        joined.begun += 1;
        match record.status {
            StepStatus::Completed => joined.completed += 1,
            StepStatus::Failed => joined.failed += 1,
            StepStatus::Skipped => joined.skipped += 1,
            StepStatus::Cancelled => joined.cancelled += 1,
            _ => {}
        }
    }
    joined
}

fn since(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or(Duration::ZERO)
}
