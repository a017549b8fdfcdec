//! Durable runs of workflows.
//!
//! - [`Home`] is where runs are stored: [`FolderHome`] is a folder that several processes can
//!   share, and [`MemoryHome`] is for tests.
//! - [`Executor`] starts and drives runs, resumes them after a crash, and records how they end.
//! - [`EnhancedExecutionContext`] adds hooks, events, sessions and vectors, and runs [`AdvancedWorkflow`]s.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! use llmspell_workflows_advanced::{Executor, FolderHome, StartOptions};
//! use llmspell_workflows_basic::{Engine, WorkflowInput, activity::{Activities, function}, model::{Definition, Step}};
//! use serde_json::json;
//!
//! let mut activities = Activities::new();
//! activities.register("function", "charge", function(|context| async move { Ok(context.input().clone()) }));
//!
//! let executor = Executor::new(FolderHome::new(folder), Engine::builder().activities(activities));
//! let order = Definition::sequence("order", [Step::function("charge", "charge", json!({"amount": 12}))]);
//! let run = executor.start(order, WorkflowInput::default(), StartOptions::default()).await?;
//! let finished = executor.drive(run).await?;
//! # let _ = finished;
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod context;
mod error;
mod executor;
mod home;
mod metrics;
mod recorded;
mod services;
pub mod sessions;
mod stack;
pub mod state;
pub mod vectors;
mod workflow;

pub use context::EnhancedExecutionContext;
pub use error::ExecutorError;
pub use executor::{
    AttemptStatus, Continuation, Difference, DurableEnd, DurableRun, Executor, Parking, Preview, ProcessOutput,
    RecoveryReport, Redefinition, Resolution, RewindOptions, RunControl, RunHandle, StartOptions,
};
pub use home::{
    BackupReport, Claim, CompactionReport, Contact, DamagedRun, Delivery, EXPORT_VERSION, FolderHome, Holder, Home,
    HomeCheck, HomeStats, HomeUsage, JournalId, JournalKind, JournalStats, JournalSummaries, JournalUsage, KnownRun,
    Lease, LiveRunSummary, LoggedAttempt, LoggedLine, MemoryHome, MovedAside, OUTPUT_HEAD_LINES, OUTPUT_TAIL_LINES,
    OutputCursor, OutputEnd, Prune, RepairReport, RunListing, RunLocation, RunWait, StepOutputs, SubRun,
    UnresolvedStep, Upkeep, WaitFilter, WorkflowEvent,
};
pub use llmspell_workflows_hooks::event::EventKind;
pub use llmspell_workflows_state::{
    Cause, History, PastStep, PastWarning, RewindError, RunsAgain,
    foreign::limits::DOCUMENT_BYTES_MAX,
    store::{Message, RunQuery, RunSummary},
};
pub use metrics::{AdvancedMetrics, ErrorRate, ProcessUsage, ResourceUtilization, cpu_time};
pub use recorded::{is_choice_recorded, is_recorded};
pub use sessions::{SessionManager, SessionStorage};
pub use state::{StateManager, StateStorage};
pub use vectors::{EmbeddingService, VectorStorage};
pub use workflow::{
    AdvancedError, AdvancedWorkflow, AdvancedWorkflowOutput, EnhancedWorkflow, StepResult, WorkflowExecution,
};
