//! The output of steps in files.
//!
//! ```text
//! HOME/output/RUN/lines              JSON lines: the first lines of every attempt
//! HOME/output/RUN/tail-ATTEMPT-0, 1  the last lines of an attempt that wrote more, in turns: the older file is emptied
//!                                    when the newer one is full
//! ```

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    activity::{OutputLine, OutputLog, OutputSink, OutputSource, OutputStream},
    targets,
};
use llmspell_workflows_state::disk::{blocking, create_private_folders, private_file};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::outputs::{
    AttemptCursor, LoggedAttempt, LoggedLine, OUTPUT_HEAD_LINES, OUTPUT_TAIL_LINES, OutputCursor, StepOutputs,
};
use crate::ExecutorError;

/// The maximum number of bytes that an attempt's first lines take up, and each of the two files of its last lines.
const PART_BYTES: usize = 128 * 1024;

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
}

/// The output of steps in a folder, with a folder per run.
#[derive(Debug)]
pub(super) struct FolderOutputs {
    /// The folder of the home, which exists while it is used.
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
        let writer =
            Writer { home: self.home.clone(), folder: self.of_run(source.run), source: source.clone(), open: None };
        Box::new(FolderLog { writer: Some(Box::new(writer)) })
    }
}

/// The log of one attempt. It has no writer after an error.
struct FolderLog {
    writer: Option<Box<Writer>>,
}

#[async_trait]
impl OutputLog for FolderLog {
    async fn write(&mut self, lines: &[OutputLine]) {
        let Some(mut writer) = self.writer.take() else { return };
        let lines = lines.to_vec();
        let written = blocking(move || {
            let result = writer.write(&lines);
            (writer, result)
        })
        .await;
        match written {
            (writer, Ok(())) => self.writer = Some(writer),
            // Only people read the log, so the step continues without it.
            (writer, Err(error)) => tracing::warn!(
                target: targets::STEP,
                run = %writer.source.run,
                path = %writer.source.path,
                "the output of the step is no longer logged: {error}"
            ),
        }
    }
}

struct Writer {
    home: PathBuf,
    folder: PathBuf,
    source: OutputSource,
    open: Option<OpenLog>,
}

struct OpenLog {
    id: u64,
    /// The number of lines so far.
    number: u64,
    lines: File,
    bytes: usize,
    tail: Option<Tail>,
}

/// The files of an attempt's last lines.
struct Tail {
    files: [File; 2],
    /// The file that is written.
    current: usize,
    lines: usize,
    bytes: usize,
}

impl Writer {
    fn write(&mut self, lines: &[OutputLine]) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(OpenLog::new(&self.home, &self.folder, &self.source)?),
        };
        let mut text = Vec::new();
        let mut rest = lines;
        while let Some((line, after)) = rest.split_first().filter(|_| open.has_room()) {
            let from = text.len();
            open.add(line, &mut text)?;
            open.bytes += text.len() - from;
            rest = after;
        }
        if !rest.is_empty() && open.tail.is_none() {
            push(&Entry::Tail { id: open.id }, &mut text)?;
            open.tail = Some(Tail::new(&self.folder, open.id)?);
        }
        open.lines.write_all(&text)?;
        // If there are many lines, all but the last ones would be overwritten.
        let skipped = rest.len().saturating_sub(OUTPUT_TAIL_LINES);
        open.number += skipped as u64;
        rest[skipped..].iter().try_for_each(|line| open.add_to_tail(line))
    }
}

impl OpenLog {
    fn new(home: &Path, folder: &Path, source: &OutputSource) -> io::Result<Self> {
        // A home that was removed must not appear again.
        fs::metadata(home)?;
        create_private_folders(folder)?;
        let mut lines = append(&folder.join(LINES))?;
        let (at, id) = (Timestamp::now(), next_id());
        let OutputSource { path, attempt, cuts, .. } = source.clone();
        // A crash may have left an incomplete line.
        let mut text = vec![b'\n'];
        push(&Entry::Open { id, at, path, attempt, cuts }, &mut text)?;
        lines.write_all(&text)?;
        Ok(Self { id, number: 0, lines, bytes: 0, tail: None })
    }

    fn has_room(&self) -> bool {
        self.tail.is_none() && self.number < OUTPUT_HEAD_LINES as u64 && self.bytes < PART_BYTES
    }

    fn add(&mut self, line: &OutputLine, text: &mut Vec<u8>) -> io::Result<()> {
        let entry = Entry::Line {
            id: self.id,
            n: self.number,
            err: line.stream == OutputStream::Stderr,
            text: (&*line.text).into(),
        };
        self.number += 1;
        push(&entry, text)
    }

    fn add_to_tail(&mut self, line: &OutputLine) -> io::Result<()> {
        let mut text = Vec::new();
        self.add(line, &mut text)?;
        self.tail.as_mut().map_or(Ok(()), |tail| tail.write(&text))
    }
}

impl Tail {
    fn new(folder: &Path, id: u64) -> io::Result<Self> {
        let files = [append(&tail_path(folder, id, 0))?, append(&tail_path(folder, id, 1))?];
        Ok(Self { files, current: 0, lines: 0, bytes: 0 })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self.lines >= OUTPUT_TAIL_LINES || self.bytes >= PART_BYTES {
            (self.current, self.lines, self.bytes) = (1 - self.current, 0, 0);
            self.files[self.current].set_len(0)?;
        }
        self.lines += 1;
        self.bytes += text.len();
        self.files[self.current].write_all(text)
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
    // The last line may still be written.
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    cursor.position += end as u64;
    for entry in entries(&bytes[..end]) {
        match entry {
            Entry::Open { id, at, path, attempt, cuts } => {
                let source = OutputSource { run, path, attempt, cuts };
                let attempt = Arc::new(LoggedAttempt { id, at, source });
                cursor.attempts.insert(id, AttemptCursor { attempt, next: 0, has_tail: false });
            }
            Entry::Tail { id } => cursor.attempts.get_mut(&id).into_iter().for_each(|attempt| attempt.has_tail = true),
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
    Ok(read)
}

/// Returns a line, unless it was read before.
fn logged(entry: Entry<'_>, attempts: &mut HashMap<u64, AttemptCursor>) -> Option<LoggedLine> {
    let Entry::Line { id, n, err, text } = entry else { return None };
    let cursor = attempts.get_mut(&id).filter(|cursor| cursor.next <= n)?;
    cursor.next = n + 1;
    let stream = if err { OutputStream::Stderr } else { OutputStream::Stdout };
    Some(LoggedLine {
        attempt: cursor.attempt.clone(),
        number: n,
        line: OutputLine { stream, text: text.into_owned() },
    })
}

/// Parses whole lines; a line that was cut off by a crash or overwritten meanwhile is skipped.
fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Reads a file from `position`; a missing file is empty.
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

fn append(path: &Path) -> io::Result<File> {
    private_file().append(true).create(true).open(path)
}

fn tail_path(folder: &Path, id: u64, number: usize) -> PathBuf {
    folder.join(format!("tail-{id}-{number}"))
}

fn push(entry: &Entry<'_>, text: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *text, entry)?;
    text.push(b'\n');
    Ok(())
}

/// Returns an id that is greater than all ids before, also those of earlier processes.
fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
    let next = |last: u64| Some(now.max(last + 1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
    now.max(last + 1)
}
