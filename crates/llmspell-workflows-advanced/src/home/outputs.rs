//! The output of running steps, kept by a home.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::activity::{OutputLine, OutputSink, OutputSource};
use uuid::Uuid;

use crate::ExecutorError;

/// The number of lines kept from the beginning of an attempt's output.
pub const OUTPUT_HEAD_LINES: usize = 500;

/// The number of lines kept from the end of an attempt's output, if the output is longer than
/// [`OUTPUT_HEAD_LINES`].
pub const OUTPUT_TAIL_LINES: usize = 500;

/// Keeps the output of steps, line by line while they run, so that another process can follow it.
///
/// For each attempt, at least the first [`OUTPUT_HEAD_LINES`] and the last [`OUTPUT_TAIL_LINES`]
/// lines are kept, together with unfinished lines; fewer are kept if lines are long. Lines are not
/// synced, because the journal rather than this log is authoritative.
#[async_trait]
pub trait StepOutputs: OutputSink {
    /// Returns the lines of a run written since the last call with the same cursor, in the order
    /// they were written.
    ///
    /// # Errors
    /// Returns an error if the log cannot be read.
    async fn read(&self, run: Uuid, cursor: &mut OutputCursor) -> Result<Vec<LoggedLine>, ExecutorError>;

    /// Removes the output of these runs.
    ///
    /// # Errors
    /// Returns an error if the log cannot be removed.
    async fn remove(&self, runs: &[Uuid]) -> Result<(), ExecutorError>;
}

/// One execution of a step's work that has written at least one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// Distinguishes the executions of a run; a later execution has a greater id.
    pub id: u64,
    /// The time at which the execution wrote its first line.
    pub at: Timestamp,
    /// The run, the step and the attempt.
    pub source: OutputSource,
}

/// A line of an attempt's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedLine {
    /// The attempt that wrote the line.
    pub attempt: Arc<LoggedAttempt>,
    /// The number of lines that the attempt wrote before this one. A gap between two numbers means
    /// that lines were dropped.
    pub number: u64,
    /// The line.
    pub line: OutputLine,
}

/// A reader's position in the output of a run.
#[derive(Debug, Default)]
pub struct OutputCursor {
    /// The number of bytes read from the log of the run.
    pub(super) position: u64,
    pub(super) attempts: HashMap<u64, AttemptCursor>,
    pub(super) unfinished: Vec<LoggedLine>,
}

impl OutputCursor {
    /// Returns the lines that were unfinished at the last read. They may still change; once
    /// finished, they are read as normal lines.
    #[must_use]
    pub fn unfinished(&self) -> &[LoggedLine] {
        &self.unfinished
    }

    /// Returns how the output of an attempt ended; `None` if it has not ended, or if the log is incomplete.
    #[must_use]
    pub fn end(&self, attempt: u64) -> Option<&OutputEnd> {
        self.attempts.get(&attempt)?.end.as_ref()
    }
}

/// The end of an attempt's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputEnd {
    /// The number of lines that the attempt wrote.
    pub lines: u64,
    /// Why the last lines could not be logged.
    pub error: Option<String>,
}

/// A reader's position in the output of an attempt.
#[derive(Debug)]
pub(super) struct AttemptCursor {
    pub(super) attempt: Arc<LoggedAttempt>,
    /// The number of the first unread line.
    pub(super) next: u64,
    /// Whether the last lines are in separate files.
    pub(super) has_tail: bool,
    pub(super) end: Option<OutputEnd>,
}
