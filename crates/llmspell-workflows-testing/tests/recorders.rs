//! Recorders retain a limited number of calls and events in order, and a failed story assertion shows the difference.

use std::sync::Arc;

use llmspell_workflows_hooks::{
    EventBus, HookContext, HookDispatcher, HookError, HookLayer, Registration,
    answer::{Before, OnError},
    event::{EventLayer, Filter},
    hook_fn,
    point::{BeforeStep, StepError},
};
use llmspell_workflows_testing::{
    Story,
    harness::{RunResult, Script, WorkflowTest, prelude::*},
    recorder::{EventRecorder, HookRecorder},
};

/// Runs the step `a`, which fails, and then `b`, with this hook.
fn run(registration: Registration) -> RunResult {
    let hooks = Arc::new(HookDispatcher::builder().register(registration).build());
    let steps = [Step::function("a", "bad", json!({"n": 1})), Step::function("b", "good", json!({"n": 2}))];
    WorkflowTest::new(Definition::sequence("test", steps))
        .function("bad", Script::fails_permanently("boom"))
        .function("good", Script::returns(json!("done")))
        .engine(move |engine| engine.interceptor(Position::Hooks, HookLayer::new(hooks.clone())))
        .run()
}

#[test]
fn hook_answers_and_errors_are_recorded() {
    let recorder = HookRecorder::new();
    let before = hook_fn(|context: HookContext| async move {
        match &*context.path() {
            "/main/a" => Ok(Before::ModifyInput(json!({"n": 7}))),
            _ => Err(HookError::new("no luck")),
        }
    });
    let on_error = hook_fn(|_| async { Ok(OnError::Replace(json!("instead"))) });
    let watched = Registration::new("watched")
        .at(BeforeStep, recorder.watch(before))
        .at(StepError, recorder.watch(on_error))
        .timeout(Duration::from_secs(60));
    run(watched).completed_with(&json!("done"));
    recorder.story().is(&[
        "before_step /main/a: input {\"n\":7}",
        "step_error /main/a: replace \"instead\"",
        "before_step /main/b: failed, no luck",
    ]);
    let calls = recorder.calls();
    assert_eq!(calls[0].answer.as_ref().unwrap().as_ref().unwrap().input.as_deref(), Some(&json!({"n": 7})));
}

#[test]
fn a_hook_that_times_out_is_recorded_without_an_answer() {
    let recorder = HookRecorder::new();
    let hangs = recorder.watch(hook_fn(|_| std::future::pending::<Result<Before, HookError>>()));
    let registration = Registration::new("hangs").at(BeforeStep, hangs).timeout(Duration::from_millis(1));
    run(registration).failed_with("boom");
    recorder.story().is(&["before_step /main/a: no answer"]);
}

#[test]
fn recorders_are_bounded_and_count_lost_items() {
    let recorder = HookRecorder::with_capacity(2);
    run(recorder.everywhere().timeout(Duration::from_secs(60))).failed_with("boom");
    let story = recorder.story();
    assert_eq!((story.lines().len(), story.lines()[1].as_str()), (2, "workflow_error /main"));
    assert!(story.lost() > 0);

    let bus = EventBus::new();
    let recorder = EventRecorder::with_capacity(&bus, Filter::all(), 3);
    let test = WorkflowTest::new(Definition::sequence("test", [Step::function("b", "good", json!({}))]))
        .function("good", Script::returns(json!("done")))
        .engine(move |engine| engine.interceptor(Position::Hooks, EventLayer::new(bus.clone())));
    // The first run publishes four events, and three of them are retained. The next run publishes
    // four more events, which replace them.
    let _ = test.run();
    let story = recorder.story();
    assert_eq!(
        (story.lines(), story.lost()),
        (&["step.started /main/b", "step.completed /main/b", "run.completed"].map(String::from)[..], 1)
    );
    let _ = test.run();
    assert_eq!((recorder.events().len(), recorder.story().lost()), (3, 5));
}

fn panic_message(assert: impl Fn(&Story) + std::panic::UnwindSafe, story: Story) -> String {
    let story = std::panic::AssertUnwindSafe(story);
    let panic = std::panic::catch_unwind(move || assert(&story)).expect_err("the assertion fails");
    *panic.downcast::<String>().expect("a panic with a message")
}

#[test]
fn a_failed_story_assertion_shows_the_difference() {
    let story = || Story::of(["one", "two", "three"]);
    story().is(&["one", "two", "three"]);
    story().contains_in_order(&["one", "three"]);
    story().never("four");
    let message = panic_message(|story| story.is(&["one", "three", "four"]), story());
    assert!(message.ends_with("  one\n+ two\n  three\n- four\n"), "{message}");
    let message = panic_message(|story| story.contains_in_order(&["two", "one"]), story());
    assert_eq!(message, "expected `one` after `two`:\n  one\n  two\n  three\n");
    let message = panic_message(|story| story.never("two"), story());
    assert_eq!(message, "unexpected `two`:\n  one\n  two\n  three\n");
    for assert in [|story: &Story| story.is(&["one", "two", "three"]), |story: &Story| story.never("four")] {
        let message = panic_message(assert, story().after_lost(2));
        assert!(message.starts_with("2 lines were lost"), "{message}");
    }
}
