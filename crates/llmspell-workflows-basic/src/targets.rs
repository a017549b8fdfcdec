//! The targets of `tracing` spans and events.
//!
//! All targets start with `llmspell_workflows`, so a single directive enables them: `llmspell_workflows=debug`.
//!
//! | target | spans, with their fields | events |
//! |---|---|---|
//! | `llmspell_workflows::run` | `run` (`workflow`, `version`, `run`) while a run is driven | `started` and the final status (info) |
//! | `llmspell_workflows::step` | `step` (`workflow`, `run`, `path`, `kind`, `attempt`, `status`), `attempt` (`attempt`) for each attempt of a step with retries | failures and retries (info), starts and ends (debug) |
//! | `llmspell_workflows::warning` | | each warning of a run (warn) |
//! | `llmspell_workflows::journal` | `resume` (`run`), `takeover` (`path`), `commit` (`waiting`; trace) | reads (info) and syncs (trace) of records |
//! | `llmspell_workflows::hook` | | failures of hooks (warn), and the output of the `Logging` hook |
//! | `llmspell_workflows::event` | | panics of subscribers (error) |

/// Whole runs.
pub const RUN: &str = "llmspell_workflows::run";
/// Steps and their attempts.
pub const STEP: &str = "llmspell_workflows::step";
/// The warnings of runs, which [`crate::Finished::warnings`] also contains.
pub const WARNING: &str = "llmspell_workflows::warning";
/// Writing and reading records.
pub const JOURNAL: &str = "llmspell_workflows::journal";
/// Hooks.
pub const HOOK: &str = "llmspell_workflows::hook";
/// Subscribers to events.
pub const EVENT: &str = "llmspell_workflows::event";
