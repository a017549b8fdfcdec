//! Tests of workflows say what was wrong, and crash what waits for events too.

use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};

fn panic_of(test: impl FnOnce()) -> String {
    *std::panic::catch_unwind(std::panic::AssertUnwindSafe(test))
        .expect_err("it panics")
        .downcast::<String>()
        .expect("a panic with a text")
}

/// Two waits for the same event, each of which takes one.
fn approvals() -> WorkflowTest {
    let wait = || StepKind::WaitForEvent(WaitForEvent { event: "approved".into(), ..WaitForEvent::default() });
    let review = Definition::sequence(
        "review",
        [
            Step::new("first", wait()),
            Step::new("second", wait()),
            Step::function("publish", "publish", json!("{{ first.data.by }} and {{ second.data.by }}")),
        ],
    );
    WorkflowTest::new(review).function("publish", Script::computes(|input| Ok(input.clone())))
}

#[test]
fn each_event_is_taken_once_wherever_the_process_crashes() {
    let test = approvals().signal("approved", json!({"by": "Ada"})).signal("approved", json!({"by": "Grace"}));
    test.run().completed_with(&json!("Ada and Grace"));
    assert!(test.crash_everywhere().crashes > 20);
}

#[test]
fn one_that_nobody_sends_is_named_as_what_is_missing() {
    let test = approvals().signal("approved", json!({"by": "Ada"}));
    let once = test.clone();
    let plain = panic_of(move || _ = once.run());
    let crashed = panic_of(move || _ = test.crash_everywhere());
    for shown in [plain, crashed] {
        assert!(shown.contains("waits for an event that nobody sends"), "{shown}");
    }
}

#[test]
fn another_state_is_shown_line_by_line() {
    let values = json!({"a": 1, "b": 2}).as_object().unwrap().clone();
    let ended = WorkflowTest::new(Definition::sequence("test", [Step::set("s", values)])).run();
    ended.left(&json!({"a": 1, "b": 2}));
    let shown = panic_of(move || ended.left(&json!({"a": 1, "b": 3})));
    assert!(shown.contains("-   \"b\": 3\n+   \"b\": 2\n"), "{shown}");
    assert!(shown.contains("the run: completed"), "{shown}");
}

#[test]
fn a_model_says_what_it_was_asked_and_has_no_answer_for() {
    let step = Step::activity("ask", "agent", "writer", json!({"messages": [{"text": "Sing!"}]}));
    let test = WorkflowTest::new(Definition::sequence("test", [step]));
    let ended =
        test.clone().activity("agent", "writer", Script::model([("Write", json!(1)), ("Draw", json!(2))])).run();
    ended.failed_with("unscripted");
    let shown = ended.to_string();
    assert!(
        shown.contains("what holds `Write` or `Draw`, and this does not: {\"messages\":[{\"text\":\"Sing!\"}]}"),
        "{shown}"
    );
    let any = Script::model([("Sing", json!("la")), ("", json!("what?"))]);
    test.activity("agent", "writer", any).run().completed_with(&json!("la"));
}

#[test]
fn overhead_is_what_the_journal_is_asked() {
    let leaves = |count: usize| {
        let steps = (0..count).map(|n| Step::function(format!("s{n}"), "f", json!(n)));
        WorkflowTest::new(Definition::sequence("test", steps)).function("f", Script::answers(json!(1))).overhead()
    };
    let (one, five) = (leaves(1), leaves(5));
    assert_eq!((one.syncs, five.syncs), (2, 6), "the start, and each completion");
    assert_eq!(five.records - one.records, 8, "that a leaf begins, and how it ends");
    assert!(five.bytes > one.bytes);
}
