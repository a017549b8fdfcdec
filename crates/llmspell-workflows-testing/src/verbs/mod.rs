//! Crashes the verbs that change runs, and checks that no crash harms a run.
//!
//! [`crash`](crate::crash) crashes one run while it executes. A [`VerbTest`] crashes what people do with runs: start,
//! resume, pause, cancel, signal, retry, resolve, rerun, fork, continue with another definition, export, import, delete,
//! prune, compact, back up, restore and recover. The runs are in a real
//! [`FolderHome`](llmspell_workflows_advanced::FolderHome) in a temporary folder, with its locks, journals and archive.
//!
//! # Crashes
//!
//! Each process sees the home through a wrapper with a boundary before and after each call that locks or changes
//! anything: claims, leases, messages, every write to a store or a journal, and the effects of activities. If a process
//! crashes at a boundary, nothing of it has any effect any more. A process that was the only one leaves the folder
//! exactly as it was at that moment, as after a kill; what it had only in memory is lost. While another process is
//! alive, its locks are released, and what it had in memory may still reach the disk.
//!
//! # What must hold
//!
//! A model knows what was asked and what was acknowledged, and never reads the home to find out what should be there.
//! It is checked after each verb and each crash:
//!
//! - A step whose completion was acknowledged is not executed again, and a step that runs at most once has its effect at
//!   most once.
//! - Each run is listed once and found where it is listed; its history can be read and it can be exported.
//! - Sub-workflows are where their parents are, and do not outlive them.
//! - A verb that was acknowledged has happened, any other one as a whole or not at all. Runs that it does not concern
//!   have not changed. A backup and an import are there as a whole or not at all.
//! - A run that is resumed comes to rest with the status, output and effects of an uninterrupted run.
//! - Verifying the home finds no damage.
//!
//! At the end all runs are resumed, signalled, resolved and retried until they have come to their last rest.
//!
//! ```
//! use llmspell_workflows_basic::model::{Definition, Step};
//! use llmspell_workflows_testing::verbs::VerbTest;
//! use serde_json::json;
//!
//! let order = Definition::sequence("order", [
//!     Step::function("charge", "charge", json!({"amount": 12})).at_most_once(),
//!     Step::function("ship", "ship", json!({"receipt": "{{ charge }}"})),
//! ]);
//! let report = VerbTest::new()
//!     .workflow(order, json!({}))
//!     .activity("function", "charge", |_| async { Ok(json!("r-7").into()) })
//!     .activity("function", "ship", |context| async move { Ok(context.input().clone().into()) })
//!     .verbs_anywhere(3, 1)
//!     .unwrap_or_else(|difference| panic!("{difference}"));
//! assert_eq!(report.sequences, 3);
//! ```
//!
//! # What is not covered
//!
//! The calls that [`back_up`](llmspell_workflows_advanced::Upkeep::back_up) and a lease make inside the home have no
//! boundaries of their own, and power losses are not simulated; the crash tests on a
//! [`SimDisk`](crate::crash::SimDisk) do that for the log. Verbs are asked one after the other, not at the same time.

mod cast;
mod climb;
mod folder;
mod gate;
mod home;
mod journal;
mod lab;
mod ladder;
mod ledger;
mod model;
#[cfg(test)]
mod planted;
mod process;
mod sequence;
mod situation;
mod stage;
mod stores;
mod test;
mod verb;
mod view;

pub use crate::crash::Difference;
pub use test::{VerbReport, VerbTest};
