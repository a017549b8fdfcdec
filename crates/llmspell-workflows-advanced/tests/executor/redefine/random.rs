//! Random definitions with random corrections. A continued run has the same result as a run of
//! the corrected definition from scratch, and only steps listed in the preview are repeated.
//!
//! `CORRECTIONS` is the number of cases, and `SEED` is the seed of the first case.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use llmspell_workflows_advanced::{
    Continuation, DurableEnd, Executor, ExecutorError, MemoryHome, Parking, RewindOptions, StartOptions,
};
use llmspell_workflows_basic::{
    Engine, EngineBuilder, Finished, RunStatus, WorkflowInput,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    model::Definition,
};
use llmspell_workflows_testing::{clock::PausedClock, generate};
use serde_json::{Value, json};

use super::edits::{Dice, edited};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

type Log = Arc<Mutex<Vec<String>>>;

fn engine(log: &Log) -> EngineBuilder {
    let mut activities = Activities::new();
    for (kind, name) in [("function", generate::FUNCTION), ("tool", generate::TOOL)] {
        let log = log.clone();
        let probe = move |context: ActivityContext| {
            log.lock().unwrap().push(context.path().to_string());
            async move { generate::probe(context.input(), context.attempt()).map(ActivityOutput::from) }
        };
        activities.register(kind, name, function(probe));
    }
    let clock = PausedClock::new();
    Engine::builder().activities(activities).concurrency(generate::LIMIT, 2).clock(clock)
}

/// Returns a run's final results, omitting the parts that depend on the order of attempts.
fn end(finished: &Finished) -> (RunStatus, Value, Option<String>) {
    let error =
        finished.error.as_ref().map(|error| format!("{} at {:?}", error.code, error.path.as_deref().map(plain)));
    (finished.status, without_paths((*finished.output).clone()), error)
}

/// Removes the generations from a path.
fn plain(path: &str) -> String {
    path.parse::<llmspell_workflows_basic::StepPath>()
        .map_or_else(|_| path.into(), |path| path.without_generations().to_string())
}

/// Removes the generations from the paths of errors in outputs, and the values that depend on the
/// order of attempts.
fn without_paths(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| match (name.as_str(), &value) {
                ("path", Value::String(path)) => (name, json!(plain(path))),
                ("attempts" | "at" | "slept_until", _) => (name, Value::Null),
                _ => (name, without_paths(value)),
            };
            Value::Object(fields.into_iter().map(field).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_paths).collect()),
        other => other,
    }
}

async fn drive(
    executor: &Executor,
    run: Result<llmspell_workflows_advanced::DurableRun, ExecutorError>,
) -> Option<Finished> {
    match executor.drive(run.ok()?).await.unwrap() {
        DurableEnd::Finished(finished) => Some(*finished),
        _ => None,
    }
}

/// Checks one case. Returns false if the correction was invalid and there was nothing to check.
async fn check(seed: u64) -> Result<bool, String> {
    let mut dice = Dice::new(seed);
    let old = generate::settled(generate::from_seed(seed));
    let mut new = old.clone();
    for _ in 0..=dice.roll(2) {
        new = edited(&new, &mut dice);
    }
    let log = Log::default();
    let executor = Executor::new(MemoryHome::new(), engine(&log)).parking(Parking::Never);
    let start = |definition: &Definition| {
        let input = WorkflowInput::new(json!({"n": 2, "items": [1, 2]}));
        executor.start(definition.clone(), input, StartOptions::default())
    };
    let Some(fresh) = drive(&executor, start(&new).await).await else { return Ok(false) };
    let run = start(&old).await.unwrap();
    let id = run.id();
    let Some(first) = drive(&executor, Ok(run)).await else { return Ok(false) };
    let known = executor.home().get(id).await.unwrap().unwrap();
    let mut options = RewindOptions { definition: Some(Arc::new(new.clone()).into()), ..RewindOptions::default() };
    let is_failed = first.status == RunStatus::Failed;
    if !is_failed {
        // The last step that ran.
        let history = executor.home().history(&known).await.unwrap();
        options.from = history.steps.last().map(|step| step.path.clone());
    }
    let completed: BTreeSet<String> = first
        .steps
        .iter()
        .filter(|step| step.status.as_str() == "completed")
        .map(|step| step.path.to_string())
        .collect();
    let continuation = if is_failed { Continuation::Retry } else { Continuation::Fork };
    let Ok(preview) = executor.preview(&known, continuation, &options).await else {
        // The last step may no longer exist.
        return Ok(false);
    };
    log.lock().unwrap().clear();
    let continued = match is_failed {
        true => executor.retry(&known, &options).await,
        false => executor.fork(&known, &options).await,
    };
    let continued = drive(&executor, continued).await.ok_or("it does not continue")?;
    let shown = || {
        let difference = preview.difference.as_ref().map(ToString::to_string).unwrap_or_default();
        format!(
            "{continuation:?} at {:?}\n{difference}\nruns again: {:?}\nremoved: {:?}",
            options.from,
            super::shown(&preview.runs_again),
            preview.removed
        )
    };
    if end(&continued) != end(&fresh) {
        return Err(format!("got {:?}\ninstead of {:?}\n{}", end(&continued), end(&fresh), shown()));
    }
    let announced: BTreeSet<String> = preview.runs_again.iter().map(|step| plain(&step.path)).collect();
    for path in log.lock().unwrap().iter() {
        let is_repeated = completed.iter().any(|done| plain(done) == plain(path));
        if is_repeated && !announced.contains(&plain(path)) {
            return Err(format!("{path} ran again\n{}", shown()));
        }
    }
    Ok(true)
}

#[test]
fn continued_run_ends_like_a_run_from_scratch() {
    let (first, count) = (number("SEED", 1), number("CORRECTIONS", 150));
    let (mut checked, mut wrong) = (0, Vec::new());
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        match runtime.block_on(check(seed)) {
            Ok(was_valid) => checked += u64::from(was_valid),
            Err(problem) => wrong.push((seed, problem)),
        }
    }
    if let Some((seed, problem)) = wrong.first() {
        let seeds: Vec<u64> = wrong.iter().map(|(seed, _)| *seed).collect();
        panic!("{} of {count} corrections are wrong, with the seeds {seeds:?}; seed {seed}: {problem}", wrong.len());
    }
    println!("{checked} of {count} corrections were valid");
    assert!(checked > count / 3, "only {checked} of {count} corrections were valid");
}
