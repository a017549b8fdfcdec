use std::sync::Arc;

/// A named source text with its line starts.
#[derive(Debug, Clone)]
pub(crate) struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Box<str>,
    text: Box<str>,
    line_starts: Vec<u32>,
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineColumn {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at as u32 + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        Self(Arc::new(Inner { name: name.into(), text: text.into(), line_starts }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// Converts a byte offset to a line and column; an offset past the end is treated as the end.
    pub(crate) fn locate(&self, offset: u32) -> LineColumn {
        let line = self.0.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.0.line_starts[line - 1] as usize;
        let end = (offset as usize).min(self.0.text.len());
        let before = self.0.text.as_bytes().get(start..end).unwrap_or_default();
        // Counts bytes that start a character, so an offset inside a character counts that character.
        let column = 1 + before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        LineColumn { line, column }
    }

    /// Returns a line, counted from 1, without its line break.
    pub(crate) fn line(&self, line: usize) -> &str {
        let Some(start) = line.checked_sub(1).and_then(|index| self.0.line_starts.get(index)) else { return "" };
        let rest = self.0.text.get(*start as usize..).unwrap_or_default();
        rest.split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source::new("x", "ab\nöß c\r\n");
        for (offset, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (5, 2, 2), (7, 2, 3), (99, 3, 1)] {
            assert_eq!(source.locate(offset), LineColumn { line, column }, "{offset}");
        }
        assert_eq!(source.line(2), "öß c");
        assert_eq!(source.line(9), "");
    }
}
