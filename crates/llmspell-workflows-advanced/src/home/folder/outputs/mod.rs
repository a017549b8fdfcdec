//! The output of steps in files.
//!
//! ```text
//! HOME/output/RUN/lines              JSON lines: the first lines of every attempt
//! HOME/output/RUN/tail-ATTEMPT-0, 1  the last lines of an attempt that wrote more, in turns: the older file is emptied
//!                                    when the newer one is full
//! HOME/output/RUN/unfinished-ATTEMPT the lines of an attempt that have begun, while there are any
//! ```

mod writer;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::activity::{OutputLine, OutputLog, OutputSink, OutputSource, OutputStream};
use llmspell_workflows_state::disk::blocking;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::outputs::{AttemptCursor, LoggedAttempt, LoggedLine, OutputCursor, OutputEnd, StepOutputs};
use crate::ExecutorError;
use writer::FolderLog;

/// The name of the file with the first lines of every attempt.
const LINES: &str = "lines";

/// An entry of a log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry<'e> {
    /// An attempt writes its first line.
    Open { id: u64, at: Timestamp, path: String, attempt: u32, cuts: u32 },
    /// A line of an attempt.
    Line {
        id: u64,
        n: u64,
        err: bool,
        #[serde(borrow)]
        text: std::borrow::Cow<'e, str>,
    },
    /// The remaining lines of an attempt are in separate files.
    Tail { id: u64 },
    /// The output of an attempt has ended after this number of lines. If there was an error, the
    /// last lines are missing.
    End { id: u64, lines: u64, error: Option<String> },
}

/// The output of steps, in a folder with one subfolder per run.
#[derive(Debug)]
pub(super) struct FolderOutputs {
    /// The folder of the home, which must already exist when output is written.
    home: PathBuf,
}

impl FolderOutputs {
    pub(super) fn new(home: PathBuf) -> Self {
        Self { home }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.home.join("output")
    }

    fn of_run(&self, run: Uuid) -> PathBuf {
        self.folder().join(run.to_string())
    }
}

impl OutputSink for FolderOutputs {
    fn open(&self, source: &OutputSource) -> Box<dyn OutputLog> {
        Box::new(FolderLog::new(self.home.clone(), self.of_run(source.run), source.clone()))
    }
}

#[async_trait]
impl StepOutputs for FolderOutputs {
    async fn read(&self, run: Uuid, cursor: &mut OutputCursor) -> Result<Vec<LoggedLine>, ExecutorError> {
        let (folder, mut moved) = (self.of_run(run), std::mem::take(cursor));
        let read = blocking(move || {
            let lines = read(&folder, run, &mut moved).map_err(|error| ExecutorError::file(&folder, &error));
            (lines, moved)
        });
        let (lines, moved) = read.await;
        *cursor = moved;
        lines
    }

    async fn remove(&self, runs: &[Uuid]) -> Result<(), ExecutorError> {
        let folders: Vec<PathBuf> = runs.iter().map(|run| self.of_run(*run)).collect();
        blocking(move || {
            for folder in folders {
                match fs::remove_dir_all(&folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(ExecutorError::file(&folder, &error));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }
}

fn read(folder: &Path, run: Uuid, cursor: &mut OutputCursor) -> io::Result<Vec<LoggedLine>> {
    let mut read = Vec::new();
    let bytes = read_from(&folder.join(LINES), cursor.position)?;
    // The last line may be incomplete.
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    cursor.position += end as u64;
    for entry in entries(&bytes[..end]) {
        match entry {
            Entry::Open { id, at, path, attempt, cuts } => {
                let source = OutputSource { run, path, attempt, cuts };
                let attempt = Arc::new(LoggedAttempt { id, at, source });
                cursor.attempts.insert(id, AttemptCursor { attempt, next: 0, has_tail: false, end: None });
            }
            Entry::Tail { id } => cursor.attempts.get_mut(&id).into_iter().for_each(|attempt| attempt.has_tail = true),
            Entry::End { id, lines, error } => {
                cursor.attempts.get_mut(&id).into_iter().for_each(|attempt| {
                    attempt.end = Some(OutputEnd { lines, error: error.clone() });
                });
            }
            line @ Entry::Line { .. } => read.extend(logged(line, &mut cursor.attempts)),
        }
    }
    let mut tails: Vec<u64> =
        cursor.attempts.iter().filter(|(_, attempt)| attempt.has_tail).map(|(id, _)| *id).collect();
    tails.sort_unstable();
    for id in tails {
        let (first, second) = (read_from(&tail_path(folder, id, 0), 0)?, read_from(&tail_path(folder, id, 1), 0)?);
        let mut last: Vec<Entry<'_>> = entries(&first).chain(entries(&second)).collect();
        last.sort_by_key(|entry| if let Entry::Line { n, .. } = entry { *n } else { 0 });
        last.into_iter().for_each(|line| read.extend(logged(line, &mut cursor.attempts)));
    }
    cursor.unfinished = unfinished(folder, &cursor.attempts)?;
    Ok(read)
}

/// Returns the unfinished lines.
fn unfinished(folder: &Path, attempts: &HashMap<u64, AttemptCursor>) -> io::Result<Vec<LoggedLine>> {
    let mut open: Vec<u64> = attempts.iter().filter(|(_, attempt)| attempt.end.is_none()).map(|(id, _)| *id).collect();
    open.sort_unstable();
    let mut unfinished = Vec::new();
    for id in open {
        let bytes = read_from(&unfinished_path(folder, id), 0)?;
        unfinished.extend(entries(&bytes).filter_map(|entry| line(entry, attempts)));
    }
    Ok(unfinished)
}

/// Returns a line and marks it as read; `None` if it was read before.
fn logged(entry: Entry<'_>, attempts: &mut HashMap<u64, AttemptCursor>) -> Option<LoggedLine> {
    let line = line(entry, attempts)?;
    attempts.get_mut(&line.attempt.id)?.next = line.number + 1;
    Some(line)
}

/// Returns a line; `None` if it was read before.
fn line(entry: Entry<'_>, attempts: &HashMap<u64, AttemptCursor>) -> Option<LoggedLine> {
    let Entry::Line { id, n, err, text } = entry else { return None };
    let cursor = attempts.get(&id).filter(|cursor| cursor.next <= n)?;
    let stream = if err { OutputStream::Stderr } else { OutputStream::Stdout };
    Some(LoggedLine {
        attempt: cursor.attempt.clone(),
        number: n,
        line: OutputLine { stream, text: text.into_owned() },
    })
}

/// Parses complete lines. A line cut off by a crash or overwritten in the meantime is skipped.
fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Reads a file from `position`; a missing file is treated as empty.
fn read_from(path: &Path, position: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    file.seek(SeekFrom::Start(position))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn tail_path(folder: &Path, id: u64, number: usize) -> PathBuf {
    folder.join(format!("tail-{id}-{number}"))
}

fn unfinished_path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("unfinished-{id}"))
}
