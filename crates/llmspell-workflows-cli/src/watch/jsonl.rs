use llmspell_workflows_basic::engine::SkipReason;
use serde::Serialize;

use super::{Event, View};
use crate::{
    output::Output,
    report::{Error, milliseconds},
};

/// Writes one JSON object per line to standard output: `{"event", "path", …}`.
pub(crate) struct Jsonl(Output);

impl Jsonl {
    pub(crate) fn new(output: Output) -> Self {
        Self(output)
    }
}

impl View for Jsonl {
    fn event(&self, event: &Event<'_>) {
        self.0.payload(&Line::new(event));
    }
}

/// An event, for programs.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'e> {
    StepStarted {
        path: String,
        #[serde(rename = "type")]
        kind: &'e str,
    },
    StepEnded {
        path: String,
        status: &'static str,
        duration_ms: f64,
        error: Option<Error<'e>>,
    },
    StepSkipped {
        path: String,
        skip_reason: &'e SkipReason,
    },
    StepRetried {
        path: String,
        attempt: u64,
        delay_ms: f64,
        error: Error<'e>,
    },
    LoopCounted {
        path: String,
        iterations: usize,
    },
}

impl<'e> Line<'e> {
    fn new(event: &Event<'e>) -> Self {
        match event {
            Event::Began { path, kind } => Self::StepStarted { path: path.to_string(), kind },
            Event::Ended { path, status, elapsed, error } => Self::StepEnded {
                path: path.to_string(),
                status: status.as_str(),
                duration_ms: milliseconds(*elapsed),
                error: error.map(Error::new),
            },
            Event::Skipped { path, reason } => Self::StepSkipped { path: path.to_string(), skip_reason: reason },
            Event::Retried { path, attempt, error, delay } => Self::StepRetried {
                path: path.to_string(),
                attempt: *attempt,
                delay_ms: milliseconds(*delay),
                error: Error::new(error),
            },
            Event::Counted { path, total } => Self::LoopCounted { path: path.to_string(), iterations: *total },
        }
    }
}
