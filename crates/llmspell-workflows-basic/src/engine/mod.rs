//! The engine: a single code path that executes every step, with extension points around it.
//!
//! [`Engine::prepare`] turns a definition into a [`Plan`](crate::Plan): expressions and templates
//! are parsed once, references are checked, and each step receives only the [`Interceptor`]s that
//! apply to it. [`Engine::drive`] runs the plan. Every step is executed through the [`Stack`];
//! every decision is made through [`Call::decide`].

mod activity;
mod alter;
mod asker;
mod branches;
mod builder;
mod call;
mod call_context;
mod cancel;
mod child;
mod decision;
mod driven;
#[expect(clippy::module_inception, reason = "`Engine` has its own file, like every other type")]
mod engine;
mod execute;
mod extensions;
mod interceptor;
mod mailbox;
mod names;
mod outcome;
mod past;
mod permits;
mod record;
mod resume;
mod root;
mod run;
mod run_clock;
mod scope;
mod seams;
mod secrets;
mod slots;
mod stack;
mod tasks;
mod undo;
mod wait;

pub(crate) use activity::call_activity;
pub use activity::output_bytes;
pub use asker::{Asker, Who};
pub use branches::WaitTimes;
pub(crate) use branches::WaitsFor;
pub use call::Call;
pub(crate) use call::{decide, recall};
pub(crate) use call_context::CallContext;
pub use cancel::{Cancel, CancelReason};
pub use child::{Child, ChildEnd, ChildRun, ChildUndo, Children, drive_child, drive_child_in_cleanup};
pub use decision::{Attempt, Awaited, Choice, Compensable, Decision, DecisionKey, DecisionPoint, Received, choice};
pub use driven::{Driven, RunOptions};
pub use engine::{Engine, EngineBuilder};
pub(crate) use execute::{Begun, begin, execute};
pub use extensions::Extensions;
pub(crate) use interceptor::Slice;
pub use interceptor::{Happening, Interceptor, Next, NextDecision, NextRecall};
pub use mailbox::Signal;
pub(crate) use outcome::UnfinishedSteps;
pub use outcome::{Cancelled, Failure, Outcome, Output, SkipReason, StuckStep, Wait};
pub(crate) use record::Records;
pub use record::{StepRecord, StepStatus};
pub use resume::{Resume, UndoableStep};
pub use run::{Run, Warning};
pub(crate) use scope::{Scope, View};
pub use seams::{
    Dispatch, InProcess, LeafCall, LimitName, SchemaCheck, SharedLimits, SharedPermit, Timers, Violation, Wake,
};
pub(crate) use slots::{Slots, VisibleResult};
pub use stack::{Position, Stack};
pub(crate) use tasks::Tasks;
pub(crate) use undo::{IncompleteUndo, UndoStatus};
pub(crate) use wait::wait_until;

pub use crate::plan::Role;
