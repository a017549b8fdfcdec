//! A run's tree of steps, for the live view.

use std::time::Duration;

use jiff::Timestamp;
use llmspell_workflows_basic::engine::StepStatus;
use tokio::time::Instant;

use super::{Event, Place, lines::waits_for};
use crate::report::answer;

/// Steps in start order, each below its parent.
///
/// Completed iterations are only counted, so the tree of a long loop stays small.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) steps: Vec<Step>,
}

pub(super) struct Step {
    pub(super) label: String,
    pub(super) status: StepStatus,
    pub(super) began: Instant,
    pub(super) took: Option<Duration>,
    /// The item of an iteration.
    pub(super) item: Option<String>,
    /// A skip reason, an error, a failed attempt, or the event or time that the step waits for.
    pub(super) note: String,
    pub(super) wait: Option<Wait>,
    /// Whether steps of this kind do not run other steps.
    pub(super) is_leaf: bool,
    /// The number of ended iterations, and the total if known.
    pub(super) iterations: Option<(u64, Option<usize>)>,
    /// The number of inner steps, if each runs once.
    pub(super) parts: Option<usize>,
    pub(super) children: Vec<Step>,
    /// The steps in completed iterations.
    pub(super) folded: Counts,
}

/// A step's wait for an event or a time.
pub(super) struct Wait {
    pub(super) until: Option<Timestamp>,
    /// The command that ends the wait.
    pub(super) command: Option<String>,
}

/// The number of steps that do not run other steps, by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts([u64; Counts::ORDER.len()]);

impl Counts {
    /// The counted statuses, in display order.
    const ORDER: [StepStatus; 7] = [
        StepStatus::Completed,
        StepStatus::Failed,
        StepStatus::Stuck,
        StepStatus::Waiting,
        StepStatus::Running,
        StepStatus::Skipped,
        StepStatus::Cancelled,
    ];

    fn add(&mut self, status: StepStatus) {
        let at = Self::ORDER.iter().position(|known| *known == status);
        at.into_iter().for_each(|at| self.0[at] += 1);
    }

    fn add_all(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// Returns each status that at least one step has, with the number of those steps.
    pub(super) fn present(self) -> impl Iterator<Item = (StepStatus, u64)> {
        Self::ORDER.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

impl Tree {
    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Began { path, is_leaf, parts, item, .. } => {
                let step = self.at(path);
                (step.status, step.began, step.took) = (StepStatus::Running, Instant::now(), None);
                (step.is_leaf, step.parts, step.wait) = (*is_leaf, *parts, None);
                step.item = item.map(str::to_owned);
                // A loop that resumes after a wait reports all its iterations again.
                (step.iterations, step.folded) = (None, Counts::default());
            }
            Event::Awaits { path, run, awaited } => {
                let step = self.at(path);
                (step.status, step.note) = (StepStatus::Waiting, waits_for(awaited));
                let command = awaited.signal.as_ref().map(|name| answer(*run, name));
                step.wait = Some(Wait { until: awaited.until, command });
            }
            Event::Received { path } => {
                let step = self.at(path);
                (step.status, step.note, step.wait) = (StepStatus::Running, String::new(), None);
            }
            Event::Ended { path, status, elapsed, error } => {
                let note = error.map(|error| format!("{} [{}]", error.message, error.code)).unwrap_or_default();
                self.end(path, *status, Some(*elapsed), note);
            }
            Event::Skipped { path, reason } => self.end(path, StepStatus::Skipped, None, reason.message.clone()),
            Event::Retried { path, attempt, error, delay } => {
                self.at(path).note =
                    format!("attempt {attempt} failed, next in {}: {}", super::elapsed(*delay), error.message);
            }
            Event::Counted { path, total } => self.at(path).iterations = Some((0, Some(*total))),
        }
    }

    pub(super) fn end(&mut self, path: &Place, status: StepStatus, took: Option<Duration>, note: String) {
        let step = self.at(path);
        (step.status, step.took) = (status, took);
        if status == StepStatus::Waiting {
            // The step is still waiting, so the wait reported earlier is kept.
            return;
        }
        (step.note, step.wait) = (note, None);
        let keys = keys(path);
        let Some((last, above)) = keys.split_last().filter(|(last, _)| last.starts_with('[')) else { return };
        let Some(parent) = self.find(above) else { return };
        let (ended, total) = parent.iterations.unwrap_or_default();
        parent.iterations = Some((ended + 1, total));
        if status == StepStatus::Completed
            && let Some(at) = parent.children.iter().position(|step| step.label == *last)
        {
            let counts = parent.children.remove(at).counts();
            parent.folded.add_all(counts);
        }
    }

    /// Returns the step at `path`, creating it if necessary.
    fn at(&mut self, path: &Place) -> &mut Step {
        self.find(&keys(path)).expect("steps below the root have a path")
    }

    /// Returns the step at `keys`, creating it if necessary; `None` for an empty path.
    fn find(&mut self, keys: &[String]) -> Option<&mut Step> {
        let (first, rest) = keys.split_first()?;
        Some(rest.iter().fold(child(&mut self.steps, first), |step, key| child(&mut step.children, key)))
    }

    /// Returns the number of steps by status, not counting blocks and loops.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.steps.iter().for_each(|step| counts.add_all(step.counts()));
        counts
    }

    /// Returns the labels of the running steps, except blocks and loops.
    pub(super) fn running(&self) -> Vec<String> {
        let mut labels = Vec::new();
        self.steps.iter().for_each(|step| step.collect_running("", &mut labels));
        labels
    }
}

/// Splits `/main/each[3]/check~2` into `each`, `[3]`, `check~2`; the steps of a sub-workflow follow
/// its `workflow` step.
fn keys(path: &Place) -> Vec<String> {
    let mut keys = Vec::new();
    for segment in path.paths().iter().flat_map(|path| &path.segments()[1..]) {
        let generation = if segment.generation > 1 { format!("~{}", segment.generation) } else { String::new() };
        keys.push(format!("{}{generation}", segment.id));
        keys.extend(segment.iteration.map(|iteration| format!("[{iteration}]")));
    }
    keys
}

fn child<'s>(steps: &'s mut Vec<Step>, label: &str) -> &'s mut Step {
    // The requested step is usually one of the last.
    let position = steps.iter().rposition(|step| step.label == label).unwrap_or_else(|| {
        steps.push(Step::new(label));
        steps.len() - 1
    });
    &mut steps[position]
}

impl Step {
    fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            status: StepStatus::Running,
            began: Instant::now(),
            took: None,
            item: None,
            note: String::new(),
            wait: None,
            is_leaf: false,
            iterations: None,
            parts: None,
            children: Vec::new(),
            folded: Counts::default(),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = self.folded;
        if self.is_leaf && self.children.is_empty() {
            counts.add(self.status);
        }
        self.children.iter().for_each(|step| counts.add_all(step.counts()));
        counts
    }

    /// Returns the number of inner steps that have ended and their total number, if each of them
    /// runs once.
    pub(super) fn progress(&self) -> Option<(usize, usize)> {
        let total = self.parts?;
        let has_ended = |step: &&Step| !matches!(step.status, StepStatus::Running | StepStatus::Waiting);
        // A step that runs again appears twice, under different generations.
        Some((self.children.iter().filter(has_ended).count().min(total), total))
    }

    fn collect_running(&self, around: &str, into: &mut Vec<String>) {
        let separator = if around.is_empty() || self.label.starts_with('[') { "" } else { "/" };
        let path = format!("{around}{separator}{}", self.label);
        if self.is_leaf && self.children.is_empty() && self.status == StepStatus::Running {
            into.push(path);
            return;
        }
        self.children.iter().for_each(|step| step.collect_running(&path, into));
    }
}
