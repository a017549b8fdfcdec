use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    join::{join_changes, limit, resolved_changes},
    judge::{Judge, Verdict},
    parallel_plan::ParallelPlan,
    progress::Progress,
};
use crate::{
    StepError, clock,
    engine::{Call, CallContext, CancelReason, Cancelled, Outcome, Tasks, UnfinishedSteps, choice, execute},
    model::{Aggregation, ErrorMode, OnConflict},
    state::Side,
};

/// Runs branches at the same time and joins them.
pub(super) async fn run(plan: &ParallelPlan, call: Call) -> Outcome {
    let mut tasks = Tasks::new(&call);
    let context = Arc::new(tasks.context(call.context.scope.clone(), call.context.state.clone()));
    let mut block = Block::new(&call, plan, context);
    if let Err(outcome) = block.replay().await {
        return outcome;
    }
    block.run(&mut tasks).await
}

struct Block<'a> {
    call: &'a Call,
    plan: &'a ParallelPlan,
    context: Arc<CallContext>,
    judge: Judge<'a>,
    /// The branches in the order in which they ended, if the order matters.
    order: Vec<usize>,
    began: Vec<Timestamp>,
    durations: Vec<Duration>,
    unfinished: UnfinishedSteps,
    left: Option<Cancelled>,
}

impl<'a> Block<'a> {
    fn new(call: &'a Call, plan: &'a ParallelPlan, context: Arc<CallContext>) -> Self {
        let count = plan.branches.len();
        Self {
            call,
            plan,
            context,
            judge: Judge::new(plan),
            order: Vec::new(),
            began: vec![call.run().now(); count],
            durations: vec![Duration::ZERO; count],
            unfinished: UnfinishedSteps::default(),
            left: None,
        }
    }

    /// Returns whether the outcome depends on which branch ends first.
    fn order_matters(&self) -> bool {
        let settings = &self.plan.settings;
        settings.aggregation == Aggregation::First
            || settings.error_mode == ErrorMode::FailFast
            || settings.on_conflict == OnConflict::First
    }

    /// Returns whether the durations of branches are needed.
    fn is_timed(&self) -> bool {
        matches!(self.plan.settings.aggregation, Aggregation::Custom(_))
    }

    fn child(&self, number: usize) -> Call {
        Call::new(self.context.clone(), &self.plan.branches[number])
    }

    /// Replays the branches that are recorded as ended, in the recorded order,
    /// before any other branch begins.
    async fn replay(&mut self) -> Result<(), Outcome> {
        while self.order_matters() && self.judge.verdict() == Verdict::Wait {
            let nth = choice::EndedNth(self.order.len() as u64);
            let known = self.call.recall(nth).await.map_err(|error| self.call.failed(error))?;
            let Some(number) = known else { break };
            if number >= self.plan.branches.len() || self.judge.has_ended(number) {
                let message = format!("branch {number} is recorded as ended, but does not exist or has already ended");
                return Err(self.call.failed(StepError::configuration("wrong_decision", message)));
            }
            let outcome = execute(self.child(number)).await;
            self.order.push(number);
            self.take(number, outcome);
        }
        Ok(())
    }

    async fn run(mut self, tasks: &mut Tasks) -> Outcome {
        let limit = limit(self.call, self.plan.settings.max_parallelism);
        let mut waiting =
            (0..self.plan.branches.len()).filter(|n| !self.judge.has_ended(*n)).collect::<Vec<_>>().into_iter();
        let mut verdict = self.judge.verdict();
        loop {
            while verdict == Verdict::Wait && tasks.len() + self.unfinished.waiting() < limit {
                let Some(number) = waiting.next() else { break };
                if self.is_timed() {
                    self.began[number] = self.call.run().now();
                }
                tasks.spawn(number, self.child(number), execute);
            }
            let Some((number, outcome)) = tasks.next().await else { break };
            if verdict == Verdict::Wait
                && self.order_matters()
                && outcome.is_final()
                && !matches!(outcome, Outcome::Cancelled(_))
            {
                if let Err(error) = self.call.decide(choice::EndedNth(self.order.len() as u64), number).await {
                    tasks.stop(CancelReason::FailFast);
                    let (_, unfinished) = tasks.drain().await;
                    return unfinished.stuck_or(self.call.failed(error));
                }
                self.order.push(number);
            }
            if verdict != Verdict::Wait {
                if let Some(outcome) = self.unfinished.take(outcome) {
                    self.collect_left_behind(&outcome);
                }
                continue;
            }
            self.take(number, outcome);
            verdict = self.judge.verdict();
            match verdict {
                Verdict::Wait => {}
                Verdict::Won => tasks.stop(CancelReason::LostRace),
                Verdict::Lost => tasks.stop(CancelReason::FailFast),
            }
        }
        self.conclude(verdict).await
    }

    fn take(&mut self, number: usize, outcome: Outcome) {
        if self.is_timed() {
            self.durations[number] = clock::until(self.began[number], self.call.run().now());
        }
        if let Some(outcome) = self.unfinished.take(outcome) {
            self.collect_left_behind(&outcome);
            self.judge.end(number, outcome);
        }
    }

    /// Collects the activities left behind by a cancelled branch.
    fn collect_left_behind(&mut self, outcome: &Outcome) {
        if let Outcome::Cancelled(cancelled) = outcome {
            self.left.get_or_insert_with(|| Cancelled::new(cancelled.reason)).absorb((**cancelled).clone());
        }
    }

    async fn conclude(mut self, verdict: Verdict) -> Outcome {
        let unfinished = std::mem::take(&mut self.unfinished);
        if self.call.cancel().is_cancelled() {
            return unfinished.stuck_or(match self.left {
                Some(left) => Outcome::cancelled(left),
                None => self.call.cancelled(),
            });
        }
        match verdict {
            Verdict::Wait => match unfinished.outcome() {
                Some(outcome) => outcome,
                None => self.finish().await,
            },
            // The waiting branches were stopped together with the running ones.
            Verdict::Won | Verdict::Lost => {
                let ended = self.finish().await;
                unfinished.stuck_or(ended)
            }
        }
    }

    /// Returns the outcome of the block once all of its branches have ended.
    async fn finish(self) -> Outcome {
        let value = match self.judge.conclude(self.call, &self.durations) {
            Ok(value) => value,
            Err(mut error) => {
                if let Some(left) = &self.left {
                    error.message += &left.left_behind();
                }
                return self.call.failed(error);
            }
        };
        if let Some(left) = self.left.as_ref().filter(|left| !left.left_behind().is_empty()) {
            let message = format!("the block continued without some of its branches{}", left.left_behind());
            self.call.run().warn("left_behind", self.call.path(), message);
        }
        self.join_state(value).await
    }

    async fn join_state(self, value: Value) -> Outcome {
        let sides: Vec<Side> = self
            .judge
            .ends()
            .iter()
            .enumerate()
            .filter_map(|(number, end)| match end {
                Some(Outcome::Completed(output)) => Some(Side {
                    name: self.plan.branches[number].id.to_string(),
                    changes: output.state_changes.clone(),
                    ended: self.order.iter().position(|other| *other == number).unwrap_or(number),
                }),
                _ => None,
            })
            .collect();
        let changes = match join_changes(self.call, &sides, &self.plan.settings.on_conflict) {
            Ok(joined) => resolved_changes(self.call, joined).await,
            Err(outcome) => Err(outcome),
        };
        let mut progress = Progress::new(self.call);
        match changes.and_then(|changes| progress.apply(self.call, changes)) {
            Ok(()) => progress.finish(self.call, None, value.into()),
            Err(outcome) => outcome,
        }
    }
}
