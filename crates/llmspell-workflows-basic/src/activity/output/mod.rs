//! The output of processes and other work, line by line while a step runs.

mod stream;
mod writer;

use async_trait::async_trait;
use uuid::Uuid;

pub(crate) use writer::OpenLogs;
pub use writer::OutputWriter;

/// The maximum size of a line in bytes; the rest of a longer line is omitted.
pub const OUTPUT_LINE_BYTES_MAX: usize = 16 * 1024;

/// Receives the output of step processes while the steps run.
///
/// Secrets are masked in everything that a sink receives.
pub trait OutputSink: Send + Sync {
    /// Opens the log for one attempt of a step.
    fn open(&self, source: &OutputSource) -> Box<dyn OutputLog>;
}

/// Receives the output of one attempt of a step; dropped when the attempt has ended.
#[async_trait]
pub trait OutputLog: Send {
    /// Receives lines in the order they were written.
    async fn write(&mut self, lines: &[OutputLine]);

    /// Receives the lines of a stream that have begun but may still change: an unfinished line,
    /// preceded by any lines held back because of it. A preview replaces the stream's previous
    /// preview, and is replaced by the next lines of the stream.
    async fn preview(&mut self, stream: OutputStream, lines: &[OutputLine]) {
        let _ = (stream, lines);
    }

    /// Closes the log when the attempt's output has ended; not called if the process ends first.
    async fn close(&mut self) {}
}

/// A step attempt that writes output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSource {
    /// The run.
    pub run: Uuid,
    /// The path of the step.
    pub path: String,
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// The number of earlier attempts interrupted because their process ended.
    pub cuts: u32,
}

/// One line of output, without its line break. Bytes that are not UTF-8 become U+FFFD, and a line
/// with carriage returns is reduced to its [last state](Self::last_state).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// The stream of the line.
    pub stream: OutputStream,
    /// The text, with secrets masked.
    pub text: String,
}

impl OutputLine {
    /// Returns the last state of a line whose writer used carriage returns to replace it, as
    /// progress bars do.
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

/// An output stream of a process.
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
