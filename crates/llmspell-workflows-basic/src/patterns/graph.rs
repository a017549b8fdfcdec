use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    join::{conflict_outcome, limit},
    list::{before_start, starting_step},
    progress::Progress,
};
use crate::{
    engine::{
        Call, CancelReason, Failure, Outcome, Scope, SkipReason, Slots, StepStatus, Tasks, UnfinishedSteps,
        VisibleResult, execute,
    },
    model::TriggerRule,
    plan::{List, graph::Graph},
    state::{Change, Conflict, SharedValue, StatePath, WorkflowState},
};

/// Runs each step of a list as soon as all steps that it waits for have ended.
pub(super) async fn graph(call: Call, list: Arc<List>, slots: Arc<Slots>) -> Outcome {
    let start = match starting_step(&call, &list) {
        Ok(start) => start,
        Err(outcome) => return outcome,
    };
    let mut walk = Walk::new(&call, &list, slots, start);
    if call.node().is_root {
        call.run().set_root_scope(&Scope::list(call.context.scope.clone(), &list, &walk.slots));
    }
    let mut tasks = Tasks::new(&call);
    let limit = limit(&call, None);
    loop {
        while tasks.len() + walk.unfinished.waiting() < limit && walk.stopped.is_none() {
            let Some(number) = walk.ready.pop_front() else { break };
            match walk.child(number, &tasks) {
                Ok(child) => tasks.spawn(number, child, execute),
                Err(outcome) => walk.stop(outcome, &tasks),
            }
        }
        match tasks.next().await {
            Some((number, outcome)) => walk.end(number, outcome, &tasks),
            None => return walk.finish(),
        }
    }
}

/// The progress of a graph.
struct Walk<'a> {
    call: &'a Call,
    list: &'a Arc<List>,
    graph: &'a Graph,
    slots: Arc<Slots>,
    changes: Vec<Vec<Change>>,
    /// The state that each step sees and, once the step has ended, the state after it.
    states: Vec<Option<Arc<WorkflowState>>>,
    ready: VecDeque<usize>,
    left: Vec<usize>,
    followers: Vec<Vec<usize>>,
    start: Option<usize>,
    failed: Vec<(usize, Failure)>,
    /// The failed step behind each step that was skipped, directly or indirectly, because of a
    /// failure.
    blamed: Vec<Option<usize>>,
    unfinished: UnfinishedSteps,
    stopped: Option<Outcome>,
}

impl<'a> Walk<'a> {
    fn new(call: &'a Call, list: &'a Arc<List>, slots: Arc<Slots>, start: Option<usize>) -> Self {
        let graph = list.graph.as_ref().expect("only lists with dependencies are walked as graphs");
        let count = list.nodes.len();
        let mut followers = vec![Vec::new(); count];
        for (step, others) in graph.waits_for.iter().enumerate() {
            others.iter().for_each(|other| followers[*other].push(step));
        }
        let left: Vec<usize> = graph.waits_for.iter().map(Vec::len).collect();
        Self {
            call,
            list,
            graph,
            slots,
            changes: vec![Vec::new(); count],
            states: vec![None; count],
            ready: (0..count).filter(|step| left[*step] == 0).collect(),
            left,
            followers,
            start,
            failed: Vec::new(),
            blamed: vec![None; count],
            unfinished: UnfinishedSteps::default(),
            stopped: None,
        }
    }

    /// Creates the call of step `number`, which sees the base state and the
    /// changes of all earlier steps.
    fn child(&mut self, number: usize, tasks: &Tasks) -> Result<Call, Outcome> {
        let state = self.view(number)?;
        let scope = Scope::graph(self.call.context.scope.clone(), self.list, &self.slots, number);
        let context = tasks.context(Some(scope), state.clone());
        let child = Call::new(Arc::new(context), &self.list.nodes[number]);
        self.states[number] = Some(state);
        let gate = match self.start {
            Some(start) if start == number => None,
            Some(start) if self.graph.is_before(number, start) => {
                Some(before_start(self.list.nodes[start].id.as_str()))
            }
            _ => self.gate(number),
        };
        Ok(match gate {
            Some(reason) => child.with_gate(reason),
            None => child,
        })
    }

    /// Returns the state that step `number` sees.
    fn view(&self, number: usize) -> Result<Arc<WorkflowState>, Outcome> {
        let nearest = &self.graph.waits_for[number];
        let is_last = |one: &&usize| nearest.iter().all(|other| other == *one || self.graph.is_before(*other, **one));
        if let Some(state) = nearest.iter().find(is_last).and_then(|last| self.states[*last].clone()) {
            return Ok(state);
        }
        let before = (0..self.list.nodes.len()).filter(|other| self.graph.is_before(*other, number));
        let mut progress = Progress::new(self.call);
        progress.apply(self.call, self.merged(before)?)?;
        Ok(progress.state)
    }

    /// Returns the changes of `steps`, ordered so that each change follows the changes that its step has seen.
    ///
    /// Two steps that have not seen each other's changes conflict if they set different values for
    /// the same part of the state, or for a part and another part inside it. A part that a later
    /// step has overwritten causes no conflict.
    fn merged(&self, steps: impl Iterator<Item = usize>) -> Result<Vec<Change>, Outcome> {
        let mut changed: Vec<usize> = steps.filter(|step| !self.changes[*step].is_empty()).collect();
        changed.sort_unstable_by_key(|step| self.graph.ranks[*step]);
        let mut later: BTreeMap<&str, Vec<(usize, &StatePath)>> = BTreeMap::new();
        for &step in changed.iter().rev() {
            for Change { path, .. } in self.changes[step].iter().rev() {
                let others = later.entry(path.root()).or_default();
                let follows = |other: usize| other == step || self.graph.is_before(step, other);
                if others.iter().any(|(other, other_path)| follows(*other) && other_path.contains(path)) {
                    continue;
                }
                for (other, other_path) in others.iter().filter(|(other, _)| !follows(*other)) {
                    self.check_agreement((step, path), (*other, other_path))?;
                }
                others.push((step, path));
            }
        }
        Ok(changed.into_iter().flat_map(|step| self.changes[step].iter().cloned()).collect())
    }

    /// Checks that two steps do not set the given paths of the state to different values.
    fn check_agreement(&self, one: (usize, &StatePath), two: (usize, &StatePath)) -> Result<(), Outcome> {
        let path = match (one.1.contains(two.1), two.1.contains(one.1)) {
            (true, _) => one.1,
            (_, true) => two.1,
            _ => return Ok(()),
        };
        let mut steps = [one.0, two.0];
        steps.sort_unstable();
        let value =
            |step: usize| self.states[step].as_ref().and_then(|state| state.at(path)).cloned().unwrap_or_default();
        let values: Vec<_> = steps.iter().map(|step| (self.list.nodes[*step].id.to_string(), value(*step))).collect();
        if values[0].1 == values[1].1 {
            return Ok(());
        }
        Err(conflict_outcome(self.call, Conflict { path: path.clone(), values }))
    }

    /// Returns the skip reason if the trigger rule of step `number` prevents it from running.
    fn gate(&mut self, number: usize) -> Option<SkipReason> {
        let dependencies = &self.graph.dependencies[number];
        let rule = self.list.nodes[number].step.trigger_rule;
        if dependencies.is_empty() {
            // A step without dependencies runs even if other steps fail, because it could have
            // begun earlier.
            return None;
        }
        // A step skipped because of a failure counts as that failure.
        let failure = dependencies.iter().find_map(|step| self.failure_behind(*step));
        let succeeded =
            |step: &&usize| self.failure_behind(**step).is_none() && self.status(**step) != StepStatus::Skipped;
        let successes = dependencies.iter().filter(succeeded).count();
        let runs = match rule {
            TriggerRule::NoneFailedMinOneSuccess => failure.is_none() && successes > 0,
            TriggerRule::AllSuccess => successes == dependencies.len(),
            TriggerRule::OneSuccess => successes > 0,
            TriggerRule::AllDone | TriggerRule::Always => true,
        };
        if runs {
            return None;
        }
        self.blamed[number] = failure;
        Some(self.reason(rule, dependencies, successes))
    }

    /// Returns the step whose failure counts for the dependents of `step`. A handled failure does not count.
    fn failure_behind(&self, step: usize) -> Option<usize> {
        let has_failed = self.failed.iter().any(|(failed, _)| *failed == step);
        if has_failed { Some(step) } else { self.blamed[step] }
    }

    fn status(&self, step: usize) -> StepStatus {
        self.slots.get(step).map_or(StepStatus::Pending, |ended| ended.status)
    }

    fn reason(&self, rule: TriggerRule, dependencies: &[usize], successes: usize) -> SkipReason {
        let id = |step: usize| &self.list.nodes[step].id;
        let all = dependencies.iter().map(|&step| match self.blamed[step] {
            Some(failed) => format!("`{}` skipped because `{}` failed", id(step), id(failed)),
            None => format!("`{}` {}", id(step), self.status(step).as_str()),
        });
        let all = all.collect::<Vec<_>>().join(", ");
        let has_failed = dependencies.iter().any(|step| self.failure_behind(*step).is_some());
        match (has_failed, successes) {
            (true, _) => SkipReason::new("dependency_failed", format!("a dependency failed: {all}")),
            (false, 0) => SkipReason::new("dependencies_skipped", format!("all dependencies were skipped: {all}")),
            (false, _) => {
                SkipReason::new("trigger_rule", format!("the trigger rule `{}` is not met: {all}", rule.as_str()))
            }
        }
    }

    fn end(&mut self, number: usize, outcome: Outcome, tasks: &Tasks) {
        let Some(outcome) = self.unfinished.take(self.list.ended(self.call.path(), number, outcome)) else { return };
        let ended = match outcome {
            Outcome::Completed(output) => {
                let mut left = Progress::new(self.call);
                left.state = self.states[number].take().unwrap_or(left.state);
                if let Err(outcome) = left.apply(self.call, output.state_changes.clone()) {
                    return self.stop(outcome, tasks);
                }
                self.states[number] = Some(left.state);
                self.changes[number] = output.state_changes;
                VisibleResult { status: StepStatus::Completed, value: output.value, error: None }
            }
            Outcome::Skipped(_) => {
                VisibleResult { status: StepStatus::Skipped, value: SharedValue::default(), error: None }
            }
            Outcome::Failed(failure) => {
                let error = Some(Arc::new((*failure.error).clone()));
                if !failure.handled {
                    self.failed.push((number, failure));
                }
                VisibleResult { status: StepStatus::Failed, value: SharedValue::default(), error }
            }
            other @ (Outcome::Cancelled(_) | Outcome::Parked(_) | Outcome::Stuck(_)) => {
                if let Some(ended) = VisibleResult::of_last(&other) {
                    self.slots.set(number, ended);
                }
                return self.stop(other, tasks);
            }
        };
        self.slots.set(number, ended);
        for follower in self.followers[number].clone() {
            self.left[follower] -= 1;
            if self.left[follower] == 0 {
                self.ready.push_back(follower);
            }
        }
    }

    /// Ends the graph with `outcome`: running steps are stopped, and no other step begins.
    fn stop(&mut self, outcome: Outcome, tasks: &Tasks) {
        match (&mut self.stopped, outcome) {
            (Some(Outcome::Cancelled(all)), Outcome::Cancelled(more)) => all.absorb(*more),
            (Some(_), _) => {}
            (stopped @ None, outcome) => {
                *stopped = Some(outcome);
                tasks.stop(CancelReason::FailFast);
            }
        }
    }

    fn finish(mut self) -> Outcome {
        if let Some(outcome) = self.stopped {
            return self.unfinished.stuck_or(outcome);
        }
        if let Some(outcome) = std::mem::take(&mut self.unfinished).outcome() {
            return outcome;
        }
        self.failed.sort_by_key(|(number, _)| *number);
        let failures = std::mem::take(&mut self.failed).into_iter().map(|(_, failure)| failure);
        if let Some(failure) = failures.fold(None, |first, failure| Some(self.list.failed(first, failure))) {
            return Outcome::Failed(failure);
        }
        let last = (0..self.list.nodes.len())
            .rev()
            .filter_map(|step| self.slots.get(step))
            .find(|ended| ended.status == StepStatus::Completed)
            .map(|ended| ended.value.clone())
            .unwrap_or_default();
        let mut progress = Progress::new(self.call);
        let merged = match self.merged(0..self.list.nodes.len()) {
            Ok(changes) => progress.apply(self.call, changes),
            Err(outcome) => return outcome,
        };
        if let Err(outcome) = merged {
            return outcome;
        }
        let scope = Scope::list(self.call.context.scope.clone(), self.list, &self.slots);
        progress.finish(self.call, Some(&scope), last)
    }
}
