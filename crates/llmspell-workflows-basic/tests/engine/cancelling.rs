//! A request to stop reaches everything, and what does not obey it is named.

use std::time::Duration;

use llmspell_workflows_basic::{Driven, Engine, Finished, Limits, RunOptions, RunStatus, WorkflowInput, model::*};
use serde_json::json;

use crate::support::{Gate, Lab, Opens};

/// Runs `definition` and cancels it as soon as everything waits.
async fn cancelled(engine: &Engine, definition: Definition, after: Duration) -> Finished {
    let plan = engine.prepare(definition).unwrap_or_else(|invalid| panic!("{invalid}"));
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    let (driven, ()) = tokio::join!(engine.drive(&run), async {
        tokio::time::sleep(after).await;
        run.cancel();
    });
    let Driven::Done(finished) = driven else { panic!("nothing here parks") };
    *finished
}

#[tokio::test]
async fn a_loop_that_never_waits_leaves_room_for_a_request_to_stop() {
    let engine = Lab::new().engine().limits(Limits { run_steps_max: 3_000_000, ..Limits::default() }).build();
    let set = Step::set("set", json!({"k": "{{ loop.index }}"}).as_object().unwrap().clone());
    let busy = Loop { max_iterations: Some(1_000_000), ..Loop::new(Over::While("true".into()), [set]) };
    let finished = cancelled(&engine, Definition::new("busy", StepKind::Loop(busy)), Duration::ZERO).await;
    assert_eq!(finished.status, RunStatus::Cancelled);
    assert!(finished.steps.len() < 100_000, "{} steps ran", finished.steps.len());
}

fn blocking(steps: impl FnOnce(&dyn Fn(&str) -> Step) -> Vec<Step>) -> (Finished, usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let gate = Gate::default();
    let opens = Opens(gate.clone());
    let mut lab = Lab::new();
    let blocked = gate.clone();
    lab.register("block", move |_| {
        let gate = blocked.clone();
        async move {
            gate.wait();
            Ok(json!(null).into())
        }
    });
    let steps = steps(&|id| Step::function(id, "block", json!(null)));
    let limits = Limits { cancel_grace: Duration::from_millis(10), ..Limits::default() };
    let engine = lab.engine().limits(limits).build();
    let definition = Definition::sequence("blocks", steps);
    let finished = runtime.block_on(cancelled(&engine, definition, Duration::from_millis(50)));
    drop(opens);
    drop(runtime);
    (finished, lab.live())
}

#[test]
fn every_activity_that_blocks_its_thread_is_named() {
    let (finished, live) = blocking(|block| {
        let inner = Parallel::new([block("one"), Step::sequence("inner", [block("two"), block("never")])]);
        vec![inner.into_step("both"), block("never")]
    });
    assert_eq!((finished.status, live), (RunStatus::Cancelled, 0));
    let message = finished.error.unwrap().message;
    // In the order in which they began, which is open between branches.
    let mut named: Vec<_> = message.split_once("still runs: ").unwrap().1.split(", ").collect();
    named.sort_unstable();
    assert_eq!(named, ["/main/both/inner/two", "/main/both/one"], "{message}");
}
