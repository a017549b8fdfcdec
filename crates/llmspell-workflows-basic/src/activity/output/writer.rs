//! Passes on an attempt's output in a separate task.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{OutputLine, OutputLog, OutputSink, OutputSource, OutputStream, stream::StreamLines};
use crate::secrets::Masker;

/// The maximum number of chunks processed at once.
const CHUNKS_MAX: usize = 64;

/// How long the beginning of a line waits for the rest before it is passed on as unfinished.
const UNFINISHED_DELAY: Duration = Duration::from_millis(200);

/// The open logs of one attempt, shared by its streams.
///
/// A separate task writes to the logs, so that a slow log never delays the process. The waiting
/// output cannot exceed the total output that the step may write.
#[derive(Clone)]
pub(crate) struct OpenLogs(Arc<LogTask>);

struct LogTask {
    chunks: UnboundedSender<Chunk>,
    task: JoinHandle<()>,
}

/// Bytes of a stream; `None` marks its end.
type Chunk = (OutputStream, Option<Vec<u8>>);

impl OpenLogs {
    pub(crate) fn open(sinks: &[Arc<dyn OutputSink>], source: &OutputSource, masker: &Masker) -> Self {
        Self::new(sinks.iter().map(|sink| sink.open(source)).collect(), masker)
    }

    fn new(logs: Vec<Box<dyn OutputLog>>, masker: &Masker) -> Self {
        let (chunks, receiver) = unbounded_channel();
        let streams =
            [OutputStream::Stdout, OutputStream::Stderr].map(|stream| StreamLines::new(masker.clone(), stream));
        let task = tokio::spawn(Lines { logs, streams }.pass_on(receiver));
        Self(Arc::new(LogTask { chunks, task }))
    }

    /// Waits until everything is written, if no other stream is open.
    async fn close(self) {
        if let Some(LogTask { chunks, task }) = Arc::into_inner(self.0) {
            drop(chunks);
            // If a log panics, its lines are lost, but the step keeps its result.
            let _ = task.await;
        }
    }
}

/// Splits the chunks of both streams into lines and passes them on to the logs.
struct Lines {
    logs: Vec<Box<dyn OutputLog>>,
    streams: [StreamLines; 2],
}

impl Lines {
    async fn pass_on(mut self, mut receiver: UnboundedReceiver<Chunk>) {
        let mut chunks = Vec::new();
        let mut preview_at: Option<Instant> = None;
        loop {
            let received = receiver.recv_many(&mut chunks, CHUNKS_MAX);
            let count = match preview_at {
                Some(at) => timeout_at(at, received).await.ok(),
                None => Some(received.await),
            };
            if count == Some(0) {
                break;
            }
            let mut lines = Vec::new();
            for (stream, bytes) in chunks.drain(..) {
                let stream = &mut self.streams[stream as usize];
                lines.extend(match bytes {
                    Some(bytes) => stream.add(&bytes),
                    None => stream.end(),
                });
            }
            self.write(&lines).await;
            if preview_at.is_some_and(|at| at <= Instant::now()) {
                self.preview().await;
                preview_at = None;
            }
            let has_news = self.streams.iter().any(StreamLines::has_news);
            preview_at = has_news.then(|| preview_at.unwrap_or_else(|| Instant::now() + UNFINISHED_DELAY));
        }
        // A stream that was dropped instead of finished may also have remaining bytes.
        let rest: Vec<OutputLine> = self.streams.iter_mut().flat_map(StreamLines::end).collect();
        self.write(&rest).await;
        for log in &mut self.logs {
            log.close().await;
        }
    }

    async fn write(&mut self, lines: &[OutputLine]) {
        if !lines.is_empty() {
            for log in &mut self.logs {
                log.write(lines).await;
            }
        }
    }

    async fn preview(&mut self) {
        let Self { logs, streams } = self;
        for (stream, of_stream) in [OutputStream::Stdout, OutputStream::Stderr].into_iter().zip(streams) {
            if of_stream.has_news() {
                let lines = of_stream.preview();
                for log in &mut *logs {
                    log.preview(stream, &lines).await;
                }
            }
        }
    }
}

/// Passes one stream of an attempt to the engine's [sinks](OutputSink), in whole lines with
/// secrets masked. A line that takes longer to complete is passed on as
/// [unfinished](OutputLog::preview) in the meantime.
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
    stream: OutputStream,
}

impl OutputWriter {
    pub(crate) fn new(logs: Option<OpenLogs>, stream: OutputStream) -> Self {
        Self { logs, stream }
    }

    /// Writes the next bytes of the stream.
    pub fn write(&mut self, bytes: &[u8]) {
        self.send(Some(bytes));
    }

    /// Ends the stream and passes on the rest. The last stream of an attempt waits
    /// until everything is written.
    pub async fn finish(mut self) {
        self.send(None);
        if let Some(logs) = self.logs.take() {
            logs.close().await;
        }
    }

    fn send(&self, bytes: Option<&[u8]>) {
        if let Some(OpenLogs(logs)) = &self.logs {
            // The task ends early only if a log panics.
            let _ = logs.chunks.send((self.stream, bytes.map(<[u8]>::to_vec)));
        }
    }
}

impl fmt::Debug for OutputWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputWriter").field("stream", &self.stream).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::activity::OUTPUT_LINE_BYTES_MAX;

    /// Records lines; unfinished lines are prefixed with `~`.
    struct Recorder(Arc<Mutex<Vec<String>>>);

    #[async_trait]
    impl OutputLog for Recorder {
        async fn write(&mut self, lines: &[OutputLine]) {
            self.0.lock().unwrap().extend(lines.iter().map(|line| line.text.clone()));
        }

        async fn preview(&mut self, _: OutputStream, lines: &[OutputLine]) {
            self.0.lock().unwrap().extend(lines.iter().map(|line| format!("~{}", line.text)));
        }
    }

    /// Writes `parts` and returns the lines passed on after each part and at the end.
    fn written(secret: &str, parts: &[&[u8]]) -> Vec<Vec<String>> {
        written_with(secret, parts, Duration::ZERO)
    }

    /// Like [`written`], but waits after each part until unfinished lines have been passed on.
    fn previewed(secret: &str, parts: &[&[u8]]) -> Vec<Vec<String>> {
        written_with(secret, parts, 2 * UNFINISHED_DELAY)
    }

    /// Writes `parts` with a pause after each part; time is simulated.
    fn written_with(secret: &str, parts: &[&[u8]], pause: Duration) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let lines: Arc<Mutex<Vec<String>>> = Arc::default();
            let take = || std::mem::take(&mut *lines.lock().unwrap());
            let logs = OpenLogs::new(vec![Box::new(Recorder(Arc::clone(&lines)))], &Masker::new([("key", secret)]));
            let mut writer = OutputWriter::new(Some(logs), OutputStream::Stdout);
            let mut all = Vec::new();
            for part in parts {
                writer.write(part);
                // Gives the log task a chance to write.
                tokio::task::yield_now().await;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                all.push(take());
            }
            writer.finish().await;
            all.push(take());
            all
        })
    }

    #[test]
    fn lines_are_passed_on_once_they_are_complete() {
        let parts = written("", &[b"one\ntw", b"o\r\nthree", b"\xff"]);
        assert_eq!(parts, [vec!["one"], vec!["two"], vec![], vec!["three\u{fffd}"]]);
        assert_eq!(written("", &[]), [Vec::<String>::new()]);
    }

    #[test]
    fn secrets_split_across_chunks_are_masked() {
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
    fn base64_of_a_secret_is_masked_across_line_breaks() {
        // The base64 of `a secret of some length`.
        let parts = written("a secret of some length", &[b"YSBzZWNyZXQgb2Yg\n", b"c29tZSBsZW5ndGg=\nend\n"]);
        let shown = parts.concat().join("\n");
        assert!(!shown.contains("YSBz") && !shown.contains("c29t") && shown.ends_with("end"), "{shown}");
    }

    #[test]
    fn long_lines_are_truncated_after_masking() {
        let secret = "correct-horse-battery";
        let line = format!("{}{secret}\n", "x".repeat(OUTPUT_LINE_BYTES_MAX - 10));
        let shown = written(secret, &[line.as_bytes()]).concat().concat();
        assert!(!shown.contains("correct") && shown.ends_with("***"), "{}", &shown[shown.len() - 60..]);
        let shown = written(secret, &[&[b'y'; OUTPUT_LINE_BYTES_MAX + 5], b"\n"]).concat().concat();
        assert!(shown.ends_with("y (5 more bytes of this line omitted)"));
    }

    #[test]
    fn unfinished_lines_are_passed_on_until_they_end() {
        let parts = previewed("", &[b"one\nPass", b"word: ", b"\ntwo\n", b"three"]);
        assert_eq!(
            parts,
            [vec!["one", "~Pass"], vec!["~Password: "], vec!["Password: ", "two"], vec!["~three"], vec!["three"]]
        );
        assert_eq!(written("", &[b"dots...", b"..."]).concat(), ["dots......"], "nothing has waited long enough");
    }

    #[test]
    fn only_the_last_state_of_a_line_is_passed_on() {
        let parts = previewed("", &[b"10 %\r20 %", b"\r30 %\r", b"40 %\r\n", b"a\rb\n\rc\r\n"]);
        assert_eq!(parts, [vec!["~20 %"], vec!["~30 %"], vec!["40 %"], vec!["b", "c"], vec![]]);
    }

    #[test]
    fn characters_split_across_chunks_are_passed_on_whole() {
        let parts = previewed("", &[b"caf\xc3", b"\xa9 \xf0\x9f", b"\x98\x80\xff"]);
        assert_eq!(
            parts,
            [
                vec!["~caf"],
                vec!["~caf\u{e9} "],
                vec!["~caf\u{e9} \u{1f600}\u{fffd}"],
                vec!["caf\u{e9} \u{1f600}\u{fffd}"]
            ]
        );
    }

    #[test]
    fn beginning_of_a_secret_is_never_passed_on() {
        let secret = "correct-horse-battery";
        let parts = previewed(secret, &[b"key: c", b"orrect-h", b"orse-battery", b"!"]);
        assert_eq!(parts.concat(), ["~key: ", "~key: ", "~key: ***", "~key: ***!", "key: ***!"]);
        let parts = previewed(secret, &[b"is c", b"ut\n"]);
        assert_eq!(parts.concat(), ["~is ", "is cut"]);
        let parts = previewed("first line\nsecond line", &[b"a\nfirst line\n", b"sec", b"ond line and"]);
        assert_eq!(parts.concat(), ["~a", "~a", "~a", "~*** and", "a", "*** and"]);
    }

    /// Previews hide every form of a secret, no matter how much of the text has arrived.
    #[test]
    fn unfinished_lines_hide_every_form_of_a_secret() {
        let secret = "p\u{e4}ss\"wor\td/+?";
        let base64 = "cMOkc3Mid29yCWQvKz8=";
        for (form, secret_part) in [
            (secret.to_owned(), "p\u{e4}ss"),
            (format!("{base64}x"), "cMOk"),
            (format!("{}\n{}", &base64[..7], &base64[7..]), "cMOk"),
            ("p%C3%A4ss%22wor%09d%2F%2B%3F".to_owned(), "p%C3"),
            ("...\u{e4}ss\"wor\td/+?".to_owned(), "ss\"w"),
        ] {
            let text = format!("see {form} end");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            for shown in previewed(secret, &bytes).concat() {
                assert!(!shown.contains(secret_part), "{shown:?} of {text:?}");
            }
        }
    }
}
