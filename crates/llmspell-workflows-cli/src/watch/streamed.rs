use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_basic::activity::{OutputLine, OutputLog, OutputSink, OutputSource, OutputStream};
use serde::Serialize;

use super::Places;
use crate::{
    escape::escape_line,
    output::{Format, Output, Paint},
};

/// Shows the output of steps as it is written, each line prefixed with the step's path.
pub(crate) struct Streamed {
    output: Output,
    places: Arc<Places>,
}

struct StreamedAttempt {
    output: Output,
    path: String,
    attempt: u32,
}

/// A line of output, in the format for programs.
#[derive(Serialize)]
pub(crate) struct LineEvent<'l> {
    pub(crate) event: &'static str,
    pub(crate) path: &'l str,
    pub(crate) attempt: u32,
    pub(crate) stream: &'static str,
    pub(crate) line: &'l str,
}

impl<'l> LineEvent<'l> {
    pub(crate) fn new(path: &'l str, attempt: u32, line: &'l OutputLine) -> Self {
        Self { event: "step.output", path, attempt, stream: line.stream.as_str(), line: &line.text }
    }
}

/// Returns a line for people: `/main/build | text`, or `/main/build ! text` for standard error.
pub(crate) fn line_after_path(path: &str, attempt: u32, line: &OutputLine, paint: impl Fn(&str) -> String) -> String {
    let sign = if line.stream == OutputStream::Stderr { '!' } else { '|' };
    let attempt = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
    format!("{} {}\n", paint(&format!("{path}{attempt} {sign}")), escape_line(&line.text))
}

impl Streamed {
    pub(crate) fn new(output: Output, places: Arc<Places>) -> Self {
        Self { output, places }
    }
}

impl OutputSink for Streamed {
    fn open(&self, source: &OutputSource) -> Box<dyn OutputLog> {
        let around = self.places.around(source.run).map(|place| place.to_string()).unwrap_or_default();
        Box::new(StreamedAttempt {
            output: self.output,
            path: format!("{around}{}", source.path),
            attempt: source.attempt + source.cuts,
        })
    }
}

#[async_trait]
impl OutputLog for StreamedAttempt {
    async fn write(&mut self, lines: &[OutputLine]) {
        let Self { output, path, attempt } = self;
        if output.format() == Format::Jsonl {
            return lines.iter().for_each(|line| output.payload(&LineEvent::new(path, *attempt, line)));
        }
        let paint = |head: &str| output.on_err(Paint::Dim, head);
        output.lines(&lines.iter().map(|line| line_after_path(path, *attempt, line, paint)).collect::<String>());
    }
}
