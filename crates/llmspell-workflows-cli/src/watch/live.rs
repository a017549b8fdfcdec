use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Event, View, render::Drawing, tree::Tree};
use crate::{output::Output, screen::screen};

/// The number of rows left free below the tree for the result, after the run has ended.
const RESULT_ROWS: usize = 10;

/// The maximum and minimum numbers of lines that stay on the screen after the run has ended.
const LINES_MAX: usize = 30;
const LINES_MIN: usize = 6;

/// Draws the tree of steps on a terminal, and redraws it in place.
pub(crate) struct Live {
    output: Output,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tree: Tree,
    frame: usize,
    /// The effect of the last operating system signal.
    notice: Option<String>,
}

impl Live {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, state: &State) {
        let mut screen = screen();
        let (rows, columns) = screen.size();
        let drawing = Drawing { output: self.output, columns, frame: Some(state.frame) };
        screen.draw(&state.lines(&drawing, rows - 1));
    }
}

impl State {
    /// Renders the tree, with the notice below it.
    fn lines(&self, drawing: &Drawing, lines_max: usize) -> Vec<String> {
        let notice = self.notice.as_ref().map(|text| drawing.notice(text, &self.tree.running())).unwrap_or_default();
        let mut lines = drawing.fitted(&self.tree, lines_max.saturating_sub(notice.len()).max(2));
        lines.extend(notice);
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

    fn notice(&self, text: &str) {
        let mut state = self.state();
        state.notice = Some(text.to_owned());
        self.draw(&state);
    }

    fn tick(&self) {
        let mut state = self.state();
        state.frame += 1;
        self.draw(&state);
    }

    fn finish(&self) {
        // The next run starts with an empty tree.
        let state = std::mem::take(&mut *self.state());
        let mut screen = screen();
        let (rows, columns) = screen.size();
        let lines_max = rows.saturating_sub(RESULT_ROWS).clamp(LINES_MIN, LINES_MAX);
        screen.draw(&state.lines(&Drawing { output: self.output, columns, frame: None }, lines_max));
        screen.keep();
    }
}

#[cfg(test)]
mod tests;
