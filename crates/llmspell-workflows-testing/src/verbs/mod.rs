//! Crashes the verbs that change runs, and checks that no crash harms a run.
//!
//! [`crash`](crate::crash) crashes one run while it executes. A [`VerbTest`] crashes the operations on runs: start,
//! resume, pause, cancel, signal, retry, resolve, rerun, fork, continue with another or a corrected definition, export,
//! import, delete, prune, compact, back up, restore and recover. The runs are in a real
//! [`FolderHome`](llmspell_workflows_advanced::FolderHome) in a temporary folder, with its locks, journals and archive.
//!
//! # Crashes
//!
//! Each process sees the home through a wrapper with a boundary before and after each call that locks or changes
//! anything: claims, leases, messages, every write to a store or a journal, and the effects of activities. Once a
//! process has crashed at a boundary, nothing that it does has an effect. If no other process is alive, the folder
//! stays exactly as it was at that moment, as after a kill; what the process had only in memory is lost. Otherwise its
//! locks are released, and what it had in memory may still reach the disk.
//!
//! # What must hold
//!
//! A model knows what was requested and what was acknowledged, and never reads the home to find out what should be
//! there. The home is compared with it after each verb and each crash:
//!
//! - A step whose completion was acknowledged is not executed again, and a step that runs at most once has its effect at
//!   most once.
//! - Each run is listed once and found where it is listed; its history can be read and it can be exported.
//! - Sub-workflows are stored with their parents and do not outlive them.
//! - A verb that was acknowledged has happened; any other verb has happened completely or not at all. The runs that it
//!   does not concern have not changed. A backup or an import is complete or does not exist.
//! - A run that is resumed comes to rest with the status, output and effects of an uninterrupted run.
//! - A run that continues under a corrected definition ends like one that was started with it. Of the steps whose
//!   completion was acknowledged, only those run again that the preview names, and the preview names no step that has not
//!   changed and comes after no change.
//! - Verifying the home finds no damage.
//!
//! At the end, all runs are resumed, signalled, resolved and retried until they reach their final states.
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
//! boundaries of their own, and power losses are not simulated; the crash tests on a [`SimDisk`](crate::crash::SimDisk)
//! do that for the log. Verbs are performed one after the other, not concurrently.

mod backup;
mod cast;
mod climb;
mod effects;
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
