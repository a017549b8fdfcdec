//! Checks clients' observations of a durable workflow program against its store.
//!
//! A test starts commands of the program, perhaps several at a time, kills some of them, and writes
//! a history: a list of [`Observation`]s in the order they were made. [`check`] then
//! reports every [`Violation`] of the promise in `docs/durability.md`: repeated, lost, reordered or
//! contradicted acknowledgements, and overlapping executions.
//!
//! The checker works on plain data and depends neither on this workspace's engine nor on its
//! journals, so it can also check other programs. Write their observations as JSON, one per line,
//! and [`read`] them.
//!
//! ```
//! use llmspell_workflows_testing::history::{check, read, Kind};
//!
//! let history = read(concat!(
//!     r#"{"process": "p1", "asked": {"store": "main", "command": "run"}}"#, "\n",
//!     r#"{"process": "p1", "run_started": {"run": "r1"}}"#, "\n",
//!     r#"{"process": "p1", "effect_began": {"run": "r1", "step": "/main/pay", "attempt": 1}}"#, "\n",
//!     r#"{"process": "p1", "step_completed": {"run": "r1", "step": "/main/pay"}}"#, "\n",
//!     r#"{"process": "p1", "ended": {"outcome": "unknown"}}"#, "\n",
//!     r#"{"process": "p2", "asked": {"store": "main", "command": "resume", "run": "r1"}}"#, "\n",
//!     r#"{"process": "p2", "effect_began": {"run": "r1", "step": "/main/pay", "attempt": 2}}"#, "\n",
//! ))?;
//! let found = check(&history).violations;
//! assert_eq!((found.len(), found[0].kind()), (1, Kind::Repeated));
//! // The acknowledged completion, and the effect that followed it.
//! assert_eq!(found[0].observations, [3, 6]);
//! # Ok::<(), llmspell_workflows_testing::history::ReadError>(())
//! ```
//!
//! # Order
//!
//! A violation is reported only if the history proves it regardless of the delays between events
//! and their observations. This requires the following:
//!
//! - `asked` is written before the command starts, and `ended` after its process has ended and all
//!   its messages have been written.
//! - An acknowledgement (`run_started`, `step_completed`, `run_ended`, `run_deleted`) is written
//!   after a client has read it, possibly some time after it was given.
//! - `effect_began` and `effect_ended` are written by the effect itself when it begins and when it
//!   is about to end.
//!
//! A single file to which clients and effects append satisfies these requirements without a clock,
//! because the order of its lines is the order of the history.
//!
//! # Keys
//!
//! A step is identified by its run and its path with generations, from which the idempotency key is
//! derived. A step that is deliberately executed again, for example by a retry, has another
//! generation; `may_repeat` lists the steps that a command executes again. A copy of a run in
//! another store is independent, but starts with all acknowledgements made before the copy was
//! requested. Ids that begin with `$`, such as `$finally`, belong to cleanup, which continues after
//! a request to stop the run.

mod acknowledged;
mod contradicted;
mod order;
mod overlap;
mod scope;
mod sequence;
mod stored;
mod violation;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

pub use sequence::Sequences;
pub use stored::{End, ExportError, Recorded, StoredRecord, StoredRun};
pub use violation::{Kind, Report, Rule, Violation};

/// An observation by a client, an effect or a reader of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The name of the process, which is one execution of a command. The name is unique in the
    /// history.
    pub process: String,
    /// The time of the observation, in microseconds since the Unix epoch. Only the order of the
    /// history matters, except that the times of effects and records are compared if both are
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_us: Option<u64>,
    /// What was observed.
    #[serde(flatten)]
    pub what: What,
}

/// What was observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// The known order in which the steps of every run are executed.
    Declared {
        /// Lists of steps that are executed one after the other.
        sequences: Sequences,
    },
    /// A client starts a command.
    Asked(Asked),
    /// The process's command may execute these completed steps of a run again, under new
    /// generations. Later commands may also do so until the steps have been executed again. The
    /// process must not repeat any other completed step.
    MayRepeat {
        /// The run's id.
        run: String,
        /// The paths of the steps, without generations, in the run or its sub-workflows. A path
        /// includes everything inside it.
        steps: Vec<String>,
    },
    /// A command's process ended.
    Ended {
        /// The outcome of the command, as far as the client knows it.
        outcome: Outcome,
    },
    /// The command reported that it drives this run or, if the run is new, that it started the run.
    RunStarted {
        /// The run's id.
        run: String,
    },
    /// The command reported that a step with an effect completed.
    StepCompleted {
        /// The run's id.
        run: String,
        /// The path of the step, with its generations.
        step: String,
    },
    /// The command reported how the run ended.
    RunEnded {
        /// The run's id.
        run: String,
        /// The run's final status, such as `completed`.
        status: String,
    },
    /// The command reported that it deleted a run.
    RunDeleted {
        /// The run's id.
        run: String,
    },
    /// An effect begins, in a process started by the command.
    EffectBegan(Effect),
    /// An effect is about to end.
    EffectEnded(Effect),
    /// The store contains a run, according to a command that read the store.
    Found(StoredRun),
    /// The store contains these runs and no others, according to a command that read the store.
    Listed {
        /// The runs' ids.
        runs: Vec<String>,
    },
}

/// A command and the store that it uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The name of the store.
    pub store: String,
    /// The command.
    #[serde(flatten)]
    pub command: Command,
}

/// A command that a client requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Start a new run.
    Run,
    /// Start a new run of the same workflow.
    Rerun {
        /// The run to repeat.
        run: String,
    },
    /// Start a new run that keeps a part of another run.
    Fork {
        /// The run to copy from.
        run: String,
    },
    /// Continue a run.
    Resume {
        /// The run.
        run: String,
    },
    /// Continue a run that has failed or was cancelled.
    Retry {
        /// The run.
        run: String,
    },
    /// Report the outcome of a stuck step and continue the run.
    Resolve {
        /// The run.
        run: String,
    },
    /// Cancel a run.
    Cancel {
        /// The run.
        run: String,
    },
    /// Pause a run.
    Pause {
        /// The run.
        run: String,
    },
    /// Send a signal to a run.
    Signal {
        /// The run.
        run: String,
    },
    /// Delete these runs.
    Delete {
        /// The runs.
        runs: Vec<String>,
    },
    /// Delete ended runs without naming them.
    Prune,
    /// Read a run from the store; the result is a `found` observation.
    Export {
        /// The run.
        run: String,
    },
    /// Import an exported run.
    Import {
        /// The run.
        run: String,
        /// The process that exported the run.
        export: String,
    },
    /// Copy the whole store.
    Backup {
        /// The name of the store that contains the copy.
        to: String,
    },
    /// List the runs in the store; the result is a `listed` observation.
    List,
    /// A command that changes no run.
    Other {
        /// The command's name.
        name: String,
    },
}

/// The outcome of a command whose process ended, as known to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command reported that it completed the request.
    Done,
    /// The command reported that the process driving the run will complete the request.
    Accepted,
    /// The command reported a failure. Part of its work may have been done.
    Failed,
    /// The process was killed.
    Unknown,
}

/// One execution of a step's effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Effect {
    /// The run's id.
    pub run: String,
    /// The path of the step, with its generations.
    pub step: String,
    /// The number of the attempt, counted from 1.
    pub attempt: u64,
}

/// The reason why a history could not be read.
#[derive(Debug)]
pub struct ReadError {
    /// The line number, counted from 1.
    pub line: usize,
    /// A description of the problem with the line.
    pub message: String,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} is not an observation: {}", self.line, self.message)
    }
}

impl std::error::Error for ReadError {}

/// Reads a history from JSON lines; empty lines are skipped.
///
/// # Errors
/// Returns an error if a line is not an observation.
pub fn read(text: &str) -> Result<Vec<Observation>, ReadError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |(at, line)| {
        serde_json::from_str(line).map_err(|error| ReadError { line: at + 1, message: format!("{error}: {line}") })
    };
    lines.map(parse).collect()
}

/// Writes a history as JSON lines.
#[must_use]
pub fn write(history: &[Observation]) -> String {
    history.iter().fold(String::new(), |mut text, observation| {
        let line = serde_json::to_string(observation).expect("observations are plain data with string keys");
        writeln!(text, "{line}").expect("writing to a string does not fail");
        text
    })
}

/// Finds every violation that a history proves, in the order of the observations that complete the proofs.
#[must_use]
pub fn check(history: &[Observation]) -> Report {
    let mut report = Report::count(history);
    let found = [
        acknowledged::violations(history),
        order::violations(history),
        overlap::violations(history),
        contradicted::violations(history),
    ];
    report.violations = found.into_iter().flatten().collect();
    report.violations.sort_by(|one, other| one.observations.last().cmp(&other.observations.last()));
    report
}
