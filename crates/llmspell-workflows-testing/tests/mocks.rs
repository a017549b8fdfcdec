//! Mocks can replace their services and report unexpected calls.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_advanced::EnhancedExecutionContext;
use llmspell_workflows_basic::{
    Driven, Engine, RunOptions, WorkflowInput,
    activity::Activities,
    engine::{Position, Wake},
    model::{Definition, Delay, Step, StepKind},
};
use llmspell_workflows_hooks::{HookDispatcher, HookLayer, Registration, answer::Before, point::BeforeStep};
use llmspell_workflows_state::{Epoch, Journal, Opened, Receipt, RunJournal, Started, store::Stores};
use llmspell_workflows_testing::mock::{
    MockActivity, MockAdapter, MockArchiveStore, MockBlobStore, MockClock, MockDefinitionStore, MockEmbeddingService,
    MockHook, MockInboxStore, MockJournal, MockRunStore, MockSchemaCheck, MockSessionStorage, MockSnapshotStore,
    MockStateStorage, MockTimers, MockVectorStorage, mockall::Sequence,
};
use serde_json::json;
use uuid::Uuid;

fn charge() -> Definition {
    Definition::sequence("order", [Step::function("charge", "charge", json!({"amount": 12}))])
}

fn activities(payments: MockActivity) -> Activities {
    let mut activities = Activities::new();
    activities.register("function", "charge", payments);
    activities
}

#[test]
fn each_mock_can_replace_its_service() {
    let stores = Stores {
        runs: Arc::new(MockRunStore::new()),
        archive: Arc::new(MockArchiveStore::new()),
        definitions: Arc::new(MockDefinitionStore::new()),
        snapshots: Arc::new(MockSnapshotStore::new()),
        inbox: Arc::new(MockInboxStore::new()),
        blobs: Arc::new(MockBlobStore::new()),
        adapter: Arc::new(MockAdapter::new()),
    };
    assert!(format!("{stores:?}").contains("MockRunStore"));
    let mut context = EnhancedExecutionContext::in_memory()
        .with_sessions(Arc::new(MockSessionStorage::new()))
        .with_vectors(Arc::new(MockVectorStorage::new()), Arc::new(MockEmbeddingService::new()));
    context.state_storage = Arc::new(MockStateStorage::new());
    assert!(format!("{:?}", context.embedding_service).contains("MockEmbeddingService"));
    let hooks = HookDispatcher::builder().register(Registration::new("none").at(BeforeStep, MockHook::new())).build();
    let _ = Engine::builder()
        .clock(MockClock::new())
        .timers(MockTimers::new())
        .schemas(MockSchemaCheck::new())
        .interceptor(Position::Hooks, HookLayer::new(Arc::new(hooks)))
        .build();
}

#[tokio::test]
async fn an_unexpected_call_fails_the_step_with_the_mocks_message() {
    let engine = Engine::builder().activities(activities(MockActivity::new())).build();
    let finished = engine.run(charge(), WorkflowInput::default()).await.unwrap();
    let error = finished.error.unwrap().to_string();
    assert!(error.contains("MockActivity::perform"), "{error}");
}

#[test]
#[should_panic(expected = "MockActivity::perform: Expectation(<anything>) called 0 time(s)")]
fn an_expected_call_that_is_not_made_fails_the_test() {
    let mut payments = MockActivity::new();
    payments.expect_perform().times(1).returning(|_| Ok(json!(null).into()));
}

#[tokio::test]
async fn starting_a_run_opens_appends_and_syncs_in_order() {
    let mut order = Sequence::new();
    let mut journal = MockJournal::new();
    let opened = |_| Ok(Opened { epoch: Epoch(1), records: Vec::new() });
    journal.expect_open().times(1).in_sequence(&mut order).returning(opened);
    journal.expect_append().times(1).in_sequence(&mut order).returning(|_, _, _| Ok(Receipt::new(1)));
    journal.expect_sync().times(1).in_sequence(&mut order).returning(|_| Ok(()));
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let run = RunJournal::open(journal, Uuid::now_v7()).await.unwrap();
    run.start(Started::default()).await.unwrap();
}

#[tokio::test]
async fn a_run_parks_when_its_timer_requests_it() {
    let mut timers = MockTimers::new();
    timers.expect_until().times(1).returning(|_, _| Wake::Park);
    let engine = Engine::builder().timers(timers).build();
    let sleep =
        Definition::sequence("sleep", [Step::new("wait", StepKind::Sleep(Delay::Fixed(Duration::from_secs(3600))))]);
    let plan = engine.prepare(sleep).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    assert!(matches!(engine.drive(&run).await, Driven::Parked(_)));
}

#[tokio::test]
async fn a_hook_is_called_once_for_each_step() {
    let mut hook = MockHook::<BeforeStep>::new();
    hook.expect_call().times(1).returning(|_| Ok(Before::Skip("not today".into())));
    let hooks = HookDispatcher::builder().register(Registration::new("skips").at(BeforeStep, hook)).build();
    let mut payments = MockActivity::new();
    payments.expect_perform().never();
    let layer = HookLayer::new(Arc::new(hooks));
    let engine = Engine::builder().activities(activities(payments)).interceptor(Position::Hooks, layer).build();
    let finished = engine.run(charge(), WorkflowInput::default()).await.unwrap();
    assert!(finished.error.is_none(), "{:?}", finished.error);
}
