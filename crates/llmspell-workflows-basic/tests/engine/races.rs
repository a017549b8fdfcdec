//! Branches that end after their block's result is decided do not change the result.

use llmspell_workflows_basic::{Finished, RunStatus, model::*};
use serde_json::{Value, json};

use crate::support::{Lab, crash_everywhere, echo, fail, hang, slow};

fn race(branches: impl IntoIterator<Item = Step>) -> Parallel {
    let race = Parallel::new(branches).with_aggregation(Aggregation::First);
    Parallel { output: ParallelOutput::ByBranch, ..race }
}

async fn run(block: Parallel) -> Finished {
    Lab::new().steps([block.into_step("block")]).await
}

fn lost() -> Value {
    json!({"error": {"code": "cancelled", "message": "another branch succeeded first"}})
}

#[tokio::test(start_paused = true)]
async fn losing_branches_that_complete_late_do_not_change_the_result() {
    let finished = run(race([Step::function("late", "late", json!(null)), slow("fast", 5)])).await;
    assert_eq!(*finished.output, json!({"late": lost(), "fast": "fast"}));
    assert_eq!(finished.state_changes, []);
}

#[tokio::test(start_paused = true)]
async fn losing_branches_look_the_same_whether_or_not_they_started() {
    let one_at_once = Parallel { max_parallelism: Some(1), ..race([slow("fast", 5), slow("slow", 9)]) };
    assert_eq!(*run(one_at_once).await.output, json!({"fast": "fast", "slow": lost()}));
    assert_eq!(*run(race([slow("fast", 5), slow("slow", 9)])).await.output, json!({"fast": "fast", "slow": lost()}));
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_failed_branch_rather_than_a_cancelled_branch() {
    let mut block = Parallel::new([hang("stopped"), fail("failed")]).with_error_mode(ErrorMode::FailFast);
    block.branches.iter_mut().for_each(|branch| branch.required = true);
    let error = run(block).await.error.unwrap();
    assert_eq!(error.code, "required_branch_failed");
    assert!(error.message.contains("required branch `failed`"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn cancelled_branches_do_not_count_as_failed() {
    let mut block = Parallel::new([hang("stopped"), fail("failed")]).with_error_mode(ErrorMode::FailFast);
    block.branches[0].required = true;
    let error = run(block).await.error.unwrap();
    assert_eq!(error.code, "branches_failed");
    assert!(error.message.starts_with("0 of 2 branches succeeded and 1 failed"), "{}", error.message);
}

/// Returns a parallel loop whose third iteration fails, which cancels the other iterations.
fn failing_loop(on_error: OnError) -> Step {
    let stopped = Step::function("stopped", "forever", json!(null)).when("loop.index != 2");
    let failing = Step::function("fails", "flaky", json!({"succeed_at": 99})).when("loop.index == 2");
    Loop::items(json!([0, 1, 2, 3]), [stopped, failing]).parallel(4).into_step("each").with_on_error(on_error)
}

#[test]
fn failed_parallel_loops_fail_again_when_resumed() {
    let mend = echo("mend", json!("{{ error.path }}"));
    let handled = failing_loop(OnError::Steps(vec![mend.into()]));
    crash_everywhere(
        "failing_loop",
        &Definition::sequence("loop", [handled, echo("end", json!("{{ steps.each.output }}"))]),
    );
}

#[test]
fn fail_fast_blocks_fail_again_when_resumed() {
    let branch = |id: &str, seconds: u64, fails: bool| {
        let wait = Step::new("wait", StepKind::Sleep(Delay::from_seconds(seconds as f64).unwrap()));
        let end =
            if fails { Step::function("fails", "flaky", json!({"succeed_at": 99})) } else { echo("ok", json!(id)) };
        Step::sequence(id, [wait, end])
    };
    let block =
        Parallel::new([branch("a", 3, true), branch("b", 2, true), branch("c", 4, false), branch("d", 1, false)])
            .with_error_mode(ErrorMode::FailFast)
            .into_step("block")
            .with_on_error(OnError::Steps(vec![echo("mend", json!("{{ error.message }}")).into()]));
    crash_everywhere("failing_block", &Definition::sequence("block", [block, echo("end", json!(1))]));
}

#[tokio::test(start_paused = true)]
async fn panics_in_a_resolver_fail_the_block() {
    let mut functions = llmspell_workflows_basic::Functions::default();
    functions.register_resolver("odd", |_| panic!("boom"));
    let block =
        Parallel::new([Step::function("a", "put", json!({"k": 1})), Step::function("b", "put", json!({"k": 2}))])
            .with_on_conflict(OnConflict::Custom("odd".into()))
            .into_step("block");
    let steps = [block.with_on_error(OnError::Steps(vec![echo("mend", json!("{{ error.code }}")).into()]))];
    let engine = Lab::new().engine().functions(functions).build();
    let finished = engine.run(Definition::sequence("x", steps), Default::default()).await.unwrap();
    assert_eq!((finished.status, &*finished.output), (RunStatus::Completed, &json!("panic")));
}
