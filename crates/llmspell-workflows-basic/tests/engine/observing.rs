//! Observers and filters run while no lock is held, so they can signal and inspect the run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Driven, Engine, Finished, Limits, Run, RunOptions, WorkflowInput,
    engine::{Happening, Interceptor, Position},
    model::{Definition, Loop, LoopSource, Step, StepKind, WaitForEvent},
};
use serde_json::{Value, json};

use crate::support::{Lab, echo};

/// An observer that signals and inspects the run.
struct SignalingObserver(fn(&Run, Happening<'_>));

#[async_trait]
impl Interceptor for SignalingObserver {
    fn applies(&self, _: &Step) -> bool {
        false
    }

    fn observe(&self, run: &Run, happening: Happening<'_>) {
        (self.0)(run, happening);
        let _ = (run.warnings(), run.steps(), run.wait_times());
    }
}

/// Runs `steps` on a separate thread, so that a deadlock fails the test instead of blocking it.
fn run(steps: Vec<Step>, signals: SignalingObserver, before: fn(&Run)) -> Finished {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let finished = runtime.block_on(async {
            let engine: Engine = Lab::new().engine().interceptor(Position::Trace, signals).build();
            let plan = engine.prepare(Definition::sequence("observed", steps)).unwrap();
            let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
            before(&run);
            match engine.drive(&run).await {
                Driven::Done(finished) => *finished,
                other => panic!("the run did not end: {other:?}"),
            }
        });
        let _ = sender.send(finished);
    });
    receiver.recv_timeout(Duration::from_secs(30)).expect("the observer does not block the run")
}

fn wait(filter: Option<&str>) -> Step {
    let filter = filter.map(str::to_owned);
    Step::new("wait", StepKind::WaitForEvent(WaitForEvent { event: "go".into(), filter, ..WaitForEvent::default() }))
}

fn data(finished: &Finished) -> Value {
    assert_eq!(finished.error, None);
    finished.step("wait").unwrap().output.as_ref().unwrap()["data"].clone()
}

#[test]
fn observers_of_a_filter_warning_can_signal_the_run() {
    let signals = SignalingObserver(|run, happening| {
        if matches!(happening, Happening::Warns(_)) && run.warnings().is_empty() {
            run.signal("go", json!({"n": 2}));
        }
    });
    let finished =
        run(vec![wait(Some("event.data.n > 1"))], signals, |run| run.signal("go", json!({"n": ["not a number"]})));
    assert_eq!(data(&finished), json!({"n": 2}));
    let warnings: Vec<_> = finished.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(warnings, ["condition_unevaluable"]);
}

#[test]
fn observers_of_a_run_start_can_signal_the_run() {
    let signals = SignalingObserver(|run, happening| {
        if matches!(happening, Happening::Begins) {
            run.signal("go", 1);
        }
    });
    assert_eq!(data(&run(vec![wait(None)], signals, |_| {})), json!(1));
}

#[test]
fn observers_of_a_condition_warning_can_signal_the_run() {
    let signals = SignalingObserver(|run, happening| {
        if let Happening::Warns(warning) = happening {
            run.signal("go", warning.path.as_str());
        }
    });
    let unevaluable = echo("odd", json!(1)).when("[1].length > [1]");
    assert_eq!(data(&run(vec![unevaluable, wait(None)], signals, |_| {})), json!("/main/odd"));
}

/// An observer that counts warnings.
struct WarningCounter(Arc<AtomicU64>);

#[async_trait]
impl Interceptor for WarningCounter {
    fn observe(&self, _: &Run, happening: Happening<'_>) {
        if matches!(happening, Happening::Warns(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn warnings_beyond_the_limit_are_observed_but_only_counted_in_the_result() {
    let seen = Arc::default();
    let limits = Limits { warnings_max: 2, ..Limits::default() };
    let engine =
        Lab::new().engine().limits(limits).interceptor(Position::Trace, WarningCounter(Arc::clone(&seen))).build();
    let unevaluable = echo("odd", json!(1)).when("[1].length > [1]");
    let each = Loop::new(LoopSource::Items(json!([1, 2, 3, 4, 5])), [unevaluable]).into_step("each");
    let finished = engine.run(Definition::sequence("odd", [each]), WorkflowInput::default()).await.unwrap();
    let paths: Vec<_> = finished.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(paths, ["/main/each[0]/odd", "/main/each[1]/odd"]);
    assert_eq!((finished.warnings_dropped, seen.load(Ordering::Relaxed)), (3, 5));
}
