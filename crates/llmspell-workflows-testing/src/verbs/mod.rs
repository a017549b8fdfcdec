//! Crashes the verbs that change runs, and checks that no crash harms a run.
//!
//! [`crash`](crate::crash) crashes one run while it executes. A [`VerbTest`] crashes the operations on runs: start,
//! resume, pause, cancel, signal, retry, resolve, rerun, fork, continue with another or a corrected definition, export,
//! import, delete, prune, compact, back up, restore and recover. The runs are in a real
//! [`FolderHome`](llmspell_workflows_advanced::FolderHome) in a temporary folder, with its locks, journals and archive.
//!
//! # Crashes
//!
//! Each process sees the home through a wrapper with a boundary before and after each call that
//! locks or changes anything: claims, leases, messages, every write to a store or a journal, and
//! the effects of activities. Once a process has crashed at a boundary, its actions have no effect.
//! If no other process is alive, the folder stays exactly as it was at that moment, as after a
//! kill, and data that was only in the process's memory is lost. Otherwise the process's locks are
//! released, and data in its memory may still reach the disk.
//!
//! # What must hold
//!
//! A model tracks the requested and acknowledged verbs, and never reads the home to determine its
//! expected contents. After each verb and each crash, the home is compared with the model:
//!
//! - A step whose completion was acknowledged is not executed again, and an at-most-once step takes
//!   effect at most once.
//! - Each run is listed once and found where it is listed. Its history can be read, and the run can
//!   be exported.
//! - Sub-workflows are stored with their parents and do not outlive them.
//! - An acknowledged verb has happened; any other verb has happened completely or not at all. Runs
//!   that the verb does not concern have not changed. A backup or an import is complete or does not
//!   exist.
//! - A resumed run comes to rest with the status, output and effects of an uninterrupted run.
//! - A run that continues under a corrected definition ends like a run started with that
//!   definition. Of the steps with acknowledged completions, only those named in the preview run
//!   again, and the preview names an unchanged step only if an earlier step has changed.
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
//! The calls that [`back_up`](llmspell_workflows_advanced::Upkeep::back_up) and a lease make inside
//! the home have no separate boundaries, and power losses are not simulated. The crash tests on a
//! [`SimDisk`](crate::crash::SimDisk) simulate power losses for the log. Verbs are performed one
//! after the other, not concurrently.

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
