//! The targets of spans and events in `tracing`.
//!
//! All begin with `llmspell_workflows`, so one directive names them all: `llmspell_workflows=debug`.
//!
//! | target | spans, with their fields | events |
//! |---|---|---|
//! | `llmspell_workflows::run` | `run` (`workflow`, `version`, `run`) while a run is driven | `started` where it is driven, and how it ended (info) |
//! | `llmspell_workflows::step` | `step` (`workflow`, `run`, `path`, `kind`, `attempt`, `status`), `attempt` (`attempt`) in a step that may be tried again | failures and retries (info), starts and ends (debug) |
//! | `llmspell_workflows::warning` | | each warning of a run (warn) |
//! | `llmspell_workflows::journal` | `resume` (`run`), `takeover` (`path`), `commit` (`waiting`; trace) | what was found there (info), what was synced (trace) |
//! | `llmspell_workflows::hook` | | failures of hooks (warn), and what the hook `Logging` tells |
//! | `llmspell_workflows::event` | | a subscriber that panicked (error) |

/// Runs as a whole.
pub const RUN: &str = "llmspell_workflows::run";
/// Steps and their attempts.
pub const STEP: &str = "llmspell_workflows::step";
/// The warnings of runs, which [`crate::Finished::warnings`] has too.
pub const WARNING: &str = "llmspell_workflows::warning";
/// What is recorded, and read back.
pub const JOURNAL: &str = "llmspell_workflows::journal";
/// Hooks.
pub const HOOK: &str = "llmspell_workflows::hook";
/// Subscribers to events.
pub const EVENT: &str = "llmspell_workflows::event";
