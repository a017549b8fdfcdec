//! A double forwards calls to the service, records them, and fails exactly when a test requests it.

use std::sync::Arc;

use llmspell_workflows_advanced::{
    EnhancedExecutionContext, EnhancedWorkflow, SessionStorage,
    sessions::{MemorySessions, NewSession, Session, SessionError, SessionManager},
};
use llmspell_workflows_basic::{StepError, WorkflowInput, engine::InProcess, model::Definition};
use llmspell_workflows_testing::{
    crash::{CrashTest, Journal, JournalError, LogError, MemoryJournal},
    double::{CALLS_MAX, Double},
    harness::{Script, WorkflowTest, prelude::*},
};
use uuid::Uuid;

fn disk_full() -> SessionError {
    SessionError::Storage("the disk is full".into())
}

/// Creates a double of a storage that already contains a session.
async fn with_session() -> (Double<dyn SessionStorage>, Session) {
    let inner: Arc<dyn SessionStorage> = Arc::new(MemorySessions::default());
    let session = SessionManager::new(inner.clone()).create(NewSession::named("one")).await;
    (Double::around(inner), session.expect("creating a session succeeds"))
}

/// Returns the numbers of the failed reads among five reads.
async fn failed_reads(script: impl Fn(&Double<dyn SessionStorage>)) -> Vec<u32> {
    let (storage, session) = with_session().await;
    script(&storage);
    let mut failed = Vec::new();
    for number in 1..=5 {
        match storage.get(&session.id).await {
            Ok(found) => assert_eq!(found.as_ref(), Some(&session), "a successful read returns the session"),
            Err(error) => {
                assert_eq!(error, disk_full());
                failed.push(number);
            }
        }
    }
    assert_eq!(storage.count("get"), 5);
    let recorded = (1..).zip(storage.calls()).filter(|(_, recorded)| recorded.error.is_some());
    assert_eq!(recorded.map(|(number, _)| number).collect::<Vec<_>>(), failed);
    failed
}

#[tokio::test]
async fn a_double_fails_exactly_the_requested_calls() {
    assert_eq!(failed_reads(|_| ()).await, [0; 0]);
    assert_eq!(failed_reads(|storage| storage.fails_at("get", 2, disk_full)).await, [2]);
    assert_eq!(failed_reads(|storage| storage.fails_from("get", 4, disk_full)).await, [4, 5]);
    assert_eq!(failed_reads(|storage| storage.fails_at("put", 1, disk_full)).await, [0; 0]);
    let two = |storage: &Double<dyn SessionStorage>| {
        storage.fails_at("get", 1, disk_full);
        storage.fails_at("get", 5, disk_full);
    };
    assert_eq!(failed_reads(two).await, [1, 5]);
    let cleared = |storage: &Double<dyn SessionStorage>| {
        storage.fails_from("get", 1, disk_full);
        storage.clear_failures();
    };
    assert_eq!(failed_reads(cleared).await, [0; 0]);
}

#[tokio::test]
async fn a_failed_call_has_no_effect_unless_only_its_response_was_lost() {
    for (response_is_lost, remains) in [(false, true), (true, false)] {
        let (storage, session) = with_session().await;
        match response_is_lost {
            true => storage.loses_response_at("remove", 1, disk_full),
            false => storage.fails_at("remove", 1, disk_full),
        }
        assert_eq!(storage.remove(&session.id).await, Err(disk_full()));
        assert_eq!(storage.get(&session.id).await.unwrap().is_some(), remains);
    }
}

#[tokio::test]
#[should_panic(expected = "the service has no fallible call `read`; its fallible calls are put, get, list, remove")]
async fn requesting_a_failure_of_an_unknown_call_panics() {
    with_session().await.0.fails_at("read", 1, disk_full);
}

#[tokio::test]
async fn the_number_of_recorded_calls_is_bounded() {
    let (storage, session) = with_session().await;
    for _ in 0..CALLS_MAX + 3 {
        storage.get(&session.id).await.unwrap();
    }
    assert_eq!((storage.calls().len(), storage.story().lost()), (CALLS_MAX, 3));
    assert_eq!(storage.count("get"), CALLS_MAX as u64 + 3);
}

#[test]
fn a_journal_failure_at_any_call_loses_no_acknowledged_record() {
    let order = Definition::sequence(
        "order",
        [
            Step::function("charge", "do", json!({"amount": 12})),
            Step::function("ship", "do", json!("{{ charge.amount }}")),
        ],
    );
    let test = CrashTest::new(order, json!({}))
        .activity("function", "do", |context| async move { Ok(context.input().clone().into()) });
    let closed = || JournalError::Log(LogError::Closed);
    for call in ["open", "append", "write", "sync"] {
        let mut failures = 0;
        for number in 1.. {
            let memory = Arc::new(MemoryJournal::new());
            let double = Double::journal(memory.clone());
            double.fails_from(call, number, closed);
            let journal: Arc<dyn Journal> = Arc::new(double.clone());
            match test.run_on(&journal) {
                Ok(finished) => {
                    assert_eq!(*finished.output, json!(12), "{call} {number}");
                    break;
                }
                Err(error) => assert_eq!(error, closed(), "{call} {number}"),
            }
            failures += 1;
            let journal: Arc<dyn Journal> = memory;
            assert_eq!(*test.run_on(&journal).unwrap().output, json!(12), "{call} {number}");
            // The first sync is for the start. Steps whose completion was synced are not performed again.
            let synced =
                double.calls().iter().filter(|recorded| recorded.call == "sync" && recorded.error.is_none()).count();
            assert!(test.performed().len() + synced.saturating_sub(1) <= 2, "{call} {number}: {:?}", test.performed());
        }
        assert!(failures > 0, "{call} never fails");
    }
}

#[test]
fn journal_calls_show_the_kind_and_path_of_records() {
    let order = Definition::sequence("order", [Step::function("charge", "do", json!(1))]);
    let test = CrashTest::new(order, json!({})).activity("function", "do", |_| async { Ok(json!(1).into()) });
    let double = Double::journal(Arc::new(MemoryJournal::new()));
    let journal: Arc<dyn Journal> = Arc::new(double.clone());
    test.run_on(&journal).unwrap();
    double.story().contains_in_order(&["open", "append started", "sync", "append began /main/charge", "write"]);
    double.story().contains_in_order(&["append began /main/charge", "append ended /main/charge", "sync"]);
    assert_eq!(journal.runs(), [Uuid::nil()]);
}

#[test]
fn a_sub_workflow_that_cannot_be_started_fails_its_step() {
    let inner = Definition::sequence("inner", [Step::function("deep", "f", json!(1))]);
    let outer = Definition::sequence("outer", [Step::workflow("sub", "inner", json!({"n": 1}))]);
    let children = Double::children(InProcess);
    let shared = children.clone();
    let test = WorkflowTest::new(outer)
        .function("f", Script::returns(json!("done")))
        .engine(move |engine| engine.workflow(inner.clone()).children(shared.clone()));
    assert_eq!(test.run().status(), RunStatus::Completed);
    children.fails_at("run", 2, || StepError::configuration("no_room", "no more runs can be started"));
    test.run().failed_with("no_room");
    children.story().is(&[
        "run /main/sub",
        "end",
        "run /main/sub: failed, no more runs can be started [no_room]",
        "end",
    ]);
    assert_eq!(children.calls()[0].arguments, json!({"n": 1}));
}

#[tokio::test]
async fn a_durable_workflow_reports_which_service_failed() {
    let storage = Double::sessions(MemorySessions::default());
    let context = EnhancedExecutionContext::in_memory().with_sessions(Arc::new(storage.clone()));
    let session = context.session_manager.create(NewSession::named("research")).await.unwrap();
    let workflow =
        || Arc::new(EnhancedWorkflow::define(Definition::sequence("small", [Step::set("s", Default::default())])));
    storage.fails_from("get", 1, disk_full);
    let inside = context.clone().in_session(&session.id);
    let error = inside.execute(workflow(), WorkflowInput::default()).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    storage.clear_failures();
    inside.execute(workflow(), WorkflowInput::default()).await.unwrap();
}
