//! Standard error, shared by the whole process: permanent lines, with redrawn lines below them.

use std::{
    io::{self, Write},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use console::Term;

use crate::{
    escape::for_terminal,
    width::{cut, width},
};

/// Starts a synchronized update: a terminal that supports it shows all changes until [`END`] at
/// once. Line wrapping is disabled, so a character that is wider than expected cannot start a new
/// line.
const BEGIN: &str = "\u{1b}[?2026h\u{1b}[?7l";
const END: &str = "\u{1b}[?7h\u{1b}[?2026l";

/// Clears from the cursor to the end of the screen.
const CLEAR_BELOW: &str = "\u{1b}[J";

static SCREEN: LazyLock<Mutex<Screen>> = LazyLock::new(|| {
    let term = Term::stderr();
    Mutex::new(Screen::new(Box::new(io::stderr()), Box::new(move || term.size())))
});

/// Locks the screen of this process.
pub(crate) fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The content of standard error.
pub(crate) struct Screen {
    out: Box<dyn Write + Send>,
    size: Box<dyn Fn() -> (u16, u16) + Send>,
    /// The lines at the end, as written, which the next drawing replaces.
    drawn: Vec<String>,
}

impl Screen {
    pub(crate) fn new(out: Box<dyn Write + Send>, size: Box<dyn Fn() -> (u16, u16) + Send>) -> Self {
        Self { out, size, drawn: Vec::new() }
    }

    /// Returns the height and the width, in characters.
    pub(crate) fn size(&self) -> (usize, usize) {
        let (rows, columns) = (self.size)();
        (usize::from(rows).max(2), usize::from(columns).max(1))
    }

    /// Replaces the last drawing with `lines`, escapes their control characters, and cuts each line
    /// to the terminal's width.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let (_, columns) = self.size();
        let line = |line: &String| {
            let text = line.replace('\n', "\\u000a").replace('\t', " ");
            cut(&for_terminal(&text), columns)
        };
        let lines: Vec<String> = lines.iter().map(line).collect();
        if lines == self.drawn {
            return;
        }
        // A closed terminal must not stop the run.
        let _ = self.replace("", lines);
    }

    /// Makes the current drawing permanent; later output goes below it.
    pub(crate) fn keep(&mut self) {
        self.drawn.clear();
    }

    /// Writes `text`, which ends with a line break, above the drawing, with its control characters
    /// escaped.
    ///
    /// # Errors
    /// Returns an error if writing to standard error fails.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        let text = for_terminal(text);
        if self.drawn.is_empty() {
            self.out.write_all(text.as_bytes())?;
            return self.out.flush();
        }
        let drawn = self.drawn.clone();
        self.replace(&text, drawn)
    }

    /// Writes `above` and `lines` in place of the drawing.
    fn replace(&mut self, above: &str, lines: Vec<String>) -> io::Result<()> {
        let mut written = String::from(BEGIN);
        if !self.drawn.is_empty() {
            written += &format!("\u{1b}[{}A", self.rows_drawn());
        }
        // Characters echoed by the terminal itself, such as `^C`, are cleared too.
        written.push('\r');
        if !above.is_empty() {
            // Permanent lines are wrapped as usual.
            written += &format!("{CLEAR_BELOW}\u{1b}[?7h{above}\u{1b}[?7l");
        }
        for line in &lines {
            written += &format!("\u{1b}[2K{line}\n");
        }
        written += CLEAR_BELOW;
        written += END;
        self.drawn = lines;
        self.out.write_all(written.as_bytes())?;
        self.out.flush()
    }

    /// Returns the number of rows that the drawing occupies. A terminal that becomes narrower wraps
    /// its lines.
    fn rows_drawn(&self) -> usize {
        let (rows, columns) = self.size();
        let taken = self.drawn.iter().map(|line| width(line).div_ceil(columns).max(1));
        taken.sum::<usize>().min(rows)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    /// A terminal emulator for tests; it interprets everything written to it.
    #[derive(Clone)]
    pub(crate) struct Emulator(Arc<Mutex<(vt100::Parser, (u16, u16))>>);

    fn parser(rows: u16, columns: u16) -> vt100::Parser {
        let [rows, columns] = [rows, columns].map(|size| size.try_into().expect("a terminal has rows and columns"));
        vt100::Parser::new(rows, columns, 1000)
    }

    impl Emulator {
        pub(crate) fn new(rows: u16, columns: u16) -> Self {
            Self(Arc::new(Mutex::new((parser(rows, columns), (rows, columns)))))
        }

        /// Returns a screen that writes to the terminal.
        pub(crate) fn screen(&self) -> Screen {
            let size = self.clone();
            Screen::new(Box::new(self.clone()), Box::new(move || size.0.lock().unwrap().1))
        }

        /// Changes the size and rewraps long lines, as most terminals do.
        pub(crate) fn resize(&self, rows: u16, columns: u16) {
            let lines = self.lines();
            let mut locked = self.0.lock().unwrap();
            *locked = (parser(rows, columns), (rows, columns));
            lines.iter().for_each(|line| locked.0.process(format!("{line}\r\n").as_bytes()));
        }

        /// Returns the lines above the cursor, without lines that have scrolled off the screen.
        pub(crate) fn lines(&self) -> Vec<String> {
            let locked = self.0.lock().unwrap();
            let screen = locked.0.screen();
            let (row, column) = screen.cursor_position();
            assert_eq!(column, 0, "the cursor is at the beginning of a line");
            assert!(screen.rows(0, locked.1.1).skip(row.into()).all(|line| line.trim().is_empty()), "below the cursor");
            let wrapped = |row: u16| screen.row_wrapped(row);
            let mut lines: Vec<String> = Vec::new();
            for (number, text) in (0..row).zip(screen.rows(0, locked.1.1)) {
                match lines.last_mut().filter(|_| number > 0 && wrapped(number - 1)) {
                    Some(last) => last.push_str(&text),
                    None => lines.push(text),
                }
            }
            lines
        }
    }

    impl Write for Emulator {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The terminal's driver turns each line end into a carriage return and a line feed.
            let mut locked = self.0.lock().unwrap();
            for byte in bytes {
                match byte {
                    b'\n' => locked.0.process(b"\r\n"),
                    other => locked.0.process(&[*other]),
                }
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn written_line_stays_above_the_drawing() {
        let terminal = Emulator::new(10, 40);
        let mut screen = terminal.screen();
        screen.draw(&lines(&["one", "two"]));
        assert_eq!(terminal.lines(), ["one", "two"]);
        screen.write("a log line\n").unwrap();
        assert_eq!(terminal.lines(), ["a log line", "one", "two"]);
        screen.draw(&lines(&["three"]));
        assert_eq!(terminal.lines(), ["a log line", "three"]);
        screen.keep();
        screen.write("the result\n").unwrap();
        assert_eq!(terminal.lines(), ["a log line", "three", "the result"], "a kept drawing is not cleared");
    }

    /// Only the last frame is shown, whatever the length and width of the frames and the terminal.
    #[test]
    fn no_line_of_an_earlier_frame_remains() {
        let terminal = Emulator::new(12, 40);
        let mut screen = terminal.screen();
        let wide =
            ["日本語の長い行".repeat(10), "x".repeat(200), "y".repeat(40), "e\u{301}".repeat(50), "👩‍💻".repeat(30)];
        for round in 0..300_usize {
            let count = (round * 7 + round / 3) % 11;
            let frame: Vec<String> = (0..count)
                .map(|line| match (round + line) % 3 {
                    0 => wide[(round + line) % wide.len()].clone(),
                    1 => "z".repeat((round * 13 + line) % 60),
                    _ => format!("line {line} of {round}"),
                })
                .collect();
            if round % 17 == 5 {
                // Simulates a user who resizes the terminal while a frame is shown.
                terminal.resize(12, [60, 25, 40, 13][round / 17 % 4]);
            }
            if round % 29 == 3 {
                // Simulates the terminal's echo of a key.
                terminal.clone().write_all(b"^C").unwrap();
            }
            screen.draw(&[frame.clone(), vec![format!("last {round}")]].concat());
            let shown = terminal.lines();
            assert_eq!(shown.len(), count + 1, "round {round}: {shown:#?}");
            assert_eq!(shown[count].trim_end(), format!("last {round}"));
        }
    }

    #[test]
    fn each_drawing_is_shown_at_once() {
        let written = Arc::new(Mutex::new(Vec::new()));
        struct Copy(Arc<Mutex<Vec<u8>>>);
        impl Write for Copy {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut screen = Screen::new(Box::new(Copy(written.clone())), Box::new(|| (24, 80)));
        screen.write("plain\n").unwrap();
        screen.draw(&lines(&["one"]));
        screen.draw(&lines(&["one"]));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "plain\n\u{1b}[?2026h\u{1b}[?7l\r\u{1b}[2Kone\n\u{1b}[J\u{1b}[?7h\u{1b}[?2026l");
    }
}
