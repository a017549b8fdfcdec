//! Runs the compiled `spellflow` program on a pseudo terminal, and interprets its output.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::{
    fs::OFlags,
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::support::{Sandbox, exit_code, wait_until};

const ROWS: u16 = 24;

/// A running command whose output is shown on a terminal.
pub(crate) struct Pty {
    child: Child,
    columns: u16,
    parser: Arc<Mutex<vt100::Parser>>,
    reader: JoinHandle<()>,
}

impl Pty {
    pub(crate) fn open(sandbox: &Sandbox, arguments: &[&str], columns: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
        let no_controlling_terminal = OFlags::NOCTTY.bits().cast_signed();
        let terminal =
            OpenOptions::new().read(true).write(true).custom_flags(no_controlling_terminal).open(name).unwrap();
        let mut command = sandbox.command(arguments);
        command.env("TERM", "xterm-256color").stdin(Stdio::null());
        command.stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let child = command.spawn().unwrap();
        // The command keeps this side of the terminal open until the command is dropped.
        drop(command);
        let size = |size: u16| size.try_into().unwrap();
        let parser = Arc::new(Mutex::new(vt100::Parser::new(size(ROWS), size(columns), 1000)));
        let mut controller = File::from(controller);
        let shown = parser.clone();
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails once no process has the terminal open.
            while let Ok(count @ 1..) = controller.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { child, columns, parser, reader }
    }

    /// Returns the visible lines; a line wrapped by the terminal counts as one line.
    pub(crate) fn lines(&self) -> Vec<String> {
        lines(&self.parser, self.columns)
    }

    /// Waits until a visible line contains `part`.
    pub(crate) fn wait_for(&self, part: &str) {
        wait_until(|| self.lines().iter().any(|line| line.contains(part)).then_some(()));
    }

    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    }

    /// Waits for the end; returns the exit code and the lines that remain on the screen.
    pub(crate) fn end(self) -> (Option<i32>, Vec<String>) {
        let code = exit_code(self.child);
        self.reader.join().unwrap();
        (code, lines(&self.parser, self.columns))
    }
}

fn lines(parser: &Mutex<vt100::Parser>, columns: u16) -> Vec<String> {
    let parser = parser.lock().unwrap();
    let screen = parser.screen();
    let mut lines: Vec<String> = Vec::new();
    let mut is_continued = false;
    for (row, text) in (0..).zip(screen.rows(0, columns)) {
        match lines.last_mut().filter(|_| is_continued) {
            Some(last) => last.push_str(&text),
            None => lines.push(text),
        }
        is_continued = screen.row_wrapped(row);
    }
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    lines
}
