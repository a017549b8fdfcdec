//! Renders the tree of steps as lines.

use console::measure_text_width;
use jiff::Timestamp;
use llmspell_workflows_basic::engine::StepStatus;

use super::{
    elapsed,
    lines::paint,
    sign,
    tree::{Counts, Step, Tree},
};
use crate::output::{Output, Paint};

/// The maximum number of steps named on one line.
const NAMED_MAX: usize = 4;

/// How much of a tree to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    /// Steps that are running, are waiting or did not complete, and the blocks that contain them.
    Active,
    /// Everything except the children of completed steps.
    Folded,
    /// Everything.
    Full,
}

/// The priority of a line if there is not enough space for all lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Failed,
    Waiting,
    Running,
    Quiet,
}

impl Rank {
    fn of(status: StepStatus) -> Self {
        match status {
            StepStatus::Failed | StepStatus::Stuck => Self::Failed,
            StepStatus::Waiting => Self::Waiting,
            StepStatus::Running => Self::Running,
            _ => Self::Quiet,
        }
    }
}

/// A line of the tree.
struct Line {
    text: String,
    /// The most important status among the step and its inner steps.
    rank: Rank,
}

/// Settings for drawing a tree.
#[derive(Clone, Copy)]
pub(super) struct Drawing {
    pub(super) output: Output,
    /// The width of the terminal.
    pub(super) columns: usize,
    /// The number of the frame, which animates running steps; `None` if the tree is no longer
    /// redrawn.
    pub(super) frame: Option<usize>,
}

impl Drawing {
    /// Renders as much of the tree as fits into `lines_max` lines.
    pub(super) fn fitted(&self, tree: &Tree, lines_max: usize) -> Vec<String> {
        let mut last = Vec::new();
        for detail in [Detail::Full, Detail::Folded, Detail::Active] {
            let lines = self.lines(tree, detail);
            // A line with counts replaces the hidden steps.
            let room = if detail == Detail::Full { lines_max } else { lines_max.saturating_sub(1) };
            last = lines;
            if last.len() <= room {
                let mut shown: Vec<String> = last.into_iter().map(|line| line.text).collect();
                shown.extend((detail != Detail::Full).then(|| self.counts(tree.counts())));
                return shown;
            }
        }
        let mut shown = most_important(last, lines_max.saturating_sub(1).max(1));
        shown.push(self.counts(tree.counts()));
        shown
    }

    /// Returns the number of steps by status.
    fn counts(&self, counts: Counts) -> String {
        let part = |(status, count): (StepStatus, u64)| {
            self.output.on_err(paint(status), &format!("{} {count} {}", sign(status), status.as_str()))
        };
        format!("  {}", counts.present().map(part).collect::<Vec<_>>().join("  "))
    }

    fn lines(&self, tree: &Tree, detail: Detail) -> Vec<Line> {
        let mut lines = Vec::new();
        for step in &tree.steps {
            self.step(step, &mut lines, detail, 0);
        }
        lines
    }

    /// Adds the lines of a step and its inner steps; returns the most important status among them.
    fn step(&self, step: &Step, lines: &mut Vec<Line>, detail: Detail, depth: usize) -> Rank {
        let is_quiet = matches!(step.status, StepStatus::Completed | StepStatus::Skipped);
        if is_quiet && detail == Detail::Active {
            return Rank::Quiet;
        }
        let (at, mut rank) = (lines.len(), Rank::of(step.status));
        let (text, note) = (self.line(step, depth), self.note(step));
        // The awaited event is not truncated while it can still be sent; the run's result repeats
        // it.
        let wait = step.wait.as_ref().filter(|_| self.frame.is_some());
        let mut texts = match note {
            note if wait.is_some() && measure_text_width(&text) + 2 + measure_text_width(&note) > self.columns => {
                [vec![text], folded(&note, self.columns, "  ")].concat()
            }
            note if note.is_empty() => vec![text],
            note => vec![format!("{text}  {note}")],
        };
        if let Some(command) = wait.and_then(|wait| wait.command.as_ref()) {
            texts.extend(folded(command, self.columns, "  "));
        }
        lines.extend(texts.into_iter().map(|text| Line { text, rank }));
        if !is_quiet || detail == Detail::Full {
            for child in &step.children {
                rank = rank.min(self.step(child, lines, detail, depth + 1));
            }
        }
        lines[at].rank = rank;
        rank
    }

    fn line(&self, step: &Step, depth: usize) -> String {
        const FRAMES: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let sign = match self.frame.filter(|_| step.status == StepStatus::Running) {
            Some(frame) => FRAMES[frame % FRAMES.len()],
            None => sign(step.status),
        };
        let head = self.output.on_err(paint(step.status), &format!("{sign} {:<9}", step.status.as_str()));
        let mut line = format!("{head} {}{}", "  ".repeat(depth), step.label);
        match (step.iterations, step.progress()) {
            (Some((ended, Some(total))), _) => line += &format!("  {ended}/{total}"),
            (Some((ended, None)), _) => line += &format!("  {ended}"),
            // A completed block needs no progress.
            (None, Some((ended, total))) if step.status != StepStatus::Completed => {
                line += &format!("  {ended}/{total}");
            }
            (None, _) => {}
        }
        if let Some(item) = &step.item {
            line += &format!("  {item}");
        }
        match (step.took, step.status) {
            // The wait time in this process is misleading, because earlier processes may have
            // waited too.
            (_, StepStatus::Waiting) => {}
            (Some(took), _) => line += &format!("  {}", elapsed(took)),
            (None, StepStatus::Running) => line += &format!("  {}", elapsed(step.began.elapsed())),
            (None, _) => {}
        }
        line
    }

    /// Returns the first line of a step's note; for a wait, also the remaining time.
    fn note(&self, step: &Step) -> String {
        let note = step.note.lines().next().unwrap_or_default();
        let until = step.wait.as_ref().and_then(|wait| wait.until).filter(|_| self.frame.is_some());
        match until.and_then(|until| until.duration_since(Timestamp::now()).try_into().ok()) {
            Some(left) => format!("{note} (in {})", elapsed(left)),
            None => note.to_owned(),
        }
    }

    /// Returns the lines of a notice that also lists the running steps.
    pub(super) fn notice(&self, text: &str, running: &[String]) -> Vec<String> {
        let paint = |line: String| self.output.on_err(Paint::Warn, &line);
        let mut lines: Vec<String> = folded(text, self.columns, "").into_iter().map(paint).collect();
        if !running.is_empty() && self.frame.is_some() {
            lines.extend(folded(&format!("still running: {}", shortened(running)), self.columns, "  "));
        }
        lines
    }
}

/// Returns the `lines_max` most important lines, in order; the last line gives the number of hidden
/// lines.
fn most_important(lines: Vec<Line>, lines_max: usize) -> Vec<String> {
    let mut by_rank: Vec<(Rank, usize)> = lines.iter().enumerate().map(|(at, line)| (line.rank, at)).collect();
    by_rank.sort_unstable();
    by_rank.truncate(lines_max.saturating_sub(1));
    let mut shown: Vec<usize> = by_rank.into_iter().map(|(_, at)| at).collect();
    shown.sort_unstable();
    let hidden = lines.len() - shown.len();
    let mut kept: Vec<String> = shown.into_iter().map(|at| lines[at].text.clone()).collect();
    kept.push(format!("  … and {hidden} more"));
    kept
}

/// Returns the first few of `names`, and the number of remaining names.
pub(super) fn shortened(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let named = names[..names.len() - more].join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// Wraps `text` into lines of at most `columns` after `indent`, at spaces and, if necessary, within
/// long words.
fn folded(text: &str, columns: usize, indent: &str) -> Vec<String> {
    let room = columns.saturating_sub(indent.len()).max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is always a line");
        let separator = if last.is_empty() { "" } else { " " };
        if measure_text_width(last) + separator.len() + measure_text_width(word) <= room {
            *last += separator;
            *last += word;
            continue;
        }
        if !last.is_empty() {
            lines.push(String::new());
        }
        for character in word.chars() {
            let last = lines.last_mut().expect("there is always a line");
            let mut longer = last.clone();
            longer.push(character);
            match measure_text_width(&longer) > room && !last.is_empty() {
                true => lines.push(character.to_string()),
                false => *last = longer,
            }
        }
    }
    lines.into_iter().map(|line| format!("{indent}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{Event, Place},
        *,
    };
    use crate::output::Format;

    fn drawing(columns: usize) -> Drawing {
        Drawing { output: Output::plain(Format::Text), columns, frame: None }
    }

    fn texts(tree: &Tree, detail: Detail) -> Vec<String> {
        drawing(80).lines(tree, detail).into_iter().map(|line| line.text).collect()
    }

    fn began<'e>(path: &'e Place, is_leaf: bool) -> Event<'e> {
        Event::Began { path, kind: "loop", is_leaf, parts: None, item: None }
    }

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
            tree.take(&began(&path(text), false));
        }
        tree.take(&Event::Counted { path: &path("/main/each"), total: 2 });
        ended(&mut tree, "/main/each[0]/check");
        ended(&mut tree, "/main/each[0]");
        ended(&mut tree, "/main/each");
        let lines = texts(&tree, Detail::Full);
        assert_eq!(lines, ["✓ completed each  1/2  5ms"]);
    }

    #[test]
    fn waiting_iteration_is_counted_once_after_it_resumes() {
        let mut tree = Tree::default();
        let mut pass = |last: StepStatus| {
            for text in ["/main/each", "/main/each[0]", "/main/each[1]"] {
                tree.take(&began(&path(text), false));
            }
            tree.end(&path("/main/each[0]"), StepStatus::Completed, None, String::new());
            tree.end(&path("/main/each[1]"), last, None, String::new());
            tree.end(&path("/main/each"), last, None, String::new());
            texts(&tree, Detail::Full)
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
            tree.take(&began(&path, false));
            tree.end(&path, StepStatus::Completed, None, String::new());
        }
        let lines = texts(&tree, Detail::Full);
        assert_eq!(lines[2..], ["✓ completed     sub", "✓ completed       work"]);
    }

    #[test]
    fn children_of_completed_steps_are_folded() {
        let mut tree = Tree::default();
        for text in ["/main/block", "/main/block/inner"] {
            tree.take(&began(&path(text), false));
        }
        ended(&mut tree, "/main/block/inner");
        ended(&mut tree, "/main/block");
        let lines = |detail| texts(&tree, detail);
        assert_eq!(lines(Detail::Full), ["✓ completed block  5ms", "✓ completed   inner  5ms"]);
        assert_eq!(lines(Detail::Folded), ["✓ completed block  5ms"]);
        assert!(lines(Detail::Active).is_empty());
    }
}
