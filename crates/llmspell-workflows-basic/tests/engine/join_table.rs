//! Checks all combinations of error mode, aggregation, required branches and branch results against the documented
//! table.

use llmspell_workflows_basic::{Finished, Functions, WorkflowInput, engine::Engine, model::*};
use serde_json::{Value, json};

use crate::support::{Lab, fail};

/// How a branch behaves if it is not cancelled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Behavior {
    Succeed,
    Fail,
    Skip,
}

#[derive(Debug)]
struct Case {
    mode: ErrorMode,
    aggregation: Aggregation,
    required: [bool; 3],
    behaviors: [Behavior; 3],
    /// The branches from the fastest to the slowest; a skipped branch ends before all others.
    order: [usize; 3],
}

/// The result of a block: its output or error code, and which of its branches were cancelled.
#[derive(Debug, PartialEq)]
struct BlockResult(Result<Value, String>, [bool; 3]);

impl Case {
    fn block(&self) -> Step {
        let branch = |n: usize| {
            let ms = 10 * (1 + self.order.iter().position(|other| *other == n).unwrap());
            let params = json!({"ms": ms, "value": n, "fails": self.behaviors[n] == Behavior::Fail});
            let step = Step::function(format!("b{n}"), "slow", params);
            if self.behaviors[n] == Behavior::Skip { step.when("false") } else { step }
        };
        let mut block =
            Parallel::new((0..3).map(branch)).with_aggregation(self.aggregation.clone()).with_error_mode(self.mode);
        for (branch, required) in block.branches.iter_mut().zip(self.required) {
            branch.required = required;
        }
        block.into_step("block")
    }

    /// Returns the result according to the documented table.
    fn expected(&self) -> BlockResult {
        let skipped = (0..3).filter(|n| self.behaviors[*n] == Behavior::Skip);
        let others = self.order.into_iter().filter(|n| self.behaviors[*n] != Behavior::Skip);
        let order: Vec<usize> = skipped.chain(others).collect();
        for ended in 1..=3 {
            let (ended, open) = order.split_at(ended);
            // A skipped branch ends immediately, too early to be cancelled.
            let cancelled = std::array::from_fn(|n| open.contains(&n) && self.behaviors[n] != Behavior::Skip);
            if self.succeeds_early(ended) || ended.len() == 3 && !self.cannot_succeed(ended) {
                return BlockResult(Ok(self.output(ended)), cancelled);
            }
            if ended.len() == 3 || self.mode == ErrorMode::FailFast && self.cannot_succeed(ended) {
                let required = ended.iter().any(|n| self.required[*n] && self.behaviors[*n] == Behavior::Fail);
                let code = if required { "required_branch_failed" } else { "branches_failed" };
                return BlockResult(Err(code.to_owned()), cancelled);
            }
        }
        unreachable!("three branches have ended")
    }

    fn count(&self, ended: &[usize], behavior: Behavior) -> usize {
        ended.iter().filter(|n| self.behaviors[**n] == behavior).count()
    }

    /// Returns whether a block with the aggregation `first` has succeeded.
    ///
    /// One branch must have succeeded, and every required branch must have ended without failing.
    fn succeeds_early(&self, ended: &[usize]) -> bool {
        let required = (0..3).filter(|n| self.required[*n]);
        self.aggregation == Aggregation::First && self.count(ended, Behavior::Succeed) > 0 && { required }
            .all(|n| ended.contains(&n) && self.behaviors[n] != Behavior::Fail)
    }

    /// Returns whether a required branch failed or too few branches can still succeed.
    fn cannot_succeed(&self, ended: &[usize]) -> bool {
        let (good, bad) = (self.count(ended, Behavior::Succeed), self.count(ended, Behavior::Fail));
        let possible = good + 3 - ended.len();
        let enough = match &self.aggregation {
            Aggregation::All if self.mode == ErrorMode::BestEffort => usize::from(bad > 0),
            Aggregation::All => 3 - self.count(ended, Behavior::Skip),
            Aggregation::First => 1,
            Aggregation::AtLeast(n) => *n as usize,
            Aggregation::Majority => 2,
            Aggregation::Custom(_) => 0,
        };
        possible < enough || ended.iter().any(|n| self.required[*n] && self.behaviors[*n] == Behavior::Fail)
    }

    fn output(&self, ended: &[usize]) -> Value {
        let good = |n: &usize| self.behaviors[*n] == Behavior::Succeed;
        match self.aggregation {
            Aggregation::First => ended.iter().find(|n| good(n)).map_or(Value::Null, |n| json!(n)),
            Aggregation::Custom(_) => json!((0..3).filter(good).count()),
            // A branch stopped because enough others succeeded has no output unless it had already ended.
            _ => (0..3).map(|n| if good(&n) && ended.contains(&n) { json!(n) } else { Value::Null }).collect(),
        }
    }
}

fn block_result(finished: &Finished) -> BlockResult {
    let cancelled = std::array::from_fn(|n| {
        // A branch that never started also counts as cancelled.
        finished.step(&format!("b{n}")).is_none_or(|record| record.status.as_str() == "cancelled")
    });
    match &finished.error {
        None => BlockResult(Ok((*finished.output).clone()), cancelled),
        Some(error) => BlockResult(Err(error.code.to_string()), cancelled),
    }
}

fn engine(lab: &Lab) -> Engine {
    let mut functions = Functions::default();
    functions.register_aggregation("count", |results| Ok(json!(results.iter().filter(|r| r.success).count())));
    lab.engine().functions(functions).build()
}

async fn check(mode: ErrorMode) {
    let aggregations = ["all", "first", "2", "majority", "count"].map(|name| match name {
        "all" => Aggregation::All,
        "first" => Aggregation::First,
        "2" => Aggregation::AtLeast(2),
        "majority" => Aggregation::Majority,
        name => Aggregation::Custom(name.into()),
    });
    let lab = Lab::new();
    let engine = engine(&lab);
    let mut cases = 0;
    for aggregation in aggregations {
        for (required, ends) in (0..8_u32).flat_map(|required| (0..27_usize).map(move |ends| (required, ends))) {
            for order in [[0, 1, 2], [2, 0, 1]] {
                let required = std::array::from_fn(|n| required >> n & 1 == 1);
                let behaviors = std::array::from_fn(|n| {
                    [Behavior::Succeed, Behavior::Fail, Behavior::Skip][ends / 3_usize.pow(n as u32) % 3]
                });
                let case = Case { mode, aggregation: aggregation.clone(), required, behaviors, order };
                let definition = Definition::sequence("table", [case.block()]);
                let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
                assert_eq!(block_result(&finished), case.expected(), "{case:?}: {:?}", finished.error);
                assert_eq!(lab.live(), 0, "{case:?}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 5 * 8 * 27 * 2);
}

#[tokio::test(start_paused = true)]
async fn fail_fast_matches_the_documented_table() {
    check(ErrorMode::FailFast).await;
}

#[tokio::test(start_paused = true)]
async fn fail_slow_matches_the_documented_table() {
    check(ErrorMode::FailSlow).await;
}

#[tokio::test(start_paused = true)]
async fn best_effort_matches_the_documented_table() {
    check(ErrorMode::BestEffort).await;
}

#[tokio::test(start_paused = true)]
async fn handled_branch_failures_count_as_success_and_are_not_in_the_error() {
    let handled = Step::function("handled", "fail", json!({"code": "minor"})).with_on_error(OnError::Continue);
    let finished = Lab::new().steps([Parallel::new([handled.clone()]).into_step("block")]).await;
    assert_eq!((&finished.error, &*finished.output), (&None, &json!([null])));
    let finished = Lab::new().steps([Parallel::new([handled, fail("bad")]).into_step("block")]).await;
    let error = finished.error.unwrap();
    assert_eq!(error.cause.unwrap().code, "boom");
    assert!(error.details.unwrap()["branches"].get("handled").is_none());
}
