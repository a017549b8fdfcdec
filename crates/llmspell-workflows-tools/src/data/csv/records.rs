use std::io::Read;

use csv::StringRecord;

use crate::ToolError;
use crate::data::row_files::{ROW_BYTES_MAX, tool_error};
use crate::data::support::{invalid, too_large};

/// The maximum number of lines that a quoted cell may span if bad rows are collected.
const QUOTED_LINES_MAX: u64 = 1000;

/// The number of bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The byte order mark that Windows editors put at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Splits CSV into records as the `csv` crate does, and can continue after a quote that is never closed.
///
/// A quote that is never closed swallows the following lines, up to another quote. With
/// [`recovers`](Self::recovers_from), a multi-line record is therefore accepted only if its quotes
/// are closed at the end of a cell, within [`QUOTED_LINES_MAX`] lines. In addition, it must have
/// the right number of cells, or none of its later lines may be a complete record. Otherwise, only
/// its first line is bad, and reading continues with its second line.
pub(super) struct Records<R> {
    source: R,
    /// The name used for the source in errors.
    name: String,
    delimiter: u8,
    /// The expected number of cells if reading continues after unclosed quotes.
    recovers: Option<usize>,
    /// The part of the source that has been read and is still needed.
    window: Vec<u8>,
    /// The position in the window at which the next record begins.
    next: usize,
    has_ended: bool,
    has_begun: bool,
    /// The line of the next record, counted from 1.
    next_line: u64,
    /// The last record's line, and its text without the line end.
    line: u64,
    text: std::ops::Range<usize>,
    scan: Scan,
}

/// The result of reading a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Record,
    /// A quote is never closed. If the reader recovers from unclosed quotes, the record is only the
    /// line with the quote.
    Unclosed,
    /// The cells are not UTF-8.
    NotUtf8,
}

/// The position of the next byte within a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum CellPosition {
    #[default]
    Start,
    Plain,
    Quoted,
    /// After a quote in a quoted cell; the quote is either the first half of an escaped quote or the end of the cell.
    AfterQuote,
}

/// The record being read.
#[derive(Debug, Default)]
struct Scan {
    /// The bytes of all cells.
    cells: Vec<u8>,
    /// The end of each cell in `cells`.
    ends: Vec<usize>,
    position: CellPosition,
    /// The end of the record's text; `next` is the start of the next record.
    end: usize,
    next: usize,
    /// The end of the record's first line and the start of its second line, if it has several
    /// lines.
    first_line: Option<(usize, usize)>,
    /// The number of line ends within quotes.
    lines: u64,
    /// The line on which the last quoted cell begins, counted from the record's first line.
    opened: u64,
    /// Whether a quote is in the middle of a cell: a closing quote followed by more text, or a
    /// quote in an unquoted cell.
    is_torn: bool,
    /// Whether the scan stopped because the record is too long.
    is_too_long: bool,
}

impl<R: Read> Records<R> {
    pub(super) fn new(source: R, name: String, delimiter: u8) -> Self {
        Self {
            source,
            name,
            delimiter,
            recovers: None,
            window: Vec::new(),
            next: 0,
            has_ended: false,
            has_begun: false,
            next_line: 1,
            line: 1,
            text: 0..0,
            scan: Scan::default(),
        }
    }

    /// Makes the reader continue after unclosed quotes, from the next record on; records are
    /// expected to have `cells` cells.
    pub(super) fn recovers_from(&mut self, cells: usize) {
        self.recovers = Some(cells);
    }

    /// Returns the line on which the last record begins, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Returns the line on which the last quoted cell of the last record begins.
    pub(super) fn opened(&self) -> u64 {
        self.line + self.scan.opened
    }

    /// Returns the text of the last record, without its line end.
    pub(super) fn text(&self) -> &[u8] {
        &self.window[self.text.clone()]
    }

    /// Reads the next record; empty lines are skipped.
    pub(super) fn read(&mut self, record: &mut StringRecord) -> Result<Option<Found>, ToolError> {
        record.clear();
        if !self.begin()? {
            return Ok(None);
        }
        self.line = self.next_line;
        self.scan(self.next)?;
        let is_closed = self.scan.position != CellPosition::Quoted && !self.scan.is_too_long;
        if !is_closed || (self.recovers.is_some() && self.scan.lines > 0 && !self.is_whole()?) {
            let (end, next) = self.scan.first_line.unwrap_or((self.scan.end, self.scan.next));
            self.end_record(end, next);
            return Ok(Some(Found::Unclosed));
        }
        self.end_record(self.scan.end, self.scan.next);
        let mut start = 0;
        for end in &self.scan.ends {
            let Ok(cell) = std::str::from_utf8(&self.scan.cells[start..*end]) else { return Ok(Some(Found::NotUtf8)) };
            record.push_field(cell);
            start = *end;
        }
        Ok(Some(Found::Record))
    }

    /// Moves to the first byte of the next record; returns whether there is a next record.
    fn begin(&mut self) -> Result<bool, ToolError> {
        if self.next >= CHUNK_BYTES {
            self.window.drain(..self.next);
            self.next = 0;
        }
        if !self.has_begun {
            self.has_begun = true;
            while self.window.len() < BYTE_ORDER_MARK.len() && self.fill()? {}
            if self.window.starts_with(BYTE_ORDER_MARK) {
                self.next = BYTE_ORDER_MARK.len();
            }
        }
        while let Some(byte @ (b'\n' | b'\r')) = self.byte(self.next)? {
            self.next_line += u64::from(byte == b'\n');
            self.next += 1;
        }
        Ok(self.byte(self.next)?.is_some())
    }

    fn end_record(&mut self, end: usize, next: usize) {
        self.text = self.next..end;
        let lines = self.window[self.next..next].iter().filter(|byte| **byte == b'\n').count();
        self.next_line += lines as u64;
        self.next = next;
    }

    /// Returns whether a multi-line record is complete rather than the start of an unclosed quote.
    fn is_whole(&mut self) -> Result<bool, ToolError> {
        let expected = self.recovers;
        if self.scan.is_torn {
            return Ok(false);
        }
        let (true, Some((_, second))) = (expected != Some(self.scan.ends.len()), self.scan.first_line) else {
            return Ok(true);
        };
        // The number of cells is wrong. Either a quote is unclosed and a line within it is a
        // complete record, or the record has too few or too many cells.
        let whole = std::mem::take(&mut self.scan);
        let (mut at, mut is_whole) = (second, true);
        while is_whole && at < whole.next {
            self.scan(at)?;
            let is_line = self.scan.position != CellPosition::Quoted && self.scan.lines == 0 && !self.scan.is_torn;
            is_whole = !is_line || expected != Some(self.scan.ends.len());
            at = self.scan.first_line.map_or(self.scan.next, |(_, next)| next);
        }
        self.scan = whole;
        Ok(is_whole)
    }

    /// Reads a record that begins at `at`, up to the end of its last line.
    fn scan(&mut self, mut at: usize) -> Result<(), ToolError> {
        let start = at;
        self.scan.clear();
        loop {
            let Some(byte) = self.byte(at)? else {
                self.scan.end_cell();
                (self.scan.end, self.scan.next) = (at, at);
                return Ok(());
            };
            let is_line_end = matches!(byte, b'\n' | b'\r');
            if is_line_end && self.scan.position != CellPosition::Quoted {
                self.scan.end_cell();
                self.scan.end = at;
                self.scan.next = self.after_line_end(at, byte)?;
                return Ok(());
            }
            if is_line_end && self.scan.first_line.is_none() {
                self.scan.first_line = Some((at, self.after_line_end(at, byte)?));
            }
            self.scan.lines += u64::from(byte == b'\n');
            self.scan.pass(byte, self.delimiter);
            at += 1;
            if at - start > ROW_BYTES_MAX || (self.recovers.is_some() && self.scan.lines > QUOTED_LINES_MAX) {
                if self.recovers.is_none() || self.scan.first_line.is_none() {
                    let message = format!(
                        "line {}: the row is longer than {ROW_BYTES_MAX} bytes, the limit `ROW_BYTES_MAX`",
                        self.line
                    );
                    return Err(too_large("row_too_large", message).with_help("a quote may be unclosed"));
                }
                self.scan.is_too_long = true;
                return Ok(());
            }
        }
    }

    /// Returns the position after a line end: `\n`, `\r`, or both.
    fn after_line_end(&mut self, at: usize, byte: u8) -> Result<usize, ToolError> {
        let is_pair = byte == b'\r' && self.byte(at + 1)? == Some(b'\n');
        Ok(at + 1 + usize::from(is_pair))
    }

    /// Returns the byte at a position in the window, and reads more of the source if necessary.
    fn byte(&mut self, at: usize) -> Result<Option<u8>, ToolError> {
        while self.window.len() <= at {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(Some(self.window[at]))
    }

    /// Reads the next part of the source; returns false at the end of the source.
    fn fill(&mut self) -> Result<bool, ToolError> {
        if self.has_ended {
            return Ok(false);
        }
        let length = self.window.len();
        self.window.resize(length + CHUNK_BYTES, 0);
        let count = loop {
            match self.source.read(&mut self.window[length..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.window.truncate(length + count.as_ref().copied().unwrap_or_default());
        self.has_ended = matches!(count, Ok(0));
        let count = count.map_err(|error| tool_error(error, "read", &self.name))?;
        Ok(count > 0)
    }
}

impl Scan {
    fn clear(&mut self) {
        let (mut cells, mut ends) = (std::mem::take(&mut self.cells), std::mem::take(&mut self.ends));
        cells.clear();
        ends.clear();
        *self = Self { cells, ends, ..Self::default() };
    }

    /// Adds a byte that does not end the record.
    fn pass(&mut self, byte: u8, delimiter: u8) {
        use CellPosition::{AfterQuote, Plain, Quoted, Start};
        match (self.position, byte) {
            (Start, b'"') => {
                self.opened = self.lines;
                self.position = Quoted;
            }
            (Quoted, b'"') => self.position = AfterQuote,
            (AfterQuote, b'"') => {
                self.cells.push(byte);
                self.position = Quoted;
            }
            (Start | Plain | AfterQuote, byte) if byte == delimiter => self.end_cell(),
            (Quoted, _) => self.cells.push(byte),
            (position, _) => {
                self.is_torn |= position == AfterQuote || byte == b'"';
                self.cells.push(byte);
                self.position = Plain;
            }
        }
    }

    fn end_cell(&mut self) {
        self.ends.push(self.cells.len());
        if self.position != CellPosition::Quoted {
            self.position = CellPosition::Start;
        }
    }
}

/// Creates the error for a quote that is never closed.
pub(super) fn unclosed(line: u64) -> ToolError {
    invalid("invalid_csv", format!("line {line}: unclosed quote")).with_details(serde_json::json!({ "line": line }))
}
