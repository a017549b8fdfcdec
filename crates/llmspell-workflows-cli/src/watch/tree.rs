//! The tree of steps of a run, for the live view.

use std::time::Duration;

use llmspell_workflows_basic::engine::StepStatus;
use tokio::time::Instant;

use super::{Event, Place, elapsed, lines::paint, sign};
use crate::output::Output;

/// Steps in start order, each below its parent.
///
/// Completed iterations are only counted, so the tree stays small for long loops.
#[derive(Default)]
pub(super) struct Tree {
    steps: Vec<Step>,
}

/// How much of a tree to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// Running and failed steps, with their parents.
    Active,
    /// Everything except the children of completed steps.
    Folded,
    /// Everything.
    Full,
}

struct Step {
    label: String,
    status: StepStatus,
    began: Instant,
    took: Option<Duration>,
    /// A skip reason, an error or a failed attempt.
    note: String,
    /// The number of ended iterations, and the total if known.
    iterations: Option<(u64, Option<usize>)>,
    children: Vec<Step>,
}

impl Tree {
    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Began { path, .. } => {
                let step = self.at(path);
                (step.status, step.began, step.took) = (StepStatus::Running, Instant::now(), None);
                // A loop that resumes after a wait reports all its iterations again.
                step.iterations = None;
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

    fn end(&mut self, path: &Place, status: StepStatus, took: Option<Duration>, note: String) {
        let step = self.at(path);
        (step.status, step.took, step.note) = (status, took, note);
        if status == StepStatus::Waiting {
            return;
        }
        let keys = keys(path);
        let Some((last, above)) = keys.split_last().filter(|(last, _)| last.starts_with('[')) else { return };
        let Some(parent) = self.find(above) else { return };
        let (ended, total) = parent.iterations.unwrap_or_default();
        parent.iterations = Some((ended + 1, total));
        if status == StepStatus::Completed {
            parent.children.retain(|step| step.label != *last);
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

    /// Renders the tree as lines; `frame` animates running steps.
    pub(super) fn render(&self, output: &Output, detail: Detail, frame: Option<usize>) -> Vec<String> {
        let mut lines = Vec::new();
        self.steps.iter().for_each(|step| step.render(&mut lines, output, detail, frame, 0));
        lines
    }
}

/// Splits `/main/each[3]/check~2` into `each`, `[3]`, `check~2`; steps of a sub-workflow follow its `workflow` step.
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
    let position = steps.iter().position(|step| step.label == label).unwrap_or_else(|| {
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
            note: String::new(),
            iterations: None,
            children: Vec::new(),
        }
    }

    fn render(&self, lines: &mut Vec<String>, output: &Output, detail: Detail, frame: Option<usize>, depth: usize) {
        let is_quiet = matches!(self.status, StepStatus::Completed | StepStatus::Skipped);
        if is_quiet && detail == Detail::Active {
            return;
        }
        lines.push(self.line(output, frame, depth));
        if !is_quiet || detail == Detail::Full {
            self.children.iter().for_each(|step| step.render(lines, output, detail, frame, depth + 1));
        }
    }

    fn line(&self, output: &Output, frame: Option<usize>, depth: usize) -> String {
        const FRAMES: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let sign = match frame.filter(|_| self.status == StepStatus::Running) {
            Some(frame) => FRAMES[frame % FRAMES.len()],
            None => sign(self.status),
        };
        let head = output.on_err(paint(self.status), &format!("{sign} {:<9}", self.status.as_str()));
        let mut line = format!("{head} {}{}", "  ".repeat(depth), self.label);
        match self.iterations {
            Some((ended, Some(total))) => line += &format!("  {ended}/{total}"),
            Some((ended, None)) => line += &format!("  {ended}"),
            None => {}
        }
        match self.took {
            Some(took) => line += &format!("  {}", elapsed(took)),
            None if self.status == StepStatus::Running => line += &format!("  {}", elapsed(self.began.elapsed())),
            None => {}
        }
        let note = self.note.lines().next().unwrap_or_default();
        if note.is_empty() { line } else { format!("{line}  {note}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn path(text: &str) -> Place {
        Place(vec![text.parse().unwrap()])
    }

    fn ended(tree: &mut Tree, text: &str) {
        let (path, elapsed) = (path(text), Duration::from_millis(5));
        tree.take(&Event::Ended { path: &path, status: StepStatus::Completed, elapsed, error: None });
    }

    #[test]
    fn completed_iterations_are_only_counted() {
        let mut tree = Tree::default();
        for text in ["/main/each", "/main/each[0]", "/main/each[0]/check"] {
            tree.take(&Event::Began { path: &path(text), kind: "loop" });
        }
        tree.take(&Event::Counted { path: &path("/main/each"), total: 2 });
        ended(&mut tree, "/main/each[0]/check");
        ended(&mut tree, "/main/each[0]");
        ended(&mut tree, "/main/each");
        let lines = tree.render(&Output::plain(Format::Text), Detail::Full, None);
        assert_eq!(lines, ["✓ completed each  1/2  5ms"]);
    }

    #[test]
    fn waiting_iteration_is_counted_once_after_it_resumes() {
        let mut tree = Tree::default();
        let mut pass = |last: StepStatus| {
            for text in ["/main/each", "/main/each[0]", "/main/each[1]"] {
                tree.take(&Event::Began { path: &path(text), kind: "loop" });
            }
            tree.end(&path("/main/each[0]"), StepStatus::Completed, None, String::new());
            tree.end(&path("/main/each[1]"), last, None, String::new());
            tree.end(&path("/main/each"), last, None, String::new());
            tree.render(&Output::plain(Format::Text), Detail::Full, None)
        };
        assert_eq!(pass(StepStatus::Waiting), ["… waiting   each  1", "… waiting     [1]"]);
        assert_eq!(pass(StepStatus::Completed), ["✓ completed each  2"]);
    }

    #[test]
    fn steps_of_a_sub_workflow_are_below_its_workflow_step() {
        let mut tree = Tree::default();
        let [sub, inner]: [llmspell_workflows_basic::StepPath; 2] =
            ["/main/each[1]/sub", "/main/work"].map(|text| text.parse().unwrap());
        for path in [Place(vec![sub.clone()]), Place(vec![sub, inner])] {
            tree.take(&Event::Began { path: &path, kind: "workflow" });
            tree.end(&path, StepStatus::Completed, None, String::new());
        }
        let lines = tree.render(&Output::plain(Format::Text), Detail::Full, None);
        assert_eq!(lines[2..], ["✓ completed     sub", "✓ completed       work"]);
    }

    #[test]
    fn children_of_completed_steps_are_folded() {
        let mut tree = Tree::default();
        for text in ["/main/block", "/main/block/inner"] {
            tree.take(&Event::Began { path: &path(text), kind: "sequence" });
        }
        ended(&mut tree, "/main/block/inner");
        ended(&mut tree, "/main/block");
        let lines = |detail| tree.render(&Output::plain(Format::Text), detail, None);
        assert_eq!(lines(Detail::Full), ["✓ completed block  5ms", "✓ completed   inner  5ms"]);
        assert_eq!(lines(Detail::Folded), ["✓ completed block  5ms"]);
        assert!(lines(Detail::Active).is_empty());
    }
}
