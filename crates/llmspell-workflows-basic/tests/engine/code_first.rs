//! Workflows written as code run each step id once, and a resumed run reuses the recorded results.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use llmspell_workflows_basic::{
    BasicWorkflow, Driven, ExecutionContext, Finished, RunOptions, RunStatus, WorkflowError, WorkflowInput,
    WorkflowOutput,
    engine::{Position, Resume},
    model::*,
};
use serde_json::{Value, json};

use crate::support::{Journal, Lab, Records, echo};

type Body = dyn for<'c> Fn(&'c ExecutionContext, Lab) -> BoxFuture<'c, Result<Value, WorkflowError>> + Send + Sync;

/// A workflow made from a closure.
struct Code(Lab, Box<Body>);

#[async_trait]
impl BasicWorkflow for Code {
    fn name(&self) -> &str {
        "code"
    }

    async fn execute_basic(
        &self,
        _: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError> {
        (self.1)(context, self.0.clone()).await.map(WorkflowOutput::of)
    }
}

/// Calls the function `name` as the step `id`.
async fn step(
    context: &ExecutionContext,
    lab: &Lab,
    id: &str,
    name: &str,
    input: Value,
) -> Result<Value, WorkflowError> {
    context.step_as(Step::function(id, name, Value::Null), input, lab.activity(name)).await
}

async fn run<F>(lab: Lab, body: F) -> Finished
where
    F: for<'c> Fn(&'c ExecutionContext, Lab) -> BoxFuture<'c, Result<Value, WorkflowError>> + Send + Sync + 'static,
{
    lab.engine().build().run_code(Arc::new(Code(lab.clone(), Box::new(body))), WorkflowInput::default()).await.unwrap()
}

fn code(finished: &Finished) -> &str {
    &finished.error.as_ref().expect("the run fails").code
}

#[tokio::test(start_paused = true)]
async fn steps_with_the_same_id_are_performed_once() {
    let lab = Lab::new();
    let finished = run(lab.clone(), |context, lab| {
        Box::pin(async move {
            let first = step(context, &lab, "a", "echo", json!(1)).await?;
            let again = step(context, &lab, "a", "echo", json!(1)).await?;
            Ok(json!([first, again]))
        })
    });
    assert_eq!(*finished.await.output, json!([1, 1]));
    assert_eq!(lab.started(), ["/main/a#1"]);
}

#[tokio::test(start_paused = true)]
async fn failed_steps_are_not_performed_again() {
    let lab = Lab::new();
    let finished = run(lab.clone(), |context, lab| {
        Box::pin(async move {
            let first = step(context, &lab, "a", "fail", json!({})).await.unwrap_err();
            let again = step(context, &lab, "a", "fail", json!({})).await.unwrap_err();
            Ok(json!(first == again))
        })
    });
    assert_eq!(*finished.await.output, json!(true));
    assert_eq!(lab.started(), ["/main/a#1"]);
}

#[tokio::test(start_paused = true)]
async fn calling_a_step_with_a_different_input_is_a_journal_mismatch() {
    let finished = run(Lab::new(), |context, lab| {
        Box::pin(async move {
            step(context, &lab, "a", "echo", json!(1)).await?;
            step(context, &lab, "a", "echo", json!(2)).await
        })
    });
    let finished = finished.await;
    assert_eq!(
        (code(&finished), finished.error.as_ref().unwrap().path.as_deref()),
        ("journal_mismatch", Some("/main/a"))
    );
}

#[tokio::test(start_paused = true)]
async fn concurrent_steps_need_different_ids() {
    let finished = run(Lab::new(), |context, lab| {
        Box::pin(async move {
            let slow = json!({"ms": 5, "value": 1});
            let (one, two) =
                tokio::join!(step(context, &lab, "a", "slow", slow.clone()), step(context, &lab, "a", "slow", slow));
            assert_eq!(one?, json!(1));
            two
        })
    });
    assert_eq!(code(&finished.await), "step_in_flight");
    let finished = run(Lab::new(), |context, lab| {
        Box::pin(async move {
            let slow = |n: u64| json!({"ms": n, "value": n});
            let both =
                tokio::join!(step(context, &lab, "a", "slow", slow(5)), step(context, &lab, "b", "slow", slow(2)));
            Ok(json!([both.0?, both.1?]))
        })
    });
    assert_eq!(*finished.await.output, json!([5, 2]));
}

#[tokio::test(start_paused = true)]
async fn unsupported_settings_in_code_are_rejected() {
    let settings: [fn(Step) -> Step; 4] = [
        |step| step.when("false"),
        |step| step.after(["b"]),
        |step| Step { timeout: Some(Delay::Expression("1".into())), ..step },
        |step| step.with_on_error(OnError::Steps(vec![echo("h", json!(1)).into()])),
    ];
    for set in settings {
        let finished = run(Lab::new(), move |context, lab| {
            Box::pin(async move { context.step_as(set(echo("a", json!(1))), json!(1), lab.activity("echo")).await })
        });
        assert_eq!(code(&finished.await), "unsupported_setting");
    }
}

#[tokio::test(start_paused = true)]
async fn runs_are_cancelled_even_if_the_code_ignores_the_cancellation() {
    for ignores in [true, false] {
        let lab = Lab::new();
        let engine = lab.engine().build();
        let workflow = Code(
            lab.clone(),
            Box::new(move |context, lab| {
                Box::pin(async move {
                    let _ = step(context, &lab, "a", "hang", json!(null)).await;
                    if !ignores {
                        std::future::pending::<()>().await;
                    }
                    Ok(json!("done"))
                })
            }),
        );
        let plan = engine.prepare_code(Arc::new(workflow));
        let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
        let (driven, ()) = tokio::join!(engine.drive(&run), async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            run.cancel();
        });
        let Driven::Done(finished) = driven else { panic!("the run parked") };
        assert_eq!((finished.status, lab.live()), (RunStatus::Cancelled, 0));
        let message = finished.error.unwrap().message;
        assert_eq!(message.contains("dropped after the grace period: /main"), !ignores, "{message}");
    }
}

/// Code that uses every kind of recorded value.
fn body(context: &ExecutionContext, lab: Lab) -> BoxFuture<'_, Result<Value, WorkflowError>> {
    Box::pin(async move {
        let (now, random) = (context.now().await?.to_string(), context.random().await?);
        let mut n = json!([now, random, context.uuid().await?.to_string()]);
        for round in 0..3 {
            n = step(context, &lab, &format!("round{round}"), "put", json!({"n": n})).await?;
        }
        let failed = step(context, &lab, "fails", "fail", json!({})).await.unwrap_err().to_string();
        Ok(json!({"n": n, "failed": failed, "state": context.state()?.to_value()}))
    })
}

/// Runs one process that crashes at boundary `crash_at`; returns the result if the run ends first.
fn process(lab: &Lab, records: &Arc<Mutex<Records>>, crash_at: Option<u64>) -> Option<Finished> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let journal = Journal::new(records, crash_at);
        let engine = lab.engine().interceptor(Position::Journal, journal.clone()).build();
        let plan = engine.prepare_code(Arc::new(Code(lab.clone(), Box::new(body))));
        let resume = Some(Resume::new(uuid::Uuid::nil(), "2026-01-01T00:00:00Z".parse().unwrap()));
        let options = RunOptions { resume, ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::default(), &options).unwrap();
        tokio::select! {
            biased;
            driven = engine.drive(&run) => match driven {
                Driven::Done(finished) => Some(*finished),
                other => panic!("the run did not end: {other:?}"),
            },
            () = journal.crashed() => None,
        }
    })
}

#[test]
fn code_resumes_after_a_crash_at_every_boundary() {
    for crash_at in 0.. {
        let (lab, records) = (Lab::new(), Arc::default());
        let first = process(&lab, &records, Some(crash_at));
        let before = lab.started();
        let known: Vec<_> = records.lock().unwrap().outcomes.keys().map(|path| format!("{path}#1")).collect();
        let recorded = records.lock().unwrap().decisions.clone();
        let finished = process(&lab, &records, None).unwrap();
        assert_eq!(finished.status, RunStatus::Completed, "{:?}", finished.error);
        let again = &lab.started()[before.len()..];
        assert!(again.iter().all(|step| !known.contains(step)), "crash at {crash_at}: {again:?} after {known:?}");
        for (key, decision) in recorded {
            assert_eq!(records.lock().unwrap().decisions[&key], decision, "crash at {crash_at}");
        }
        if let Some(first) = first {
            assert_eq!((&first.output, &first.state_changes), (&finished.output, &finished.state_changes));
            assert!(crash_at > 20, "only {crash_at} boundaries");
            break;
        }
    }
}
