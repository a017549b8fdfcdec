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

use super::{EventBus, EventData, EventKind, JoinSummary, PublishedByHost};

/// Publishes the events of runs to a bus.
///
/// Add it at [`Position::Hooks`](llmspell_workflows_basic::engine::Position::Hooks), before the
/// [`HookLayer`](crate::HookLayer). In this position, the layer is inside the journal, so recorded events are not
/// published again, and outside the hooks, so it publishes the results of their changes.
#[derive(Clone)]
pub struct EventLayer {
    bus: EventBus,
    always: bool,
}

impl EventLayer {
    /// Creates a layer that applies to every run, so subscribers can join while a run is in progress.
    #[must_use]
    pub fn new(bus: EventBus) -> Self {
        Self { bus, always: true }
    }

    /// Creates a layer that applies only to definitions prepared while the bus has subscribers.
    ///
    /// For other definitions, events cost nothing.
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
        let Some(kinds) = RoleKinds::of(call.role()).filter(|_| self.bus.is_wanted()) else {
            return next.run(call).await;
        };
        if is_published_by_host(call.run()) {
            return self.run_published_by_host(call, next).await;
        }
        self.bus.publish_step(kinds.started, &call, || EventData::None);
        let started_at = call.run().now();
        let outcome = next.run(call.clone()).await;
        let duration = since(started_at, call.run().now());
        if call.step().kind.pattern().joins() && outcome.is_final() {
            self.bus.publish_step_unrecorded(EventKind::BlockJoined, &call, || {
                EventData::Joined(join_summary(&call, duration))
            });
        }
        self.publish_outcome(&call, kinds, &outcome, duration);
        outcome
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let decision = next.run(point, decision).await?;
        if !is_published_by_host(point.call.run()) {
            self.publish_decision(point.call, &decision);
        }
        Ok(decision)
    }

    fn observe(&self, run: &Run, happening: Happening<'_>) {
        if is_published_by_host(run) {
            return;
        }
        match happening {
            Happening::Begins => self.bus.publish_run(EventKind::RunStarted, run, || {
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
                self.bus.publish_run(kind, run, || outcome_data(outcome, since(run.started_at(), run.now())));
            }
            Happening::Warns(warning) => {
                self.bus.publish_run(EventKind::RunWarned, run, || EventData::Warning(warning.clone()));
            }
            Happening::UndoesChild { .. } => {}
            Happening::Cancels { by, compensates } => self.bus.publish_run(EventKind::RunAsked, run, || {
                let request = if compensates { "cancel_and_compensate" } else { "cancel" };
                EventData::Asked { request: request.to_owned(), by: by.clone() }
            }),
        }
    }
}

/// Returns whether the run's events are published by its host.
fn is_published_by_host(run: &Run) -> bool {
    run.extension::<PublishedByHost>().is_some()
}

/// The event kinds for steps with a certain role.
#[derive(Clone, Copy)]
struct RoleKinds {
    started: EventKind,
    completed: EventKind,
    failed: EventKind,
}

impl RoleKinds {
    /// Returns the event kinds for `role`; `None` if the step is not in the definition or is the run as a whole.
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
    /// Runs a step whose events the host publishes. Publishes only the join of its branches, which is not recorded.
    async fn run_published_by_host(&self, call: Call, next: Next) -> Outcome {
        if !call.step().kind.pattern().joins() {
            return next.run(call).await;
        }
        let started_at = call.run().now();
        let outcome = next.run(call.clone()).await;
        if outcome.is_final() {
            let duration = since(started_at, call.run().now());
            self.bus.publish_step_unrecorded(EventKind::BlockJoined, &call, || {
                EventData::Joined(join_summary(&call, duration))
            });
        }
        outcome
    }

    fn publish_outcome(&self, call: &Call, kinds: RoleKinds, outcome: &Outcome, duration: Duration) {
        let kind = match outcome {
            Outcome::Completed(output) => {
                if !output.state_changes.is_empty() && call.step().kind.is_leaf() {
                    self.bus.publish_step(EventKind::StateChanged, call, || {
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
        self.bus.publish_step(kind, call, || outcome_data(outcome, duration));
    }

    fn publish_decision(&self, call: &Call, decision: &Decision) {
        let kind = match decision {
            Decision::Enter(Some(reason)) => {
                self.bus.publish_step(EventKind::StepSkipped, call, || EventData::Skipped(reason.clone()));
                return;
            }
            Decision::Attempt(_, Attempt::Failed { error, wake_at }) => {
                let (now, error) = (call.run().now(), error.clone());
                let duration = since(now, *wake_at);
                self.bus.publish_step(EventKind::StepRetrying, call, || EventData::Failed { error, duration });
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
        self.bus.publish_step(kind, call, || EventData::Chosen(call.run().shown_decision(decision.clone())));
    }
}

/// Returns the event data of an outcome.
fn outcome_data(outcome: &Outcome, duration: Duration) -> EventData {
    match outcome {
        Outcome::Completed(_) | Outcome::Cancelled(_) => EventData::Ended { duration },
        Outcome::Skipped(reason) => EventData::Skipped(reason.clone()),
        Outcome::Failed(failure) => EventData::Failed { error: failure.error.clone(), duration },
        Outcome::Parked(wait) => EventData::Waiting(wait.clone()),
        Outcome::Stuck(steps) => EventData::Stuck(steps.clone()),
    }
}

fn join_summary(call: &Call, duration: Duration) -> JoinSummary {
    let mut summary = JoinSummary { duration, ..JoinSummary::default() };
    for record in call.children() {
        summary.begun += 1;
        match record.status {
            StepStatus::Completed => summary.completed += 1,
            StepStatus::Failed => summary.failed += 1,
            StepStatus::Skipped => summary.skipped += 1,
            StepStatus::Cancelled => summary.cancelled += 1,
            _ => {}
        }
    }
    summary
}

fn since(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or(Duration::ZERO)
}
