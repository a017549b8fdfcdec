//! Standard error, shared by the whole process: permanent lines, and below them lines that are redrawn.

use std::{
    io,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use console::{Term, truncate_str};

use crate::escape::for_terminal;

static SCREEN: LazyLock<Mutex<Screen>> = LazyLock::new(|| Mutex::new(Screen::new(Term::buffered_stderr())));

/// Locks the screen of this process.
pub(crate) fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The content of standard error.
pub(crate) struct Screen {
    term: Term,
    /// The number of lines at the end that the next drawing replaces.
    drawn: usize,
}

impl Screen {
    fn new(term: Term) -> Self {
        Self { term, drawn: 0 }
    }

    /// Returns the height and width in characters.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.term.size()
    }

    /// Replaces the last drawing with `lines`, with control characters escaped, each truncated to `columns` characters.
    pub(crate) fn draw(&mut self, lines: &[String], columns: usize) {
        // A terminal that was closed must not stop the run.
        let _ = self.term.clear_last_lines(self.drawn);
        for line in lines {
            let _ = self.term.write_line(&truncate_str(&for_terminal(&line.replace('\n', "\\u000a")), columns, "…"));
        }
        let _ = self.term.flush();
        self.drawn = lines.len();
    }

    /// Makes the current drawing permanent; later output goes below it.
    pub(crate) fn keep(&mut self) {
        self.drawn = 0;
    }

    /// Writes `text`, which ends with a line break, with its control characters escaped, in place of the drawing; the next [`draw`](Self::draw) restores it.
    ///
    /// # Errors
    /// Returns an error if standard error cannot be written.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        self.term.clear_last_lines(std::mem::take(&mut self.drawn))?;
        self.term.write_str(&for_terminal(text))?;
        self.term.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read};

    use super::*;

    #[test]
    fn written_line_replaces_the_drawing_until_the_next_draw() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut reader: File = file.reopen().unwrap();
        let mut screen = Screen::new(Term::read_write_pair(file.reopen().unwrap(), file.reopen().unwrap()));
        let mut written = || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        };
        let lines = ["one", "two"].map(str::to_owned);

        screen.draw(&lines, 80);
        assert_eq!(written(), "one\ntwo\n");
        screen.write("a log line\n").unwrap();
        let text = written();
        assert!(text.matches("\u{1b}[2K").count() >= 2 && text.ends_with("a log line\n"), "{text:?}");
        screen.draw(&lines, 80);
        assert_eq!(written(), "one\ntwo\n", "the log line stays");
        screen.keep();
        screen.write("the result\n").unwrap();
        assert_eq!(written(), "the result\n", "a kept drawing is not cleared");
    }
}
