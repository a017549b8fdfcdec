//! The output of processes and other work, line by line while a step runs.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{PathLink, secrets::Masker};

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
    /// Takes lines in the order in which they were written. The process is read again once this returns.
    async fn write(&mut self, lines: &[OutputLine]);
}

/// The attempt of a step that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSource {
    /// The run.
    pub run: Uuid,
    /// The path of the step.
    pub path: String,
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// The number of earlier attempts that the end of a process cut off.
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
#[derive(Clone)]
pub(crate) struct OpenLogs(Arc<Mutex<Vec<Box<dyn OutputLog>>>>);

impl OpenLogs {
    pub(crate) fn new(sinks: &[Arc<dyn OutputSink>], run: Uuid, path: &PathLink, attempt: u32, cuts: u32) -> Self {
        let open = |sink: &Arc<dyn OutputSink>| sink.open(&OutputSource { run, path: path.to_string(), attempt, cuts });
        Self(Arc::new(Mutex::new(sinks.iter().map(open).collect())))
    }
}

/// Passes one stream of an attempt to the engine's [sinks](OutputSink), in whole lines with secrets masked.
///
/// ```
/// # use llmspell_workflows_basic::{activity::{ActivityContext, OutputStream}, StepError};
/// # async fn copied(context: &ActivityContext) {
/// let [mut stdout, _] = context.output();
/// stdout.write(b"compiling\nlin").await;
/// stdout.write(b"king\n").await;
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
    pub async fn write(&mut self, bytes: &[u8]) {
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
        let lines = self.lines(&text);
        self.pending.drain(..end);
        self.searched = self.pending.len();
        self.pass(lines).await;
    }

    /// Passes on the rest of the stream, which has ended.
    pub async fn finish(mut self) {
        if !self.pending.is_empty() {
            let lines = self.lines(&String::from_utf8_lossy(&self.pending));
            self.pass(lines).await;
        }
    }

    fn lines(&self, text: &str) -> Vec<OutputLine> {
        let masked = self.masker.masked(text);
        masked.lines().map(|line| OutputLine { stream: self.stream, text: bounded(line) }).collect()
    }

    async fn pass(&mut self, lines: Vec<OutputLine>) {
        if let Some(OpenLogs(logs)) = &self.logs {
            for log in &mut *logs.lock().await {
                log.write(&lines).await;
            }
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
    use std::sync::Mutex as SyncMutex;

    use super::*;

    struct Recorder(Arc<SyncMutex<Vec<String>>>);

    #[async_trait]
    impl OutputLog for Recorder {
        async fn write(&mut self, lines: &[OutputLine]) {
            self.0.lock().unwrap().extend(lines.iter().map(|line| line.text.clone()));
        }
    }

    /// Writes `parts`, and returns the lines that were passed on after each part and at the end.
    fn written(secret: &str, parts: &[&[u8]]) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lines = Arc::default();
        let logs = OpenLogs(Arc::new(Mutex::new(vec![Box::new(Recorder(Arc::clone(&lines))) as Box<dyn OutputLog>])));
        let mut writer = OutputWriter::new(Some(logs), Masker::new([("key", secret)]), OutputStream::Stdout);
        let take = || std::mem::take(&mut *lines.lock().unwrap());
        let mut all = Vec::new();
        for part in parts {
            runtime.block_on(writer.write(part));
            all.push(take());
        }
        runtime.block_on(writer.finish());
        all.push(take());
        all
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
