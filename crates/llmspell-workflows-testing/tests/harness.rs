//! The harness reports failures in detail, and can also crash runs that wait for signals.

use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};

fn panic_of(test: impl FnOnce()) -> String {
    *std::panic::catch_unwind(std::panic::AssertUnwindSafe(test))
        .expect_err("the test panics")
        .downcast::<String>()
        .expect("a panic with a message")
}

/// Returns a test of two steps that wait for signals with the same name; each step receives one signal.
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
fn each_signal_is_received_once_even_if_the_process_crashes_at_any_boundary() {
    let test = approvals().signal("approved", json!({"by": "Ada"})).signal("approved", json!({"by": "Grace"}));
    test.run().completed_with(&json!("Ada and Grace"));
    assert!(test.crash_everywhere().crashes > 20);
}

#[test]
fn a_signal_that_is_never_sent_is_reported() {
    let test = approvals().signal("approved", json!({"by": "Ada"}));
    let once = test.clone();
    let plain = panic_of(move || _ = once.run());
    let crashed = panic_of(move || _ = test.crash_everywhere());
    for message in [plain, crashed] {
        assert!(message.contains("waits for a signal that is never sent"), "{message}");
    }
}

#[test]
fn an_unexpected_state_is_shown_as_a_line_by_line_difference() {
    let values = json!({"a": 1, "b": 2}).as_object().unwrap().clone();
    let result = WorkflowTest::new(Definition::sequence("test", [Step::set("s", values)])).run();
    result.left_state(&json!({"a": 1, "b": 2}));
    let message = panic_of(move || result.left_state(&json!({"a": 1, "b": 3})));
    assert!(message.contains("-   \"b\": 3\n+   \"b\": 2\n"), "{message}");
    assert!(message.contains("the run: completed"), "{message}");
}

#[test]
fn a_scripted_model_fails_on_a_request_without_an_answer() {
    let step = Step::activity("ask", "agent", "writer", json!({"messages": [{"text": "Sing!"}]}));
    let test = WorkflowTest::new(Definition::sequence("test", [step]));
    let result =
        test.clone().activity("agent", "writer", Script::model([("Write", json!(1)), ("Draw", json!(2))])).run();
    result.failed_with("unscripted");
    let message = result.to_string();
    assert!(message.contains("contains `Write` or `Draw`, got {\"messages\":[{\"text\":\"Sing!\"}]}"), "{message}");
    let any = Script::model([("Sing", json!("la")), ("", json!("what?"))]);
    test.activity("agent", "writer", any).run().completed_with(&json!("la"));
}

#[test]
fn overhead_counts_the_records_and_syncs_of_the_journal() {
    let leaves = |count: usize| {
        let steps = (0..count).map(|n| Step::function(format!("s{n}"), "f", json!(n)));
        WorkflowTest::new(Definition::sequence("test", steps)).function("f", Script::returns(json!(1))).overhead()
    };
    let (one, five) = (leaves(1), leaves(5));
    assert_eq!((one.syncs, five.syncs), (2, 6), "one sync for the start and one for each completion");
    assert_eq!(five.records - one.records, 8, "one record for the start and one for the end of each leaf");
    assert!(five.bytes > one.bytes);
}
