//! Sessions, and the state that carries over between their runs.

use std::sync::Arc;

use llmspell_workflows_advanced::{
    AdvancedError, AdvancedWorkflow, EnhancedExecutionContext, EnhancedWorkflow, Message, Parking,
    sessions::{MemorySessions, NewSession, SessionError, SessionManager, SessionQuery, SessionStatus},
};
use llmspell_workflows_basic::{WorkflowInput, model::Step};
use llmspell_workflows_hooks::event::{Filter, Received};
use serde_json::json;

use crate::support::{context, echo, elsewhere, newest_run, post, sequence, until_free, wait_for, within_timeout};

fn counter() -> EnhancedWorkflow {
    let count = Step::function("count", "put", json!({"k": "{{ (state.k || 0) + 1 }}"}));
    EnhancedWorkflow::define(sequence([count]))
}

async fn count(workflow: &EnhancedWorkflow, context: &EnhancedExecutionContext) -> serde_json::Value {
    let workflow = Arc::new(workflow.clone());
    let output = workflow.execute_with_infrastructure(WorkflowInput::default(), context.clone()).await.unwrap();
    assert_eq!(output.session_id, context.session_id);
    output.basic_output.final_result["k"].clone()
}

#[tokio::test]
async fn state_carries_over_between_runs_of_a_session() {
    let context = context();
    let session = context.session_manager.create(NewSession::named("counting")).await.unwrap();
    let inside = context.clone().in_session(&session.id);
    for expected in 1..=3 {
        assert_eq!(count(&counter(), &inside).await, json!(expected));
    }
    let session = context.session_manager.get(&session.id).await.unwrap();
    assert_eq!((session.runs.len(), &session.states["test"]), (3, &json!({"k": 3})));
    assert_eq!(count(&counter(), &context).await, json!(1), "a run outside the session starts without a state");
    assert_eq!(
        count(&counter().with_session_aware(false), &inside).await,
        json!(1),
        "a workflow without session persistence starts without a state"
    );
}

#[tokio::test]
async fn initial_state_from_a_session_is_recorded() {
    let steps = [
        Step::function("count", "put", json!({"k": "{{ state.k + 1 }}"})),
        wait_for("wait", "go"),
        echo("last", json!("{{ state.k }}")),
    ];
    let workflow: Arc<dyn AdvancedWorkflow> = Arc::new(EnhancedWorkflow::define(sequence(steps)));
    let context = context().with_parking(Parking::ForSignals);
    let session = context.session_manager.create(NewSession::named("counting")).await.unwrap();
    context.session_manager.set_state(&session.id, "test", json!({"k": 1})).await.unwrap();
    let inside = context.in_session(&session.id);
    let mut waits = inside.event_bus.subscribe(Filter::all().kind("run.waiting"));
    let running = tokio::spawn({
        let (workflow, inside) = (workflow.clone(), inside.clone());
        async move { inside.execute(workflow, WorkflowInput::default()).await }
    });
    within_timeout(waits.next()).await;
    running.abort();
    running.await.unwrap_err();

    let sessions = inside.session_storage.clone();
    let context = elsewhere(inside).with_sessions(sessions);
    until_free(&context).await;
    context.session_manager.set_state(&session.id, "test", json!({"k": 100})).await.unwrap();
    post(&context, Message::Signal { name: "go".into(), payload: json!(0) }).await;
    let output = within_timeout(context.resume(workflow, &newest_run(&context).await)).await.unwrap();
    assert_eq!(
        output.basic_output.final_result,
        json!(2),
        "the resumed run uses the recorded initial state, not the current state of the session"
    );
    assert_eq!(output.session_id.as_ref(), Some(&session.id));
    assert_eq!(context.session_manager.get(&session.id).await.unwrap().states["test"], json!({"k": 2}));
}

#[tokio::test]
async fn events_are_correlated_with_their_session() {
    let context = context();
    let session = context.session_manager.create(NewSession::named("seen")).await.unwrap();
    let mut events = context.event_bus.subscribe(Filter::all().correlation(&session.id).kind("run.*"));
    count(&counter(), &context).await;
    count(&counter(), &context.clone().in_session(&session.id)).await;
    let mut kinds = Vec::new();
    while let Some(Received::Event(event)) = events.try_next() {
        kinds.push(event.kind.to_string());
    }
    assert_eq!(kinds, ["run.started", "run.completed"]);
}

#[tokio::test]
async fn runs_can_be_started_only_in_active_sessions() {
    let context = context();
    let session = context.session_manager.create(NewSession::named("rests")).await.unwrap();
    context.session_manager.suspend(&session.id).await.unwrap();
    let run = |id: &str| {
        let context = context.clone().in_session(id);
        Arc::new(counter()).execute_with_infrastructure(WorkflowInput::default(), context)
    };
    let error = run(&session.id).await.unwrap_err();
    assert!(matches!(error, AdvancedError::Session(SessionError::NotActive { .. })), "{error}");
    let error = run("none").await.unwrap_err();
    assert!(matches!(error, AdvancedError::Session(SessionError::Unknown(_))), "{error}");
    assert_eq!(context.state_manager.home().runs(&Default::default()).await.unwrap(), []);
}

#[tokio::test]
async fn sessions_can_be_listed_changed_and_deleted() {
    let sessions = SessionManager::new(Arc::new(MemorySessions::default()));
    let parent = sessions.create(NewSession::named("parent")).await.unwrap();
    let child = NewSession { parent: Some(parent.id.clone()), ..NewSession::named("child").tagged("blue") };
    let child = sessions.create(child).await.unwrap();
    let orphan = NewSession { parent: Some("none".into()), ..NewSession::default() };
    assert!(matches!(sessions.create(orphan).await, Err(SessionError::Unknown(_))));
    let names = |query: SessionQuery| {
        let sessions = sessions.clone();
        async move { sessions.list(&query).await.unwrap().into_iter().map(|one| one.name).collect::<Vec<_>>() }
    };
    assert_eq!(names(SessionQuery::default()).await, ["child", "parent"]);
    assert_eq!(names(SessionQuery { limit: Some(1), ..SessionQuery::default() }).await, ["child"]);
    assert_eq!(names(SessionQuery { tag: Some("blue".into()), ..SessionQuery::default() }).await, ["child"]);
    assert_eq!(names(SessionQuery { parent: Some(parent.id.clone()), ..SessionQuery::default() }).await, ["child"]);

    assert!(matches!(sessions.resume(&child.id).await, Err(SessionError::Status { .. })), "not suspended");
    sessions.suspend(&child.id).await.unwrap();
    sessions.resume(&child.id).await.unwrap();
    sessions.complete(&child.id).await.unwrap();
    assert!(matches!(sessions.fail(&child.id).await, Err(SessionError::Status { .. })), "already completed");
    assert_eq!(sessions.archive(&child.id).await.unwrap().status, SessionStatus::Archived);
    sessions.fail(&parent.id).await.unwrap();
    sessions.delete(&child.id).await.unwrap();
    assert!(matches!(sessions.delete(&child.id).await, Err(SessionError::Unknown(_))));
    assert_eq!(
        names(SessionQuery { status: Some(SessionStatus::Failed), ..SessionQuery::default() }).await,
        ["parent"]
    );
}
