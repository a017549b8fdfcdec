//! The output of processes and other work, line by line while a step runs.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
};
use uuid::Uuid;

use crate::secrets::Masker;

/// The maximum number of bytes of a line; the rest of a longer line is left out.
pub const OUTPUT_LINE_BYTES_MAX: usize = 16 * 1024;

/// The maximum number of batches of lines that are written at once.
const BATCHES_MAX: usize = 64;

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

/// One line of output, without its line break. Bytes that are not UTF-8 are U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Where it was written.
    pub stream: OutputStream,
    /// The text, with secrets masked.
    pub text: String,
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

/// The open logs of one attempt, shared by its streams.
///
/// A task writes them, so that a slow log never delays the process, nor the end of a step whose output is complete. What
/// waits to be written is bounded by what the step may write at all.
#[derive(Clone)]
pub(crate) struct OpenLogs(Arc<LogTask>);

struct LogTask {
    lines: UnboundedSender<Vec<OutputLine>>,
    task: JoinHandle<()>,
}

impl OpenLogs {
    pub(crate) fn open(sinks: &[Arc<dyn OutputSink>], source: &OutputSource) -> Self {
        Self::new(sinks.iter().map(|sink| sink.open(source)).collect())
    }

    fn new(mut logs: Vec<Box<dyn OutputLog>>) -> Self {
        let (lines, mut receiver) = unbounded_channel::<Vec<OutputLine>>();
        let task = tokio::spawn(async move {
            let mut batches = Vec::new();
            while receiver.recv_many(&mut batches, BATCHES_MAX).await > 0 {
                let lines: Vec<OutputLine> = batches.drain(..).flatten().collect();
                for log in &mut logs {
                    log.write(&lines).await;
                }
            }
        });
        Self(Arc::new(LogTask { lines, task }))
    }

    /// Waits until everything is written, if no other stream is open.
    async fn close(self) {
        if let Some(LogTask { lines, task }) = Arc::into_inner(self.0) {
            drop(lines);
            // A log that panics loses its lines; the step has its result.
            let _ = task.await;
        }
    }
}

/// Passes one stream of an attempt to the engine's [sinks](OutputSink), in whole lines with secrets masked.
///
/// ```
/// # use llmspell_workflows_basic::{activity::{ActivityContext, OutputStream}, StepError};
/// # async fn copied(context: &ActivityContext) {
/// let [mut stdout, _] = context.output();
/// stdout.write(b"compiling\nlin");
/// stdout.write(b"king\n");
/// stdout.finish().await;
/// # }
/// ```
pub struct OutputWriter {
    logs: Option<OpenLogs>,
    masker: Masker,
    stream: OutputStream,
    /// What has not been passed on: an unfinished line, or lines in which a secret may have begun.
    pending: Vec<u8>,
    /// The number of bytes of `pending` that were searched for a line break.
    searched: usize,
}

impl OutputWriter {
    pub(crate) fn new(logs: Option<OpenLogs>, masker: Masker, stream: OutputStream) -> Self {
        Self { logs, masker, stream, pending: Vec::new(), searched: 0 }
    }

    /// Takes the next bytes of the stream, and passes on the lines that they finish.
    ///
    /// Lines are held back while they end with the beginning of a secret, which may continue on the next line.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.logs.is_none() {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let Some(last) = self.pending[self.searched..].iter().rposition(|byte| *byte == b'\n') else {
            self.searched = self.pending.len();
            return;
        };
        let end = self.searched + last + 1;
        self.searched = self.pending.len();
        let text = String::from_utf8_lossy(&self.pending[..end]);
        if self.masker.may_continue(&text) {
            return;
        }
        self.pass(self.lines(&text));
        self.pending.drain(..end);
        self.searched = self.pending.len();
    }

    /// Passes on the rest of the stream, which has ended. The last stream of an attempt waits until everything is
    /// written.
    pub async fn finish(mut self) {
        if !self.pending.is_empty() {
            self.pass(self.lines(&String::from_utf8_lossy(&self.pending)));
        }
        if let Some(logs) = self.logs.take() {
            logs.close().await;
        }
    }

    fn lines(&self, text: &str) -> Vec<OutputLine> {
        let masked = self.masker.masked(text);
        masked.lines().map(|line| OutputLine { stream: self.stream, text: bounded(line) }).collect()
    }

    fn pass(&self, lines: Vec<OutputLine>) {
        if let Some(OpenLogs(logs)) = &self.logs {
            // The task ends early only if a log panics.
            let _ = logs.lines.send(lines);
        }
    }
}

impl fmt::Debug for OutputWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputWriter").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Cuts a masked line that is too long, and says how much is missing.
fn bounded(line: &str) -> String {
    if line.len() <= OUTPUT_LINE_BYTES_MAX {
        return line.to_owned();
    }
    let end = line.floor_char_boundary(OUTPUT_LINE_BYTES_MAX);
    format!("{} ({} more bytes of this line left out)", &line[..end], line.len() - end)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Recorder(Arc<Mutex<Vec<String>>>);

    #[async_trait]
    impl OutputLog for Recorder {
        async fn write(&mut self, lines: &[OutputLine]) {
            self.0.lock().unwrap().extend(lines.iter().map(|line| line.text.clone()));
        }
    }

    /// Writes `parts`, and returns the lines that were passed on after each part and at the end.
    fn written(secret: &str, parts: &[&[u8]]) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let lines: Arc<Mutex<Vec<String>>> = Arc::default();
            let take = || std::mem::take(&mut *lines.lock().unwrap());
            let logs = OpenLogs::new(vec![Box::new(Recorder(Arc::clone(&lines)))]);
            let mut writer = OutputWriter::new(Some(logs), Masker::new([("key", secret)]), OutputStream::Stdout);
            let mut all = Vec::new();
            for part in parts {
                writer.write(part);
                // Lets the task of the logs write.
                tokio::task::yield_now().await;
                all.push(take());
            }
            writer.finish().await;
            all.push(take());
            all
        })
    }

    #[test]
    fn lines_are_passed_on_when_they_are_complete() {
        let parts = written("", &[b"one\ntw", b"o\r\nthree", b"\xff"]);
        assert_eq!(parts, [vec!["one"], vec!["two"], vec![], vec!["three\u{fffd}"]]);
        assert_eq!(written("", &[]), [Vec::<String>::new()]);
    }

    #[test]
    fn secret_that_arrives_in_parts_is_masked() {
        let parts = written("correct-horse-battery", &[b"key=correct-ho", b"rse-battery\n", b"next\n"]);
        assert_eq!(parts, [vec![], vec!["key=***"], vec!["next"], vec![]]);
    }

    #[test]
    fn lines_are_held_back_while_a_secret_may_continue() {
        let parts = written("first line\nsecond line", &[b"a\nfirst line\n", b"second line\nb\n"]);
        assert_eq!(parts, [vec![], vec!["a", "***", "b"], vec![]]);
        let parts = written("first line\nsecond line", &[b"first line\n", b"other\n"]);
        assert_eq!(parts.concat(), ["***", "other"], "each line of a secret is masked");
    }

    #[test]
    fn base64_of_a_secret_that_is_broken_into_lines_is_masked() {
        // The base64 of `a secret of some length`.
        let parts = written("a secret of some length", &[b"YSBzZWNyZXQgb2Yg\n", b"c29tZSBsZW5ndGg=\nend\n"]);
        let shown = parts.concat().join("\n");
        assert!(!shown.contains("YSBz") && !shown.contains("c29t") && shown.ends_with("end"), "{shown}");
    }

    #[test]
    fn long_line_is_cut_after_it_was_masked() {
        let secret = "correct-horse-battery";
        let line = format!("{}{secret}\n", "x".repeat(OUTPUT_LINE_BYTES_MAX - 10));
        let shown = written(secret, &[line.as_bytes()]).concat().concat();
        assert!(!shown.contains("correct") && shown.ends_with("***"), "{}", &shown[shown.len() - 60..]);
        let shown = written(secret, &[&[b'y'; OUTPUT_LINE_BYTES_MAX + 5], b"\n"]).concat().concat();
        assert!(shown.ends_with("y (5 more bytes of this line left out)"));
    }
}
