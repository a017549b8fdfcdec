//! Moves the lines of block scalars.

use super::levels::{INDENT, Level};

/// The header of a block scalar, such as `|2-`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// The explicit indentation, relative to the collection that contains the scalar.
    indent: Option<usize>,
    /// Whether the scalar keeps all trailing line breaks.
    keeps: bool,
}

impl Header {
    /// Reads the header at the start of `text`.
    pub(super) fn read(text: &str) -> Self {
        let signs = text[1..].split([' ', '\t', '\n']).next().unwrap_or_default();
        let indent = signs.chars().find_map(|c| c.to_digit(10)).map(|digit| digit as usize);
        Self { indent, keeps: signs.contains('+') }
    }

    /// Returns the lines of the scalar at the start of `lines`, with their new indentation.
    pub(super) fn content(self, lines: &[&str], level: Option<Level>) -> Vec<String> {
        let outer = level.map_or(-1, |level| level.old as isize);
        let new_outer = level.map_or(0, |level| level.new);
        let written = lines.iter().find(|line| !is_blank(line)).map_or(0, |line| spaces(line));
        let (old, new) = match self.indent {
            Some(indent) => (level.map_or(0, |level| level.old) + indent, new_outer + indent),
            None => (written, level.map_or(0, |level| level.new + INDENT)),
        };
        if written as isize <= outer || written < old && self.indent.is_some() {
            // The scalar has no text, so it can contain only blank lines.
            let count = lines.iter().take_while(|line| is_blank(line)).count();
            return vec![String::new(); if self.keeps { count } else { 0 }];
        }
        let mut count = lines.iter().take_while(|line| is_blank(line) || spaces(line) >= old).count();
        if !self.keeps {
            // Spaces beyond the indentation are text.
            while count > 0 && is_blank(lines[count - 1]) && lines[count - 1].len() <= old {
                count -= 1;
            }
        }
        let moved = |line: &&str| match line.get(old..) {
            Some(text) if !text.is_empty() => " ".repeat(new) + text,
            _ => String::new(),
        };
        lines[..count].iter().map(moved).collect()
    }
}

fn spaces(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_blank(line: &str) -> bool {
    line.trim_matches(' ').is_empty()
}
