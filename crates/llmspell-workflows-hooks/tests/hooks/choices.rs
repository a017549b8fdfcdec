//! Tests that the answers of hooks called at decisions take effect.

use std::time::Duration;

use llmspell_workflows_basic::{
    RunStatus,
    model::{Conditional, Loop, LoopSource, OnConflict as OnConflictPolicy, Parallel, Retry, Route},
    state::Change,
};
use llmspell_workflows_hooks::{
    answer::{OnBranch, OnCondition, OnConflict, OnItems, OnRetry, OnSkip, OnTransition, OnWrite},
    point::*,
};
use serde_json::{Value, json};

use crate::support::{LabRun, code, echo, fail, output, put, seconds, with};

fn assert_cancelled(ran: &LabRun) {
    assert_eq!(ran.finished.status, RunStatus::Cancelled, "{:?}", ran.finished.error);
    assert_eq!(ran.finished.warnings[0].code, "cancelled_by_hook");
}

#[tokio::test(start_paused = true)]
async fn hooks_can_choose_a_different_branch_or_none() {
    let steps = || [Conditional::new("true", [echo("t", json!("then"))], [echo("e", json!("else"))]).into_step("if")];
    for (answer, expected) in
        [(OnBranch::Continue, json!("then")), (OnBranch::Redirect(1), json!("else")), (OnBranch::Skip, json!(null))]
    {
        assert_eq!(output(&with(steps(), BranchDecision, answer).await), expected);
    }
    assert_eq!(code(&with(steps(), BranchDecision, OnBranch::Redirect(2)).await), "wrong_decision");
    assert_cancelled(&with(steps(), BranchDecision, OnBranch::Cancel("no".into())).await);
}

#[tokio::test(start_paused = true)]
async fn hooks_can_redirect_or_end_a_route() {
    let steps = || {
        let all = [echo("s", json!("s")).then("t"), echo("t", json!("t")), echo("u", json!("u"))];
        [Route::new("s", all).into_step("route")]
    };
    let to = |answer: OnTransition| with(steps(), WorkflowStageTransition, answer);
    assert_eq!(output(&to(OnTransition::Continue).await), "t");
    assert_eq!(output(&to(OnTransition::Skip).await), "s");
    assert_eq!(code(&to(OnTransition::Redirect("nowhere".into())).await), "unknown_step");
    // The hook redirects every transition until the limit is reached.
    let ran = to(OnTransition::Redirect("u".into())).await;
    assert_eq!((code(&ran), &*ran.started[1]), ("transitions_max", "/main/route/u#1"));
    assert_cancelled(&to(OnTransition::Cancel("no".into())).await);
}

#[tokio::test(start_paused = true)]
async fn hooks_can_replace_the_items_of_a_loop() {
    let steps = || [Loop::items(json!([1, 2]), [echo("i", json!("{{ loop.item }}"))]).into_step("each")];
    let results = |ran: &LabRun| output(ran)["results"].clone();
    assert_eq!(results(&with(steps(), LoopItems, OnItems::Continue).await), json!([1, 2]));
    assert_eq!(results(&with(steps(), LoopItems, OnItems::Modify(vec![json!(7)])).await), json!([7]));
    assert_cancelled(&with(steps(), LoopItems, OnItems::Cancel("no".into())).await);
}

#[tokio::test(start_paused = true)]
async fn hooks_can_continue_or_end_a_loop() {
    let steps = || {
        let over = LoopSource::While("loop.index < 2".into());
        let each = Loop { max_iterations: Some(4), ..Loop::new(over, [echo("i", json!("{{ loop.index }}"))]) };
        [each.into_step("each")]
    };
    for (answer, count) in [(OnCondition::Continue, 2), (OnCondition::Iterate, 4), (OnCondition::End, 0)] {
        assert_eq!(output(&with(steps(), LoopCondition, answer).await)["iterations"], count);
    }
    assert_cancelled(&with(steps(), LoopCondition, OnCondition::Cancel("no".into())).await);
}

#[tokio::test(start_paused = true)]
async fn hooks_can_run_a_step_that_would_be_skipped() {
    let steps = || [echo("a", json!("ran")).when("false"), echo("b", json!("{{ a }}"))];
    assert_eq!(output(&with(steps(), StepSkip, OnSkip::Continue).await), json!(null));
    assert_eq!(output(&with(steps(), StepSkip, OnSkip::Enter).await), "ran");
    let ran = with(steps(), StepSkip, OnSkip::Cancel("no".into())).await;
    assert_cancelled(&ran);
    assert!(ran.started.is_empty());
}

#[tokio::test(start_paused = true)]
async fn hooks_can_delay_or_stop_retries() {
    let retry = Retry { initial_delay: Duration::from_secs(1), jitter: 0.0, ..Retry::attempts(3) };
    let steps = || [fail("a").with_retry(retry.clone())];
    let ran = with(steps(), StepRetry, OnRetry::Continue).await;
    let default_seconds = seconds(&ran);
    assert_eq!(ran.started.len(), 3);
    let ran = with(steps(), StepRetry, OnRetry::Retry(Duration::from_secs(60))).await;
    assert_eq!((seconds(&ran), ran.started.len()), (120, 3));
    assert!(default_seconds < 60);
    let ran = with(steps(), StepRetry, OnRetry::GiveUp).await;
    assert_eq!((code(&ran), ran.started.len()), ("boom", 1));
    let ran = with(steps(), StepRetry, OnRetry::Cancel("no".into())).await;
    assert_eq!(ran.started.len(), 1);
    assert_cancelled(&ran);
}

fn state(ran: &LabRun) -> Vec<(String, Value)> {
    assert_eq!(ran.finished.error, None);
    ran.finished
        .state_changes
        .iter()
        .map(|change| (change.path.to_string(), Value::clone(change.value().unwrap())))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn hooks_can_resolve_a_conflict_between_branches() {
    let steps = || {
        let block = Parallel::new([put("x", "k", json!(1)), put("y", "k", json!(2))]);
        [block.with_on_conflict(OnConflictPolicy::Last).into_step("both")]
    };
    assert_eq!(state(&with(steps(), StateConflict, OnConflict::Continue).await), [("k".into(), json!(2))]);
    assert_eq!(state(&with(steps(), StateConflict, OnConflict::Modify(json!(9))).await), [("k".into(), json!(9))]);
    assert_cancelled(&with(steps(), StateConflict, OnConflict::Cancel("no".into())).await);
}

#[tokio::test(start_paused = true)]
async fn hooks_can_replace_or_drop_state_changes() {
    let steps = || [put("a", "k", json!(1))];
    assert_eq!(state(&with(steps(), BeforeStateWrite, OnWrite::Continue).await), [("k".into(), json!(1))]);
    let other = OnWrite::Modify(vec![Change::key("other", json!(2))]);
    assert_eq!(state(&with(steps(), BeforeStateWrite, other).await), [("other".into(), json!(2))]);
    let ran = with(steps(), BeforeStateWrite, OnWrite::Skip).await;
    assert_eq!((state(&ran), output(&ran)), (vec![], json!({"k": 1})));
    assert_cancelled(&with(steps(), BeforeStateWrite, OnWrite::Cancel("no".into())).await);
}
