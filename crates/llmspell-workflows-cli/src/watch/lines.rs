use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use indexmap::IndexSet;
use llmspell_workflows_basic::engine::{Awaited, StepStatus};

use uuid::Uuid;

use super::{Event, Place, View, elapsed, render::shortened, sign};
use crate::{
    output::{Output, Paint},
    report::answer,
};

/// Writes one line per event to standard error; used when standard error is not a terminal.
pub(crate) struct Lines {
    output: Output,
    /// The number of steps that ended earlier, according to the journal, and have not been reported
    /// yet.
    recorded: AtomicUsize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The steps whose end was reported or counted; a woken run visits them again.
    ended: HashSet<String>,
    /// The running steps that contain no other steps.
    running: IndexSet<String>,
    /// The steps whose wait was reported.
    waiting: HashSet<String>,
    /// The steps that began to wait in an earlier process; their wait may end immediately.
    resumed: Vec<(Place, Uuid, Awaited)>,
}

impl Lines {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, recorded: AtomicUsize::new(0), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event. Returns whether the event ends a step that was neither reported nor
    /// counted before.
    fn is_new(&self, event: &Event<'_>) -> bool {
        let mut known = self.known();
        match event {
            Event::Received { path } => {
                known.resumed.retain(|(waiting, ..)| waiting != *path);
                known.running.insert(path.to_string());
                false
            }
            Event::Began { path, is_leaf: true, .. } => {
                known.running.insert(path.to_string());
                false
            }
            Event::Awaits { path, .. } => {
                known.running.shift_remove(&path.to_string());
                false
            }
            Event::Ended { path, .. } | Event::Skipped { path, .. } => {
                known.resumed.retain(|(waiting, ..)| waiting != *path);
                known.running.shift_remove(&path.to_string());
                known.ended.insert(path.to_string())
            }
            _ => false,
        }
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
        // Only the text before the path has a fixed width.
        self.report_recorded();
        let head = self.output.on_err(paint, &format!("{sign} {word:<9}"));
        self.output.note(format!("{head} {path}  {rest}").trim_end());
    }

    /// Reports a wait only once, with the command that ends it.
    fn awaits(&self, path: &Place, run: Uuid, awaited: &Awaited) {
        if !self.known().waiting.insert(path.to_string()) {
            return;
        }
        let waiting = StepStatus::Waiting;
        self.line(sign(waiting), waiting.as_str(), paint(waiting), path, &waits_for(awaited));
        if let Some(name) = &awaited.signal {
            self.output.note(&format!("  next: {}", answer(run, name)));
        }
    }
}

impl View for Lines {
    fn event(&self, event: &Event<'_>) {
        self.is_new(event);
        match event {
            Event::Began { path, kind, item, .. } => {
                let item = item.map(|item| format!(": {item}")).unwrap_or_default();
                self.line(sign(StepStatus::Running), "started", Paint::Dim, path, &format!("({kind}){item}"));
            }
            Event::Awaits { path, run, awaited } => self.awaits(path, *run, awaited),
            // The wait itself has already been reported.
            Event::Ended { path, status: StepStatus::Waiting, .. }
                if self.known().waiting.contains(&path.to_string()) => {}
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
            Event::Counted { .. } | Event::Received { .. } => {}
        }
    }

    fn recorded(&self, event: &Event<'_>) {
        if self.is_new(event) {
            self.recorded.fetch_add(1, Ordering::Relaxed);
        }
        if let Event::Awaits { path, run, awaited } = event {
            self.known().resumed.push(((*path).clone(), *run, (*awaited).clone()));
        }
    }

    // Reports the steps that a resumed run still waits for.
    fn tick(&self) {
        let resumed = std::mem::take(&mut self.known().resumed);
        resumed.iter().for_each(|(path, run, awaited)| self.awaits(path, *run, awaited));
    }

    fn notice(&self, text: &str) {
        self.output.note(text);
        let running: Vec<String> = self.known().running.iter().cloned().collect();
        if !running.is_empty() {
            self.output.note(&format!("  still running: {}", shortened(&running)));
        }
    }
}

/// Briefly describes what a step waits for.
pub(super) fn waits_for(awaited: &Awaited) -> String {
    let until = awaited.until.map(|until| format!("until {}", until.strftime("%Y-%m-%d %H:%M:%S UTC")));
    match (&awaited.signal, until) {
        (Some(name), Some(until)) => format!("for the event `{name}`, {until}"),
        (Some(name), None) => format!("for the event `{name}`"),
        (None, Some(until)) => until,
        (None, None) => String::new(),
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
