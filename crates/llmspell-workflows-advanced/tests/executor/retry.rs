//! Retry, rerun and fork reuse the right results, run the right steps again, and do not change the original run.

use std::sync::Arc;

use llmspell_workflows_advanced::{DurableEnd, ExecutorError, RewindError, RewindOptions};
use llmspell_workflows_basic::{Finished, RunStatus, WorkflowState, model::*};
use llmspell_workflows_testing::patterns;
use serde_json::{Value, json};

use crate::lab::{Lab, finished, start};

fn definitions() -> Vec<Definition> {
    patterns::all().into_iter().chain([patterns::nested()]).collect()
}

/// Returns the final state of a run.
fn state(finished: &Finished) -> Value {
    let mut state = WorkflowState::new(json!(null));
    for change in &finished.state_changes {
        state.apply(change.clone(), finished.ended_at).unwrap();
    }
    state.to_value()
}

/// Returns whether the result depends on the order in which branches end.
fn depends_on_order(definition: &Definition) -> bool {
    ["parallel", "nested"].contains(&definition.name.as_str())
}

#[tokio::test]
async fn retry_runs_only_failed_steps() {
    let lab = Lab::new();
    let executor = lab.executor();
    let (mut retried, mut absorbed) = (0, 0);
    for definition in definitions() {
        lab.performed.begin(None);
        let run = start(&executor, definition.clone()).await;
        let expected = finished(&executor, run).await;
        let all = lab.performed.all();
        let some = if definition.name == "nested" { 7 } else { 1 };
        for (number, path) in all.iter().enumerate().step_by(some) {
            // Without its fast branch, the race would wait forever.
            if path.contains("race") {
                continue;
            }
            lab.performed.begin(Some(number));
            let run = start(&executor, definition.clone()).await;
            let failed = finished(&executor, run).await;
            if failed.status == RunStatus::Completed {
                absorbed += 1;
                continue;
            }
            let before = lab.performed.counts();
            let at = format!("{} with a failure of {path}", definition.name);
            let run = executor.retry(&lab.known(failed.run_id).await, &RewindOptions::default()).await.unwrap();
            let retry = finished(&executor, run).await;
            assert_eq!((retry.status, retry.error.clone()), (RunStatus::Completed, None), "{at}");
            if !depends_on_order(&definition) {
                assert_eq!((&retry.output, state(&retry)), (&expected.output, state(&expected)), "{at}");
            }
            let after = lab.performed.counts();
            for (effect, count) in &before {
                assert_eq!(after.get(effect), Some(count), "{effect} of {at} was executed again");
            }
            retried += 1;
        }
    }
    assert!(retried > 40 && absorbed > 0, "{retried} retried, {absorbed} absorbed");
}

#[tokio::test]
async fn fork_from_every_step_leaves_the_original_unchanged() {
    let lab = Lab::new();
    let executor = lab.executor();
    let mut forks = 0;
    for definition in definitions() {
        lab.performed.begin(None);
        let run = start(&executor, definition.clone()).await;
        let id = run.id();
        let expected = finished(&executor, run).await;
        let known = lab.known(id).await;
        let records = lab.home().records(&known).await.unwrap();
        let leaves = expected.steps.iter().filter(|step| step.path.segments().len() > 1);
        // The nested pattern contains all other patterns, more than once, so only some of its steps
        // are tested.
        let leaves: Vec<_> = leaves.step_by(if definition.name == "nested" { 7 } else { 1 }).collect();
        for leaf in leaves {
            let path = leaf.path.to_string();
            let at = format!("{} from {path}", definition.name);
            lab.performed.begin(None);
            let again = RewindOptions { from: Some(path.clone()), step_input: None, ..Default::default() };
            let fork = match executor.fork(&known, &again).await {
                Ok(fork) => fork,
                // The step is not recorded because it had not started.
                Err(ExecutorError::Rewind(RewindError::UnknownStep { .. })) => continue,
                Err(error) => panic!("{at}: {error}"),
            };
            assert_ne!(fork.id(), id);
            let forked = finished(&executor, fork).await;
            assert_eq!(forked.status, RunStatus::Completed, "{at}");
            if !depends_on_order(&definition) {
                assert_eq!((&forked.output, state(&forked)), (&expected.output, state(&expected)), "{at}");
            }
            // The progress of a race's loser is random.
            let is_loser = path.contains("/race/slow/");
            if leaf.is_leaf && leaf.output.is_some() && !path.ends_with("/wait") && !is_loser {
                let performed = lab.performed.all();
                assert!(performed.iter().any(|one| one.starts_with(&format!("{path}#"))), "{at}: {performed:?}");
            }
            forks += 1;
        }
        assert_eq!(lab.home().records(&known).await.unwrap(), records, "{} has changed", definition.name);
    }
    assert!(forks > 100, "{forks}");
}

/// A loop in a branch, between two steps.
fn loop_in_a_branch() -> Definition {
    let add = |id: &str, key: &str, n: &str| Step::function(id, "add", json!({"key": key, "n": n}));
    let each = Loop::items(json!([10, 20, 30]), [add("sum", "sum", "{{ (state.sum || 0) + loop.item }}")]);
    let branches =
        [Step::sequence("left", [each.into_step("each"), add("after", "done", "0")]), add("right", "r", "5")];
    let both = Parallel::new(branches).into_step("both");
    Definition::sequence("sums", [add("first", "f", "1"), both, add("last", "l", "{{ state.sum + state.r }}")])
}

#[tokio::test]
async fn fork_from_a_nested_step_with_a_new_input_reruns_later_steps() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, loop_in_a_branch()).await;
    let id = run.id();
    let before = finished(&executor, run).await;
    assert_eq!(*before.output, json!(65));
    lab.performed.begin(None);
    let step_input = Some(json!({"key": "sum", "n": 1000}));
    let again = RewindOptions { from: Some("each[1]/sum".to_owned()), step_input, definition: None };
    let fork = executor.fork(&lab.known(id).await, &again).await.unwrap();
    let fork_id = fork.id();
    let forked = finished(&executor, fork).await;
    // The first step, the first iteration and the other branch do not run again.
    let again =
        ["/main/both/left/each[1]/sum#1", "/main/both/left/each[2]/sum#1", "/main/both/left/after#1", "/main/last#1"];
    assert_eq!(lab.performed.all(), again);
    assert_eq!(*forked.output, json!(1001 + 31 + 1 + 1));
    let history = lab.home().history(&lab.known(fork_id).await).await.unwrap();
    let origin = history.started.origin.unwrap();
    assert_eq!((origin.run, origin.path.as_deref()), (id, Some("/main/both/left/each[1]/sum")));
}

#[tokio::test]
async fn retry_from_an_earlier_step_can_be_repeated_with_new_inputs() {
    let lab = Lab::new();
    let executor = lab.executor();
    lab.performed.begin(Some(4));
    let run = start(&executor, loop_in_a_branch()).await;
    let id = run.id();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    for (round, expected) in [(1, 0), (2, 102 + 21 + 31 + 1 + 1)] {
        let step_input = Some(json!({"key": "sum", "n": if round == 1 { 11 } else { 101 }}));
        // The first retry fails again, at a later step.
        lab.performed.begin((round == 1).then_some(3));
        let again = RewindOptions { from: Some("each[0]/sum".to_owned()), step_input, definition: None };
        let again = if round == 1 { again } else { RewindOptions { from: Some("each[0]/sum~2".to_owned()), ..again } };
        let run = executor.retry(&lab.known(id).await, &again).await.unwrap();
        let end = finished(&executor, run).await;
        if round == 2 {
            assert_eq!(*end.output, json!(expected));
            let performed = lab.performed.all();
            assert!(performed.contains(&"/main/both/left/each[0]/sum~3#1".to_owned()), "{performed:?}");
        } else {
            assert_eq!(end.status, RunStatus::Failed);
        }
    }
}

#[tokio::test]
async fn rejected_retries_and_forks_report_the_reason() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, loop_in_a_branch()).await;
    let id = run.id();
    let open = lab.known(id).await;
    assert!(matches!(executor.retry(&open, &RewindOptions::default()).await, Err(ExecutorError::NotFailed { .. })));
    finished(&executor, run).await;
    let known = lab.known(id).await;
    assert!(matches!(executor.retry(&known, &RewindOptions::default()).await, Err(ExecutorError::NotFailed { .. })));
    let fork = |from: &str, step_input: Option<Value>| RewindOptions {
        from: Some(from.to_owned()),
        step_input,
        ..Default::default()
    };
    let error = async |again: RewindOptions| executor.fork(&known, &again).await.unwrap_err().to_string();
    assert!(error(fork("nowhere", None)).await.starts_with("no recorded step matches `nowhere`"));
    let ambiguous = error(fork("sum", None)).await;
    assert!(ambiguous.contains("/main/both/left/each[0]/sum, /main/both/left/each[1]/sum"), "{ambiguous}");
    let no_input = error(fork("/main/both", Some(json!(1)))).await;
    assert_eq!(no_input, "the step at /main/both takes no input: it calls neither an activity nor a workflow");
    assert!(matches!(executor.resume(&known).await, Err(ExecutorError::Ended { .. })));
}

#[tokio::test]
async fn rerun_reuses_no_results_and_accepts_a_new_input() {
    let lab = Lab::new();
    let executor = lab.executor();
    let definition = Definition::sequence("echo", [Step::function("a", "echo", json!("{{ items }}"))]);
    let run = start(&executor, definition).await;
    let id = run.id();
    finished(&executor, run).await;
    let known = lab.known(id).await;
    let again = executor.rerun(&known, None, None).await.unwrap();
    assert_eq!(*finished(&executor, again).await.output, json!([1, 2, 3]));
    let other = executor.rerun(&known, None, Some(json!({"items": "other"}))).await.unwrap();
    let other_id = other.id();
    assert_eq!(*finished(&executor, other).await.output, json!("other"));
    assert_eq!(lab.performed.all().len(), 3);
    assert_eq!(lab.home().history(&lab.known(other_id).await).await.unwrap().started.origin.unwrap().run, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_run_can_be_retried_and_forked() {
    let lab = Lab::new();
    let first = {
        let executor = lab.executor();
        lab.performed.begin(Some(1));
        let run = start(&executor, loop_in_a_branch()).await;
        let id = run.id();
        finished(&executor, run).await;
        lab.performed.begin(None);
        for _ in 0..40 {
            let other = start(&executor, Definition::sequence("other", [])).await;
            finished(&executor, other).await;
        }
        id
    };
    // The run is archived in the background.
    loop {
        let is_moved = lab.home().stores().await.unwrap().archive.get(first).await.unwrap().is_some();
        if is_moved && lab.known(first).await.holder.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let executor = lab.executor();
    let again = RewindOptions { from: Some("first".to_owned()), step_input: None, ..Default::default() };
    let fork = executor.fork(&lab.known(first).await, &again).await.unwrap();
    assert_eq!(*finished(&executor, fork).await.output, json!(65));
    let run = executor.retry(&lab.known(first).await, &RewindOptions::default()).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!(65));
    assert_eq!(lab.known(first).await.status(), RunStatus::Completed);
}

#[tokio::test]
async fn run_uses_a_changed_definition_only_on_request() {
    let lab = Lab::new();
    let executor = lab.executor();
    let nap = || Step::new("nap", StepKind::WaitForEvent(WaitForEvent { event: "go".into(), ..Default::default() }));
    let echo = |id: &str, value: &str| Step::function(id, "echo", json!(value));
    let old = Definition::sequence("grows", [echo("a", "1"), nap(), echo("b", "2")]);
    let new = Definition::sequence("grows", [echo("a", "1"), nap(), echo("b", "changed"), echo("c", "new")]);
    let run = start(&executor, old).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    let known = lab.known(id).await;
    drop(executor);
    let executor = lab.executor();
    lab.home()
        .post(&known, &llmspell_workflows_advanced::Message::Signal { name: "go".into(), payload: json!(1) })
        .await
        .unwrap();
    let run = executor.resume_with(&known, Arc::new(new)).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("new"));
    assert_eq!(lab.performed.counts()["/main/a#1"], 1);
}
