//! Standard error, which is one for the whole process: lines that stay, and below them lines that are drawn anew.

use std::{
    io,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use console::{Term, truncate_str};

static SCREEN: LazyLock<Mutex<Screen>> = LazyLock::new(|| Mutex::new(Screen::new(Term::buffered_stderr())));

/// The screen of this process.
pub(crate) fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is on standard error.
pub(crate) struct Screen {
    term: Term,
    /// How many lines at the end are replaced when it is drawn anew.
    drawn: usize,
}

impl Screen {
    fn new(term: Term) -> Self {
        Self { term, drawn: 0 }
    }

    /// Its height and its width in characters.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.term.size()
    }

    /// Replaces what was drawn last by `lines`, each cut after `columns` characters.
    pub(crate) fn draw(&mut self, lines: &[String], columns: usize) {
        // A terminal that has gone away is no reason to stop the run.
        let _ = self.term.clear_last_lines(self.drawn);
        for line in lines {
            let _ = self.term.write_line(&truncate_str(line, columns, "…"));
        }
        let _ = self.term.flush();
        self.drawn = lines.len();
    }

    /// Leaves what is drawn where it is; what comes next stands below it.
    pub(crate) fn keep(&mut self) {
        self.drawn = 0;
    }

    /// Writes `text`, which ends with a line break, in place of what was drawn; that comes back with the next drawing.
    ///
    /// # Errors
    /// Standard error cannot be written.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        self.term.clear_last_lines(std::mem::take(&mut self.drawn))?;
        self.term.write_str(text)?;
        self.term.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read};

    use super::*;

    #[test]
    fn a_written_line_replaces_the_drawing_until_the_next_one() {
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
        assert_eq!(written(), "the result\n", "what is kept is not cleared");
    }
}
