//! Parallel blocks: concurrency, outputs, state, aggregation and timeouts.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{RunStatus, engine::StepStatus, model::*};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::support::{Lab, echo, fail, hang, ids, put, slow};

fn codes(lab: &Lab, steps: impl IntoIterator<Item = Step>) -> Vec<&'static str> {
    let problems = lab.engine().build().validate(Definition::sequence("test", steps));
    problems.iter().map(|problem| problem.code).collect()
}

#[tokio::test(start_paused = true)]
async fn branches_run_concurrently() {
    let barrier = Arc::new(Barrier::new(3));
    let mut lab = Lab::new();
    lab.register("meet", move |_| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Ok(json!("met").into())
        }
    });
    let members = ["a", "b", "c"].map(|id| Step::function(id, "meet", json!(null)));
    let finished = lab.steps([Parallel::new(members).into_step("block").with_timeout(Duration::from_secs(9))]).await;
    assert_eq!((finished.error, &*finished.output), (None, &json!(["met", "met", "met"])));
}

#[tokio::test(start_paused = true)]
async fn branches_reach_but_do_not_exceed_max_parallelism() {
    for (max_parallelism, most) in [(Some(1), 1), (Some(3), 3), (Some(50), 8), (None, 8)] {
        let lab = Lab::new();
        let block = Parallel::new((0..8).map(|n| slow(&format!("m{n}"), 10)));
        let finished = lab.steps([Parallel { max_parallelism, ..block }.into_step("block")]).await;
        assert_eq!((finished.status, lab.most()), (RunStatus::Completed, most));
    }
}

#[tokio::test(start_paused = true)]
async fn outputs_are_in_definition_order_and_visible_to_later_steps() {
    let block = Parallel::new([slow("late", 30), slow("early", 10), slow("middle", 20)]).into_step("block");
    let finished = Lab::new().steps([block, echo("seen", json!("{{ block[0] }} {{ steps.block.output[2] }}"))]).await;
    assert_eq!(finished.step("block").unwrap().output.as_deref(), Some(&json!(["late", "early", "middle"])));
    assert_eq!(*finished.output, "late middle");
}

#[tokio::test(start_paused = true)]
async fn error_handlers_run_after_all_branches_have_ended() {
    let mend = OnError::Steps(vec![echo("mend", json!("mended")).into()]);
    let block = Parallel::new([fail("bad"), slow("good", 50)]).into_step("block").with_on_error(mend);
    let finished = Lab::new().steps([block]).await;
    assert_eq!((finished.status, &*finished.output), (RunStatus::Completed, &json!("mended")));
    assert_eq!(ids(&finished, StepStatus::Completed), ["good", "mend"]);
    assert_eq!(finished.ended_at.duration_since(finished.started_at).as_millis(), 50);
}

#[tokio::test(start_paused = true)]
async fn dependencies_between_branches_are_rejected() {
    let block = Parallel::new([echo("a", json!(1)), echo("b", json!(2)).after(["a"])]).into_step("block");
    assert_eq!(codes(&Lab::new(), [block]), ["dependencies_in_parallel"]);
}

#[tokio::test(start_paused = true)]
async fn each_branch_has_its_own_record() {
    let finished = Lab::new().steps([Parallel::new([slow("a", 10), slow("b", 20)]).into_step("block")]).await;
    for (path, ms) in [("/main/block/a", 10), ("/main/block/b", 20)] {
        let record = finished.step(path).unwrap();
        assert_eq!(record.ended_at.unwrap().duration_since(record.started_at).as_millis(), ms);
    }
}

#[tokio::test(start_paused = true)]
async fn branches_change_separate_copies_of_the_state_until_the_join() {
    let see = |id: &str| echo(id, json!("{{ state.x || 'nothing' }} {{ state.y || 'nothing' }}"));
    let side = |id: &str, key: &str| Step::sequence(id, [put("put", key, json!(id)), slow("wait", 5), see("see")]);
    let finished =
        Lab::new().steps([Parallel::new([side("a", "x"), side("b", "y")]).into_step("block"), see("end")]).await;
    assert_eq!(finished.step("block").unwrap().output.as_deref(), Some(&json!(["a nothing", "nothing b"])));
    assert_eq!(*finished.output, "a b");
}

fn fork(aggregation: Aggregation, branches: impl IntoIterator<Item = Step>) -> Parallel {
    Parallel { output: ParallelOutput::ByBranch, aggregation, ..Parallel::new(branches) }
}

#[tokio::test(start_paused = true)]
async fn steps_of_a_branch_run_in_order() {
    let branch = |id: &str| Step::sequence(id, [slow("one", 5), echo("two", json!(id))]);
    let lab = Lab::new();
    let finished = lab.steps([fork(Aggregation::All, [branch("x"), branch("y")]).into_step("fork")]).await;
    assert_eq!(*finished.output, json!({"x": "x", "y": "y"}));
    let begun = ["x/one", "y/one", "x/two", "y/two"].map(|path| format!("/main/fork/{path}#1"));
    assert_eq!(lab.started(), begun);
}

#[tokio::test(start_paused = true)]
async fn output_contains_the_errors_of_failed_branches() {
    let branches = [slow("a", 5), slow("b", 5), fail("c")];
    let finished = Lab::new().steps([fork(Aggregation::Majority, branches).into_step("fork")]).await;
    let output: &Value = &finished.output;
    assert_eq!((&output["a"], &output["b"]), (&json!("a"), &json!("b")));
    assert_eq!(
        (&output["c"]["error"]["code"], &output["c"]["error"]["path"]),
        (&json!("boom"), &json!("/main/fork/c"))
    );
}

#[tokio::test(start_paused = true)]
async fn each_aggregation_requires_the_documented_number_of_successes() {
    for (good, bad, policy, completes) in [
        (2, 0, Aggregation::All, true),
        (2, 1, Aggregation::All, false),
        (1, 2, Aggregation::First, true),
        (0, 2, Aggregation::First, false),
        // A majority is more than half, so two of four are not enough.
        (2, 2, Aggregation::Majority, false),
        (3, 2, Aggregation::Majority, true),
        (2, 3, Aggregation::AtLeast(2), true),
        (2, 3, Aggregation::AtLeast(3), false),
    ] {
        let branches =
            (0..bad).map(|n| fail(&format!("bad{n}"))).chain((0..good).map(|n| slow(&format!("good{n}"), 5)));
        let finished = Lab::new().steps([fork(policy.clone(), branches).into_step("fork")]).await;
        assert_eq!(finished.error.is_none(), completes, "{good} good, {bad} bad, {policy}: {:?}", finished.error);
    }
}

#[tokio::test(start_paused = true)]
async fn branches_without_a_timeout_use_the_branch_timeout_of_the_block() {
    let own = hang("own").with_total_timeout(Duration::from_secs(3));
    let block = Parallel {
        branch_timeout: Some(Duration::from_secs(5).into()),
        ..fork(Aggregation::AtLeast(1), [own, hang("shared"), slow("good", 1)])
    };
    let finished = Lab::new().steps([block.into_step("fork")]).await;
    assert_eq!(finished.error, None);
    for (id, seconds) in [("own", 3), ("shared", 5)] {
        let record = finished.step(id).unwrap();
        assert_eq!(record.error.as_ref().unwrap().code, "timeout");
        assert_eq!(record.ended_at.unwrap().duration_since(record.started_at).as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn named_limits_apply_across_nested_blocks() {
    let lab = Lab::new();
    let limited = |id: &str| slow(id, 10).with_limit("few");
    let block = Parallel::new([
        Parallel::new(["a", "b", "c"].map(limited)).into_step("one"),
        Parallel::new(["d", "e", "f"].map(limited)).into_step("two"),
    ]);
    let mut definition = Definition::sequence("limited", [block.into_step("block")]);
    definition.concurrency.insert("few".into(), 2);
    let finished = lab.run(definition).await;
    assert_eq!((finished.status, lab.most()), (RunStatus::Completed, 2));
}
