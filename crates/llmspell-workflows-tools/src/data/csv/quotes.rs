use std::io::{self, Read};

/// Hands bytes of CSV on, and fails at their end where a quoted cell is still open.
///
/// The CSV reader takes all that follows such a quote as one cell, so rows would be lost without a word.
pub(super) struct Quotes<R> {
    reader: R,
    delimiter: u8,
    at: At,
    line: u64,
    opened: u64,
    /// What of a byte order mark may still come.
    mark: &'static [u8],
}

/// Where in a cell the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Plain,
    Quoted,
    /// Behind a quote in a quoted cell: the second of two, or the end.
    Behind,
}

/// The line where the quote is opened that was never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: a quote is opened and never closed")]
pub(super) struct Unclosed {
    pub(super) line: u64,
}

impl<R> Quotes<R> {
    pub(super) fn new(reader: R, delimiter: u8) -> Self {
        Self { reader, delimiter, at: At::Start, line: 1, opened: 1, mark: b"\xef\xbb\xbf" }
    }

    fn pass(&mut self, byte: u8) {
        if let Some((first, rest)) = self.mark.split_first() {
            self.mark = if *first == byte { rest } else { &[] };
            if *first == byte {
                return;
            }
        }
        self.at = match (self.at, byte) {
            (At::Start, b'"') => {
                self.opened = self.line;
                At::Quoted
            }
            (At::Quoted, b'"') => At::Behind,
            (At::Behind, b'"') | (At::Quoted, _) => At::Quoted,
            (_, byte) if byte == self.delimiter || matches!(byte, b'\n' | b'\r') => At::Start,
            _ => At::Plain,
        };
        self.line += u64::from(byte == b'\n');
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.at == At::Quoted {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Unclosed { line: self.opened }));
        }
        buffer[..count].iter().for_each(|byte| self.pass(*byte));
        Ok(count)
    }
}
