use llmspell_workflows_advanced::EventKind;
use llmspell_workflows_basic::engine::{SkipReason, StepStatus};
use serde::Serialize;

use super::{Event, View};
use crate::{
    output::Output,
    report::{Error, milliseconds},
};

/// Writes one JSON object per line to standard output: `{"event", "path", …}`. The event names are
/// the same as in `runs events`.
pub(crate) struct Jsonl(Output);

impl Jsonl {
    pub(crate) fn new(output: Output) -> Self {
        Self(output)
    }
}

impl View for Jsonl {
    fn event(&self, event: &Event<'_>) {
        if let (Some(kind), Some(data)) = (kind(event), Data::new(event)) {
            self.0.payload(&Line { event: kind.as_str(), data });
        }
    }

    fn notice(&self, text: &str) {
        self.0.note(text);
    }
}

/// An event, in the format for programs.
#[derive(Serialize)]
struct Line<'e> {
    event: &'static str,
    #[serde(flatten)]
    data: Data<'e>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'e> {
    Started {
        path: String,
        #[serde(rename = "type")]
        kind: &'e str,
    },
    Ended {
        path: String,
        duration_ms: f64,
        error: Option<Error<'e>>,
    },
    Skipped {
        path: String,
        skip_reason: &'e SkipReason,
    },
    Retrying {
        path: String,
        attempt: u64,
        delay_ms: f64,
        error: Error<'e>,
    },
    Items {
        path: String,
        iterations: usize,
    },
}

/// Returns the kind of an event; waits are reported through the step's status.
fn kind(event: &Event<'_>) -> Option<EventKind> {
    Some(match event {
        Event::Began { .. } => EventKind::StepStarted,
        Event::Skipped { .. } => EventKind::StepSkipped,
        Event::Retried { .. } => EventKind::StepRetrying,
        Event::Counted { .. } => EventKind::LoopItems,
        Event::Awaits { .. } | Event::Received { .. } => return None,
        Event::Ended { status, .. } => match status {
            StepStatus::Completed | StepStatus::Compensated => EventKind::StepCompleted,
            StepStatus::Cancelled => EventKind::StepCancelled,
            StepStatus::Skipped => EventKind::StepSkipped,
            StepStatus::Stuck => EventKind::StepStuck,
            StepStatus::Failed => EventKind::StepFailed,
            _ => EventKind::StepWaiting,
        },
    })
}

impl<'e> Data<'e> {
    fn new(event: &Event<'e>) -> Option<Self> {
        Some(match event {
            Event::Began { path, kind, .. } => Self::Started { path: path.to_string(), kind },
            Event::Ended { path, elapsed, error, .. } => Self::Ended {
                path: path.to_string(),
                duration_ms: milliseconds(*elapsed),
                error: error.map(Error::new),
            },
            Event::Skipped { path, reason } => Self::Skipped { path: path.to_string(), skip_reason: reason },
            Event::Retried { path, attempt, error, delay } => Self::Retrying {
                path: path.to_string(),
                attempt: *attempt,
                delay_ms: milliseconds(*delay),
                error: Error::new(error),
            },
            Event::Counted { path, total } => Self::Items { path: path.to_string(), iterations: *total },
            Event::Awaits { .. } | Event::Received { .. } => return None,
        })
    }
}
