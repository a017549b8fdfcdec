//! Writes the output of one attempt.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    activity::{OutputLine, OutputLog, OutputSource, OutputStream},
    targets,
};
use llmspell_workflows_state::disk::{blocking, create_private_folders, private_file};

use super::{Entry, LINES, tail_path, unfinished_path};
use crate::home::outputs::{OUTPUT_HEAD_LINES, OUTPUT_TAIL_LINES};

/// The maximum size in bytes of an attempt's first lines, and of each of the two files with its
/// last lines.
const PART_BYTES: usize = 128 * 1024;

/// The log of one attempt, which has no writer after a panic.
pub(super) struct FolderLog {
    writer: Option<Box<Writer>>,
}

impl FolderLog {
    pub(super) fn new(home: PathBuf, folder: PathBuf, source: OutputSource) -> Self {
        let writer = Writer { home, folder, source, open: None, failure: None, unfinished: Default::default() };
        Self { writer: Some(Box::new(writer)) }
    }

    async fn with_writer(&mut self, action: impl FnOnce(&mut Writer) + Send + 'static) {
        let Some(mut writer) = self.writer.take() else { return };
        self.writer = Some(
            blocking(move || {
                action(&mut writer);
                writer
            })
            .await,
        );
    }
}

#[async_trait]
impl OutputLog for FolderLog {
    async fn write(&mut self, lines: &[OutputLine]) {
        let lines = lines.to_vec();
        self.with_writer(move |writer| writer.write(&lines)).await;
    }

    async fn preview(&mut self, stream: OutputStream, lines: &[OutputLine]) {
        let lines = lines.to_vec();
        self.with_writer(move |writer| writer.preview(stream, lines)).await;
    }

    async fn close(&mut self) {
        self.with_writer(|writer| writer.close()).await;
    }
}

struct Writer {
    home: PathBuf,
    folder: PathBuf,
    source: OutputSource,
    open: Option<OpenLog>,
    /// Why lines could not be written. Later lines are only counted.
    failure: Option<String>,
    /// The unfinished lines of each stream.
    unfinished: [Vec<OutputLine>; 2],
}

struct OpenLog {
    id: u64,
    /// The number of lines so far.
    number: u64,
    lines: File,
    bytes: usize,
    tail: Option<Tail>,
    /// The file with the unfinished lines.
    unfinished: Option<File>,
}

/// The files of an attempt's last lines.
struct Tail {
    files: [File; 2],
    /// The index of the file being written.
    current: usize,
    lines: usize,
    bytes: usize,
}

impl Writer {
    fn write(&mut self, lines: &[OutputLine]) {
        let before = self.number();
        if self.failure.is_none()
            && let Err(error) = self.try_write(lines)
        {
            self.fail(&error);
        }
        if let Some(open) = &mut self.open {
            open.number = before + lines.len() as u64;
        }
    }

    fn number(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.number)
    }

    /// The log is only for human readers, so the step continues without it.
    fn fail(&mut self, error: &io::Error) {
        tracing::warn!(
            target: targets::STEP,
            run = %self.source.run,
            path = %self.source.path,
            "the output of the step is no longer logged: {error}"
        );
        self.failure = Some(error.to_string());
        // There may still be enough space for the end entry.
        self.close();
    }

    fn open(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(OpenLog::new(&self.home, &self.folder, &self.source)?);
        }
        Ok(())
    }

    fn try_write(&mut self, lines: &[OutputLine]) -> io::Result<()> {
        self.open()?;
        let Some(open) = &mut self.open else { return Ok(()) };
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
        rest[skipped..].iter().try_for_each(|line| open.add_to_tail(line))?;
        if self.unfinished.iter().all(Vec::is_empty) {
            return Ok(());
        }
        lines.iter().for_each(|line| self.unfinished[line.stream as usize].clear());
        self.write_unfinished()
    }

    fn preview(&mut self, stream: OutputStream, lines: Vec<OutputLine>) {
        let shown = &mut self.unfinished[stream as usize];
        if *shown == lines || self.failure.is_some() {
            return;
        }
        *shown = lines;
        if let Err(error) = self.open().and_then(|()| self.write_unfinished()) {
            self.fail(&error);
        }
    }

    /// Writes the unfinished lines, with the numbers that they will have if no other line ends
    /// first.
    fn write_unfinished(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut text = Vec::new();
        for (number, line) in (open.number..).zip(self.unfinished.iter().flatten()) {
            push(&open.line(number, line), &mut text)?;
        }
        let file = match &mut open.unfinished {
            Some(file) => file,
            None => open.unfinished.insert(
                private_file().write(true).create(true).truncate(true).open(unfinished_path(&self.folder, open.id))?,
            ),
        };
        // A reader may see the new text followed by the end of the old text. Incomplete lines are
        // skipped.
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }

    /// Records the end of the output. Without this entry, the end of the log counts as missing.
    fn close(&mut self) {
        if let Err(error) = self.try_close()
            && self.failure.is_none()
        {
            self.fail(&error);
        }
    }

    fn try_close(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        // A failed write may have left an incomplete line.
        let mut text = vec![b'\n'];
        push(&Entry::End { id: open.id, lines: open.number, error: self.failure.clone() }, &mut text)?;
        open.lines.write_all(&text)?;
        match open.unfinished.take() {
            Some(_) => fs::remove_file(unfinished_path(&self.folder, open.id)),
            None => Ok(()),
        }
    }
}

impl OpenLog {
    fn new(home: &Path, folder: &Path, source: &OutputSource) -> io::Result<Self> {
        // A removed home must not reappear.
        fs::metadata(home)?;
        create_private_folders(folder)?;
        let mut lines = append(&folder.join(LINES))?;
        let (at, id) = (Timestamp::now(), next_id());
        let OutputSource { path, attempt, cuts, .. } = source.clone();
        // A crash may have left an incomplete line.
        let mut text = vec![b'\n'];
        push(&Entry::Open { id, at, path, attempt, cuts }, &mut text)?;
        lines.write_all(&text)?;
        Ok(Self { id, number: 0, lines, bytes: 0, tail: None, unfinished: None })
    }

    fn has_room(&self) -> bool {
        self.tail.is_none() && self.number < OUTPUT_HEAD_LINES as u64 && self.bytes < PART_BYTES
    }

    fn add(&mut self, line: &OutputLine, text: &mut Vec<u8>) -> io::Result<()> {
        push(&self.line(self.number, line), text)?;
        self.number += 1;
        Ok(())
    }

    fn line<'l>(&self, n: u64, line: &'l OutputLine) -> Entry<'l> {
        Entry::Line { id: self.id, n, err: line.stream == OutputStream::Stderr, text: (&*line.text).into() }
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

fn append(path: &Path) -> io::Result<File> {
    private_file().append(true).create(true).open(path)
}

fn push(entry: &Entry<'_>, text: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *text, entry)?;
    text.push(b'\n');
    Ok(())
}

/// Returns an id greater than all previous ids, including those of earlier processes.
fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
    let next = |last: u64| Some(now.max(last + 1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
    now.max(last + 1)
}
