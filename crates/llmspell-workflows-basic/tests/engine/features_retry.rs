//! Retries: delays, attempts, filters and budgets.

use std::time::Duration;

use llmspell_workflows_basic::{Finished, Limits, model::*};
use serde_json::{Value, json};

use crate::support::{Lab, echo, slow};

/// Returns the start times of an always-failing step's attempts, in milliseconds.
async fn attempt_times_ms(retry: Retry) -> Vec<i64> {
    let mut lab = Lab::new();
    let times = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = times.clone();
    lab.register("note", move |call| {
        noted.lock().unwrap().push(call.now());
        async { Err(llmspell_workflows_basic::StepError::transient("boom", "it failed")) }
    });
    lab.steps([Step::function("a", "note", json!(null)).with_retry(retry)]).await;
    let times = times.lock().unwrap();
    times.iter().map(|at| at.duration_since(times[0]).as_millis() as i64).collect()
}

fn exact(backoff: Backoff) -> Retry {
    Retry { delay_max: Duration::from_millis(500), ..Retry::attempts(5) }
        .with_backoff(backoff)
        .with_initial_delay(Duration::from_millis(100))
        .with_jitter(0.0)
}

#[tokio::test(start_paused = true)]
async fn each_backoff_waits_exactly_the_documented_time() {
    assert_eq!(attempt_times_ms(exact(Backoff::Immediate)).await, [0, 0, 0, 0, 0]);
    assert_eq!(attempt_times_ms(exact(Backoff::Fixed)).await, [0, 100, 200, 300, 400]);
    assert_eq!(attempt_times_ms(exact(Backoff::Linear)).await, [0, 100, 300, 600, 1_000]);
    // The delays are 100, 200 and 400 ms, then the maximum of 500 ms.
    assert_eq!(attempt_times_ms(exact(Backoff::Exponential)).await, [0, 100, 300, 700, 1_200]);
    assert_eq!(
        attempt_times_ms(Retry { multiplier: 3.0, ..exact(Backoff::Exponential) }).await,
        [0, 100, 400, 900, 1_400]
    );
}

#[tokio::test(start_paused = true)]
async fn jitter_varies_delays_by_at_most_the_given_fraction() {
    let mut delays = Vec::new();
    for _ in 0..40 {
        delays.push(attempt_times_ms(exact(Backoff::Fixed).with_jitter(0.1)).await[1]);
    }
    assert!(delays.iter().all(|delay| (90..=110).contains(delay)), "{delays:?}");
    assert!(delays.iter().max().unwrap() - delays.iter().min().unwrap() >= 5, "{delays:?}");
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_after_duration_max() {
    let retry = Retry { duration_max: Some(Duration::from_millis(650)), ..exact(Backoff::Linear) };
    assert_eq!(attempt_times_ms(retry).await, [0, 100, 300, 600]);
}

async fn attempts(input: Value, retry: Retry) -> u32 {
    let finished = Lab::new().steps([Step::function("a", "fail", input).with_retry(retry)]).await;
    finished.step("a").unwrap().attempts
}

#[tokio::test(start_paused = true)]
async fn retry_filters_match_codes_classes_and_statuses() {
    let retry = || Retry::attempts(3).with_backoff(Backoff::Immediate);
    let status = |codes: &[u16]| Retry { on_status_codes: codes.to_vec(), ..retry() };
    for (input, retry, expected) in [
        (json!({"code": "busy"}), retry(), 3),
        (json!({"code": "busy"}), retry().with_errors(["busy"]), 3),
        (json!({"code": "busy"}), retry().with_errors(["other"]), 1),
        (json!({"code": "busy"}), retry().with_errors(["transient"]), 3),
        (json!({"code": "busy"}), retry().with_errors(["validation"]), 1),
        (json!({"details": {"status": 503}}), status(&[429, 503]), 3),
        (json!({"details": {"status": 404}}), status(&[429, 503]), 1),
        (json!({"details": {"exit_code": 75}}), retry().with_exit_codes([1, 75]), 3),
        (json!({"details": {"exit_code": 2}}), retry().with_exit_codes([1, 75]), 1),
        (json!({"code": "busy"}), retry().with_exit_codes([1, 75]), 1),
        (json!({"details": {"exit_code": 2}}), retry().with_exit_codes([1]).with_errors(["transient"]), 3),
        (
            json!({"details": {"status": 404}, "code": "busy"}),
            Retry { on_errors: vec!["busy".into()], ..status(&[503]) },
            3,
        ),
    ] {
        assert_eq!(attempts(input.clone(), retry.clone()).await, expected, "{input}: {retry:?}");
    }
    let invalid = Lab::new().steps([echo("a", json!("{{ input.a.b.c }}")).with_retry(retry())]).await;
    assert_eq!(invalid.step("a").unwrap().attempts, 1, "errors in the data are not retried");
}

#[tokio::test(start_paused = true)]
async fn step_and_block_retries_multiply() {
    let own = Step::function("own", "fail", json!({})).with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate));
    let lab = Lab::new();
    let block = Step::sequence("block", [own]).with_retry(Retry::attempts(3).with_backoff(Backoff::Immediate));
    let finished = lab.steps([block]).await;
    assert_eq!(finished.error.unwrap().attempt, 2);
    let expected = ["", "~2", "~3"].map(|g| [1, 2].map(|attempt| format!("/main/block{g}/own#{attempt}"))).concat();
    assert_eq!(lab.started(), expected);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_share_one_idempotency_key() {
    let mut lab = Lab::new();
    let keys = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = keys.clone();
    lab.register("third", move |call| {
        noted.lock().unwrap().push(call.idempotency_key());
        let attempt = call.attempt();
        let error = llmspell_workflows_basic::StepError::transient("boom", "it failed");
        async move { if attempt < 3 { Err(error) } else { Ok(json!(attempt).into()) } }
    });
    let finished = lab.steps([Step::function("a", "third", json!(null)).with_retry(Retry::attempts(5))]).await;
    assert_eq!((*finished.output).clone(), json!(3));
    let metrics = finished.into_output().unwrap().metrics;
    assert_eq!(metrics.retries, 2);
    let keys = keys.lock().unwrap();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

fn budgeted(budget: u32, steps: Step) -> Definition {
    Definition { retry_budget: Some(budget), ..Definition::sequence("budget", [steps]) }
}

#[tokio::test(start_paused = true)]
async fn branches_share_the_retry_budget() {
    let branch = |n: u64| {
        let params = json!({"ms": 10 + n, "value": n, "fails": true});
        Step::function(format!("b{n}"), "slow", params).with_retry(exact(Backoff::Fixed))
    };
    for budget in [0, 1, 5, 100] {
        let lab = Lab::new();
        let finished: Finished = lab.run(budgeted(budget, Parallel::new((0..3).map(branch)).into_step("block"))).await;
        let retries: u32 = finished.steps.iter().map(|record| record.attempts - 1).sum();
        assert_eq!(retries, budget.min(12));
        assert_eq!(lab.started().len() as u32, 3 + retries);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_limit_that_prevented_another_attempt() {
    let fails =
        |retry: Retry| Step::function("a", "fail", json!({})).with_retry(retry.with_backoff(Backoff::Immediate));
    let short = Retry { duration_max: Some(Duration::from_millis(1)), ..exact(Backoff::Fixed) };
    let slow = Step::function("a", "fail", json!({})).with_retry(short);
    let within_block = Step::sequence("block", [fails(Retry::attempts(3))]).with_retry(Retry::attempts(3));
    for (step, budget, ended_by, message) in [
        (fails(Retry::attempts(5)), 3, Some("max_retry_budget"), "the workflow's `max_retry_budget` of 3 is used up"),
        (within_block, 0, Some("max_retry_budget"), "the workflow's `max_retry_budget` of 0 is used up"),
        (slow, 9, Some("max_duration"), "its `max_duration` of 1ms would expire before the next attempt"),
        (fails(Retry::attempts(3)), 9, None, ""),
        (fails(Retry::attempts(3).with_errors(["other"])), 0, None, ""),
    ] {
        let error = Lab::new().run(budgeted(budget, step)).await.error.unwrap();
        let named = error.details.as_ref().and_then(|details| details["retries_ended_by"].as_str());
        assert_eq!(named, ended_by, "{error}");
        assert!(error.message.ends_with(message), "{error}");
        assert_eq!(error.message.matches("is not retried").count(), usize::from(ended_by.is_some()), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn steps_release_their_permits_between_attempts() {
    let lab = Lab::new();
    let limited = |step: Step| step.with_limit("one");
    let failing =
        Step::function("a", "fail", json!({})).with_retry(exact(Backoff::Fixed)).with_on_error(OnError::Continue);
    let block = Parallel::new([limited(failing), limited(slow("b", 10))]).with_error_mode(ErrorMode::BestEffort);
    let mut definition = Definition::sequence("permits", [block.into_step("block")]);
    definition.concurrency.insert("one".into(), 1);
    let engine = lab.engine().limits(Limits::default()).build();
    let finished = engine.run(definition, Default::default()).await.unwrap();
    let ended = finished.step("b").unwrap().ended_at.unwrap();
    assert_eq!(ended.duration_since(finished.started_at).as_millis(), 10);
}
