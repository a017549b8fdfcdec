//! Cancelling a run stops its activities, and the error names any that keep running.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{
    Driven, Engine, ErrorClass, Finished, Limits, RunOptions, RunStatus, StepError, WorkflowInput, model::*,
};
use serde_json::json;
use tokio::sync::Notify;

use crate::support::{Gate, Lab, OpenOnDrop};

/// Runs `definition` and cancels the run once `when` resolves.
async fn cancelled(engine: &Engine, definition: Definition, when: impl Future<Output = ()>) -> Finished {
    let plan = engine.prepare(definition).unwrap_or_else(|invalid| panic!("{invalid}"));
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    let (driven, ()) = tokio::join!(engine.drive(&run), async {
        when.await;
        run.cancel();
    });
    let Driven::Done(finished) = driven else { panic!("the run parked") };
    *finished
}

#[tokio::test]
async fn loops_that_never_await_can_be_cancelled() {
    let engine = Lab::new().engine().limits(Limits { run_steps_max: 3_000_000, ..Limits::default() }).build();
    let set = Step::set("set", json!({"k": "{{ loop.index }}"}).as_object().unwrap().clone());
    let busy = Loop { max_iterations: Some(1_000_000), ..Loop::new(LoopSource::While("true".into()), [set]) };
    let finished = cancelled(&engine, Definition::new("busy", StepKind::Loop(busy)), tokio::task::yield_now()).await;
    assert_eq!(finished.status, RunStatus::Cancelled);
    assert!(finished.steps.len() < 100_000, "{} steps ran", finished.steps.len());
}

fn blocking(steps: impl FnOnce(&dyn Fn(&str) -> Step) -> Vec<Step>) -> (Finished, usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let gate = Gate::default();
    let open_on_drop = OpenOnDrop(gate.clone());
    let mut lab = Lab::new();
    let blocked = gate.clone();
    let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
    lab.register("block", move |_| {
        let (gate, begins) = (blocked.clone(), begins.clone());
        async move {
            let _ = begins.send(());
            gate.wait();
            Ok(json!(null).into())
        }
    });
    let steps = steps(&|id| Step::function(id, "block", json!(null)));
    let limits = Limits { cancel_grace: Duration::from_millis(10), ..Limits::default() };
    let engine = lab.engine().limits(limits).build();
    let definition = Definition::sequence("blocks", steps);
    let both = async {
        for _ in 0..2 {
            begun.recv().await.unwrap();
        }
    };
    let finished = runtime.block_on(cancelled(&engine, definition, both));
    drop(open_on_drop);
    drop(runtime);
    (finished, lab.live())
}

#[test]
fn errors_name_activities_that_block_their_thread() {
    let (finished, live) = blocking(|block| {
        let inner = Parallel::new([block("one"), Step::sequence("inner", [block("two"), block("unreached")])]);
        vec![inner.into_step("both"), block("never")]
    });
    assert_eq!((finished.status, live), (RunStatus::Cancelled, 0));
    let message = finished.error.unwrap().message;
    let (_, named) = message
        .split_once("despite the request to stop: ")
        .unwrap_or_else(|| panic!("no activity is named: {message}"));
    let mut named: Vec<_> = named.split(", ").collect();
    named.sort_unstable();
    assert_eq!(named, ["/main/both/inner/two", "/main/both/one"]);
}

#[tokio::test]
async fn finally_of_a_cancelled_run_sees_the_cancellation_as_its_error() {
    let begun = Arc::new(Notify::new());
    let mut lab = Lab::new();
    let begins = begun.clone();
    lab.register("waits", move |context| {
        let begins = begins.clone();
        async move {
            begins.notify_one();
            context.cancelled().await;
            Err(StepError::new(ErrorClass::Cancelled, "cancelled", "stopped"))
        }
    });
    let why = json!({"error": "{{ error }}", "code": "{{ error.code }}"});
    let finally = Step::set("why", why.as_object().unwrap().clone());
    let steps = Definition::sequence("w", [Step::function("long", "waits", json!(null))]);
    let definition = Definition { finally: vec![finally.into()], ..steps };
    let finished = cancelled(&lab.engine().build(), definition, begun.notified()).await;
    assert_eq!(finished.status, RunStatus::Cancelled);
    let step = finished.step("/main/$finally/why").unwrap();
    let seen = step.output.as_ref().unwrap().read().into_owned();
    let (code, error) = (&seen["code"], &seen["error"]);
    assert_eq!((code, &error["class"], &error["path"]), (&json!("cancelled"), &json!("cancelled"), &json!("/main")));
    assert_eq!(error["message"], "cancelled on request");
}
