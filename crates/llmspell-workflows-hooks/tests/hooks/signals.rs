//! Hooks are called while no lock of the run is held, so they can send signals to the run.

use std::{
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};

use llmspell_workflows_basic::{
    Driven, Run, RunOptions, WorkflowInput,
    engine::Position,
    model::{Definition, Step, StepKind, WaitForEvent},
};
use llmspell_workflows_hooks::{
    HookContext, HookDispatcher, HookLayer, Registration, answer::Permit, hook_fn, point::SignalReceived,
};
use serde_json::json;

use super::support::Lab;

#[test]
fn hooks_that_refuse_a_signal_can_send_another() {
    let (sender, receiver) = mpsc::channel();
    // Use a separate thread so that a deadlock fails the test instead of blocking it.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        sender.send(runtime.block_on(refuse_then_accept()))
    });
    let output = receiver.recv_timeout(Duration::from_secs(30)).expect("the hook does not block the run");
    assert_eq!(output, json!({"name": "go", "data": 2, "timed_out": false}));
}

async fn refuse_then_accept() -> serde_json::Value {
    let run: Arc<OnceLock<Arc<Run>>> = Arc::default();
    let seen = run.clone();
    let refuse = hook_fn(move |_: HookContext| {
        let run = seen.get().unwrap().clone();
        async move {
            // A warning means that this hook has already refused a signal and sent another.
            if run.warnings().is_empty() {
                run.signal("go", 2);
                return Ok(Permit::Cancel("not this one".into()));
            }
            Ok(Permit::Continue)
        }
    });
    let hooks = HookDispatcher::builder().register(Registration::new("refuse").at(SignalReceived, refuse)).build();
    let engine = Lab::new().engine().interceptor(Position::Hooks, HookLayer::new(Arc::new(hooks))).build();
    let wait = WaitForEvent { event: "go".into(), ..WaitForEvent::default() };
    let definition = Definition::sequence("waits", [Step::new("wait", StepKind::WaitForEvent(wait))]);
    let plan = engine.prepare(definition).unwrap();
    let started = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    started.signal("go", 1);
    assert!(run.set(started.clone()).is_ok(), "the run is set once");
    match engine.drive(&started).await {
        Driven::Done(finished) => (*finished.output).clone(),
        other => panic!("the run did not end: {other:?}"),
    }
}
