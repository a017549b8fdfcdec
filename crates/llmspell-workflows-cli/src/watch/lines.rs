use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use llmspell_workflows_basic::engine::StepStatus;

use super::{Event, Place, View, elapsed, sign};
use crate::output::{Output, Paint};

/// Writes one line per event to standard error; used when standard error is not a terminal.
pub(crate) struct Lines {
    output: Output,
    /// How many steps ended earlier, according to the journal, and have not been reported yet.
    recorded: AtomicUsize,
    /// The steps whose end was reported or counted; a run that wakes up visits them again.
    known: Mutex<HashSet<String>>,
}

impl Lines {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, recorded: AtomicUsize::new(0), known: Mutex::default() }
    }

    /// Returns whether this is the end of a step that was neither reported nor counted.
    fn is_new(&self, event: &Event<'_>) -> bool {
        let (Event::Ended { path, .. } | Event::Skipped { path, .. }) = event else { return false };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_string())
    }

    /// Reports the number of recorded steps once, before the first new event.
    fn report_recorded(&self) {
        let count = self.recorded.swap(0, Ordering::Relaxed);
        if count > 0 {
            let steps = if count == 1 { "step" } else { "steps" };
            let head = self.output.on_err(Paint::Dim, "· recorded ");
            self.output.note(&format!("{head} {count} {steps} that ended earlier"));
        }
    }

    fn line(&self, sign: &str, word: &str, paint: Paint, path: &Place, rest: &str) {
        // Only the part before the path has a fixed width.
        self.report_recorded();
        let head = self.output.on_err(paint, &format!("{sign} {word:<9}"));
        self.output.note(format!("{head} {path}  {rest}").trim_end());
    }
}

impl View for Lines {
    fn event(&self, event: &Event<'_>) {
        self.is_new(event);
        match event {
            Event::Began { path, kind } => {
                self.line(sign(StepStatus::Running), "started", Paint::Dim, path, &format!("({kind})"));
            }
            Event::Ended { path, status, elapsed: took, error } => {
                let why = error.map(|error| format!("  {} [{}]", error.message, error.code)).unwrap_or_default();
                let rest = format!("{}{why}", elapsed(*took));
                self.line(sign(*status), status.as_str(), paint(*status), path, &rest);
            }
            Event::Skipped { path, reason } => {
                self.line(sign(StepStatus::Skipped), "skipped", Paint::Dim, path, &reason.message);
            }
            Event::Retried { path, attempt, error, delay } => {
                let rest = format!(
                    "attempt {attempt} failed: {} [{}]; next in {}",
                    error.message,
                    error.code,
                    elapsed(*delay)
                );
                self.line("↻", "retrying", Paint::Warn, path, &rest);
            }
            Event::Counted { .. } => {}
        }
    }

    fn recorded(&self, event: &Event<'_>) {
        if self.is_new(event) {
            self.recorded.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns the color of a status.
pub(super) fn paint(status: StepStatus) -> Paint {
    match status {
        StepStatus::Completed => Paint::Good,
        StepStatus::Failed => Paint::Bad,
        StepStatus::Cancelled => Paint::Warn,
        StepStatus::Running | StepStatus::Waiting => Paint::Bold,
        _ => Paint::Dim,
    }
}
