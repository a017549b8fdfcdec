use std::io::{self, Read};

/// Passes CSV through, and fails at the end of the input if a quoted cell is still open.
///
/// The CSV reader would read everything after the unclosed quote as one cell, silently losing rows.
pub(super) struct QuoteChecker<R> {
    reader: R,
    delimiter: u8,
    position: CellPosition,
    line: u64,
    opened: u64,
    /// The rest of a byte order mark that may still follow.
    mark: &'static [u8],
}

/// The position of the next byte within a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CellPosition {
    Start,
    Plain,
    Quoted,
    /// After a quote in a quoted cell; the quote is either the first half of an escaped quote or the end of the cell.
    AfterQuote,
}

/// A quoted cell without a closing quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: unclosed quote")]
pub(super) struct UnclosedQuote {
    pub(super) line: u64,
}

impl<R> QuoteChecker<R> {
    pub(super) fn new(reader: R, delimiter: u8) -> Self {
        Self { reader, delimiter, position: CellPosition::Start, line: 1, opened: 1, mark: b"\xef\xbb\xbf" }
    }

    fn pass(&mut self, byte: u8) {
        if let Some((first, rest)) = self.mark.split_first() {
            self.mark = if *first == byte { rest } else { &[] };
            if *first == byte {
                return;
            }
        }
        self.position = match (self.position, byte) {
            (CellPosition::Start, b'"') => {
                self.opened = self.line;
                CellPosition::Quoted
            }
            (CellPosition::Quoted, b'"') => CellPosition::AfterQuote,
            (CellPosition::AfterQuote, b'"') | (CellPosition::Quoted, _) => CellPosition::Quoted,
            (_, byte) if byte == self.delimiter || matches!(byte, b'\n' | b'\r') => CellPosition::Start,
            _ => CellPosition::Plain,
        };
        self.line += u64::from(byte == b'\n');
    }
}

impl<R: Read> Read for QuoteChecker<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.position == CellPosition::Quoted {
            return Err(io::Error::new(io::ErrorKind::InvalidData, UnclosedQuote { line: self.opened }));
        }
        buffer[..count].iter().for_each(|byte| self.pass(*byte));
        Ok(count)
    }
}
