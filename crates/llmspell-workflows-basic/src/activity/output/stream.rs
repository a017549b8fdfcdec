//! Splits the bytes of one stream into lines and masks secrets.

use super::{OUTPUT_LINE_BYTES_MAX, OutputLine, OutputStream};
use crate::secrets::Masker;

/// The size in bytes above which an unfinished line is previewed again only
/// after its length has doubled.
const LONG_BYTES: usize = 4 * OUTPUT_LINE_BYTES_MAX;

/// One stream of an attempt.
pub(super) struct StreamLines {
    masker: Masker,
    stream: OutputStream,
    /// The bytes not passed on yet: an unfinished line, or lines in which a secret may have begun.
    pending: Vec<u8>,
    /// The number of bytes of `pending` already searched for a line break.
    searched: usize,
    /// The number of bytes of `pending` at the last preview.
    previewed: usize,
}

impl StreamLines {
    pub(super) fn new(masker: Masker, stream: OutputStream) -> Self {
        Self { masker, stream, pending: Vec::new(), searched: 0, previewed: 0 }
    }

    /// Adds the next bytes and returns the lines that they complete.
    ///
    /// Lines that end with the beginning of a secret are held back, because the secret may continue
    /// on the next line.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Vec<OutputLine> {
        self.pending.extend_from_slice(bytes);
        let last = self.pending[self.searched..].iter().rposition(|byte| *byte == b'\n');
        let end = last.map(|last| self.searched + last + 1);
        self.searched = self.pending.len();
        let Some(end) = end else { return Vec::new() };
        let text = String::from_utf8_lossy(&self.pending[..end]);
        if self.masker.may_continue(&text) {
            return Vec::new();
        }
        let lines = self.lines(&text);
        self.forget(end);
        self.previewed = 0;
        lines
    }

    /// Returns the remaining lines of the stream, which has ended.
    pub(super) fn end(&mut self) -> Vec<OutputLine> {
        let rest = std::mem::take(&mut self.pending);
        (self.searched, self.previewed) = (0, 0);
        self.lines(&String::from_utf8_lossy(&rest))
    }

    /// Returns whether there is anything new to preview.
    pub(super) fn has_news(&self) -> bool {
        let is_long = self.pending.len() > LONG_BYTES;
        self.pending.len() > if is_long { 2 * self.previewed } else { self.previewed }
    }

    /// Returns the lines that have begun, leaving out any possible beginning of a secret.
    pub(super) fn preview(&mut self) -> Vec<OutputLine> {
        let text = String::from_utf8_lossy(&self.pending[..whole_characters(&self.pending)]);
        let settled = self.masker.settled(&text);
        let lines = self.lines(&text[..settled]);
        let replaced = match &text {
            std::borrow::Cow::Borrowed(text) => self.replaced(text),
            std::borrow::Cow::Owned(_) => 0,
        };
        self.forget(replaced);
        self.previewed = self.pending.len();
        lines
    }

    /// Returns how many bytes at the beginning of `text` were replaced by a later state of its only
    /// line.
    fn replaced(&self, text: &str) -> usize {
        let end = match text.trim_end_matches('\r').rfind('\r') {
            Some(at) if !text.contains('\n') => at + 1,
            _ => return 0,
        };
        if self.masker.settled(&text[..end]) == end { end } else { 0 }
    }

    fn forget(&mut self, bytes: usize) {
        self.pending.drain(..bytes);
        self.searched = self.pending.len();
    }

    fn lines(&self, text: &str) -> Vec<OutputLine> {
        let masked = self.masker.masked(text);
        let shown = masked.lines().map(|line| bounded(OutputLine::last_state(line)));
        shown.map(|text| OutputLine { stream: self.stream, text }).collect()
    }
}

/// Returns the number of bytes before an incomplete last character.
fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let is_cut = |at: &usize| {
        let length = match bytes[*at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return false,
        };
        bytes.len() - at < length && std::str::from_utf8(&bytes[*at..]).is_err_and(|error| error.error_len().is_none())
    };
    (from..bytes.len()).find(is_cut).unwrap_or(bytes.len())
}

/// Truncates a masked line that is too long, and notes how much is missing.
fn bounded(line: &str) -> String {
    if line.len() <= OUTPUT_LINE_BYTES_MAX {
        return line.to_owned();
    }
    let end = line.floor_char_boundary(OUTPUT_LINE_BYTES_MAX);
    format!("{} ({} more bytes of this line omitted)", &line[..end], line.len() - end)
}
