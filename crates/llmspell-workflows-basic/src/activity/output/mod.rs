//! The output of processes and other work, line by line while a step runs.

mod stream;
mod writer;

use async_trait::async_trait;
use uuid::Uuid;

pub(crate) use writer::OpenLogs;
pub use writer::OutputWriter;

/// The maximum number of bytes of a line; the rest of a longer line is left out.
pub const OUTPUT_LINE_BYTES_MAX: usize = 16 * 1024;

/// Receives what the processes of steps write, while they run.
///
/// Secrets are masked in everything that a sink receives.
pub trait OutputSink: Send + Sync {
    /// Begins the output of one attempt of a step.
    fn open(&self, source: &OutputSource) -> Box<dyn OutputLog>;
}

/// Receives the output of one attempt of a step. It is dropped when the attempt has ended.
#[async_trait]
pub trait OutputLog: Send {
    /// Takes lines in the order in which they were written.
    async fn write(&mut self, lines: &[OutputLine]);

    /// Takes the lines of a stream that have begun but may still change: a line that has not ended, after lines that are
    /// held back because of it. They replace the ones before, and are replaced by the next lines of the stream.
    async fn preview(&mut self, stream: OutputStream, lines: &[OutputLine]) {
        let _ = (stream, lines);
    }

    /// Learns that the output of the attempt has ended. This is not called if the process ends first.
    async fn close(&mut self) {}
}

/// The attempt of a step that writes output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSource {
    /// The run.
    pub run: Uuid,
    /// The path of the step.
    pub path: String,
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// The number of earlier attempts that were interrupted because their process ended.
    pub cuts: u32,
}

/// One line of output, without its line break. Bytes that are not UTF-8 are U+FFFD, and of a line with carriage returns,
/// only the [last state](Self::last_state) is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Where it was written.
    pub stream: OutputStream,
    /// The text, with secrets masked.
    pub text: String,
}

impl OutputLine {
    /// Returns the last state of a line that its writer replaced after carriage returns, as progress bars do.
    ///
    /// ```
    /// # use llmspell_workflows_basic::activity::OutputLine;
    /// assert_eq!(OutputLine::last_state("10 %\r20 %\r"), "20 %");
    /// ```
    #[must_use]
    pub fn last_state(line: &str) -> &str {
        let line = line.trim_end_matches('\r');
        line.rsplit('\r').next().unwrap_or(line)
    }
}

/// A stream that a process writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

impl OutputStream {
    /// Returns the name of the stream: `stdout` or `stderr`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
