//! Mocks of the service traits, made by [`mockall`]: they do what a test says, and nothing else.
//!
//! # A double or a mock
//!
//! A [double](crate::double) behaves as the real service does, and fails where a test says so. A mock has no behaviour of
//! its own: it answers a call that was expected, and panics at any other one. Take a double first. A test that says only
//! what goes wrong stays true when the code under test makes one call more.
//!
//! Take a mock where
//!
//! - the calls are what is tested: with which arguments, how often, in which order, or not at all ([`never`]);
//! - the answer is one that no real service would give now: a damaged journal, a list of runs that has no end;
//! - there is no implementation in memory that a double could stand around.
//!
//! [`never`]: https://docs.rs/mockall/latest/mockall/#call-counts
//!
//! # The pattern
//!
//! Say what is expected and what is answered, then hand the mock to whatever takes the service. What was expected and did
//! not happen fails the test when the mock is dropped.
//!
//! ```
//! use llmspell_workflows_basic::{Engine, WorkflowInput, activity::Activities, model::{Definition, Step}};
//! use llmspell_workflows_testing::mock::MockActivity;
//! use serde_json::json;
//!
//! let mut payments = MockActivity::new();
//! payments
//!     .expect_perform()
//!     .withf(|call| call.input()["amount"] == 12)
//!     .times(1)
//!     .returning(|_| Ok(json!("r-7").into()));
//!
//! let mut activities = Activities::new();
//! activities.register("function", "charge", payments);
//! let engine = Engine::builder().activities(activities).build();
//! let order = Definition::sequence("order", [Step::function("charge", "charge", json!({"amount": 12}))]);
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let finished = engine.run(order, WorkflowInput::default()).await.unwrap();
//! assert_eq!(*finished.output, json!("r-7"));
//! # });
//! ```
//!
//! A panic inside of a step is an error of that step. So an unexpected call of a mock that stands below a step shows as a
//! failed run, with mockall's message in it.
//!
//! # The mocks
//!
//! | mock | of the trait | feature |
//! |---|---|---|
//! | [`MockActivity`] | [`Activity`](llmspell_workflows_basic::activity::Activity): leaf work | |
//! | [`MockDispatch`] | [`Dispatch`](llmspell_workflows_basic::engine::Dispatch): carries leaves | |
//! | [`MockTimers`] | [`Timers`](llmspell_workflows_basic::engine::Timers): waits | |
//! | [`MockChildren`] | [`Children`](llmspell_workflows_basic::engine::Children): runs sub-workflows | |
//! | [`MockSchemaCheck`] | [`SchemaCheck`](llmspell_workflows_basic::engine::SchemaCheck): checks data | |
//! | [`MockClock`] | [`Clock`](llmspell_workflows_basic::Clock): the time | |
//! | [`MockJournal`] | [`Journal`](llmspell_workflows_state::Journal): the records of runs | |
//! | [`MockRunStore`], [`MockArchiveStore`], [`MockDefinitionStore`], [`MockSnapshotStore`], [`MockInboxStore`], [`MockBlobStore`], [`MockAdapter`] | the traits of [stores](llmspell_workflows_state::store) | |
//! | `MockHook` | `Hook`, at any point | `hooks` |
//! | `MockStateStorage` | `StateStorage`: states outside of runs | `advanced` |
//! | `MockSessionStorage` | `SessionStorage`: sessions | `advanced` |
//! | `MockVectorStorage` | `VectorStorage`: vectors | `advanced` |
//! | `MockEmbeddingService` | `EmbeddingService`: makes vectors of texts | `advanced` |

/// Shows mocks by their names: services can be shown, and what is expected of them cannot.
macro_rules! shown_by_name {
    ($($mock:ident),+) => {
        $(impl std::fmt::Debug for $mock {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($mock)).finish_non_exhaustive()
            }
        })+
    };
}

#[cfg(feature = "advanced")]
mod advanced;
mod engine;
#[cfg(feature = "hooks")]
mod hooks;
mod journal;
mod stores;

#[cfg(feature = "advanced")]
pub use advanced::{MockEmbeddingService, MockSessionStorage, MockStateStorage, MockVectorStorage};
pub use engine::{MockActivity, MockChildren, MockClock, MockDispatch, MockSchemaCheck, MockTimers};
#[cfg(feature = "hooks")]
pub use hooks::MockHook;
pub use journal::MockJournal;
pub use stores::{
    MockAdapter, MockArchiveStore, MockBlobStore, MockDefinitionStore, MockInboxStore, MockRunStore, MockSnapshotStore,
};

/// The version of mockall that the mocks are made with: its predicates and sequences.
pub use mockall;
