use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    Event, View,
    tree::{Detail, Tree},
};
use crate::{output::Output, screen::screen};

/// The maximum number of lines that stay on the screen after the run has ended.
const LINES_MAX: usize = 200;

/// Draws the tree of steps on a terminal, redrawn in place.
pub(crate) struct Live {
    output: Output,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tree: Tree,
    frame: usize,
}

impl Live {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders as much of the tree as fits into `lines_max` lines.
    fn fitting(&self, state: &State, lines_max: usize, frame: Option<usize>) -> Vec<String> {
        let render = |detail| state.tree.render(&self.output, detail, frame);
        let full = render(Detail::Full);
        if full.len() <= lines_max {
            return full;
        }
        let folded = render(Detail::Folded);
        let mut lines = if folded.len() <= lines_max { folded } else { render(Detail::Active) };
        if lines.len() > lines_max {
            let hidden = lines.len() + 1 - lines_max;
            lines.truncate(lines_max - 1);
            lines.push(format!("… and {hidden} more"));
        }
        lines
    }
}

impl View for Live {
    fn event(&self, event: &Event<'_>) {
        self.state().tree.take(event);
    }

    // The tree shows the whole run, including recorded steps and loop progress.
    fn recorded(&self, event: &Event<'_>) {
        self.event(event);
    }

    fn tick(&self) {
        let mut state = self.state();
        state.frame += 1;
        let mut screen = screen();
        let (rows, columns) = screen.size();
        let lines = self.fitting(&state, usize::from(rows).saturating_sub(1).max(2), Some(state.frame));
        screen.draw(&lines, columns.into());
    }

    fn finish(&self) {
        // The next run starts with an empty tree.
        let state = std::mem::take(&mut *self.state());
        let lines = self.fitting(&state, LINES_MAX, None);
        let mut screen = screen();
        screen.draw(&lines, usize::MAX);
        screen.keep();
    }
}
