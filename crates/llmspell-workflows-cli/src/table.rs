//! Tables of aligned columns.

use std::io::IsTerminal;

use console::Term;

use crate::{
    escape::escape_line,
    width::{cut, width},
};

/// The space between two columns.
const GAP: usize = 2;

/// The minimum width of the last column when it is cut; in narrower space, rows are folded.
const LAST_COLUMN_MIN: usize = 20;

/// The indentation of the continuation lines of a folded row.
const INDENT: &str = "  ";

/// Renders `rows` as lines for standard output; each column is as wide as its widest cell.
///
/// On a terminal, the last column of rows that are too wide is cut, or the rows are folded.
pub(crate) fn table<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> String {
    let columns = std::io::stdout().is_terminal().then(|| usize::from(Term::stdout().size().1));
    fitted(rows, columns)
}

/// Like [`table`], for a terminal with the given number of columns.
fn fitted<const N: usize>(rows: impl IntoIterator<Item = [String; N]>, columns: Option<usize>) -> String {
    let shown = |row: [String; N]| row.map(|cell| escape_line(&cell).into_owned());
    let rows: Vec<[String; N]> = rows.into_iter().map(shown).collect();
    let widths: [usize; N] = std::array::from_fn(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or_default());
    let lines = layout(&widths, columns.unwrap_or(usize::MAX));
    let mut text = String::new();
    for row in &rows {
        let mut rest = &row[..];
        for (number, widths) in lines.iter().enumerate() {
            let (cells, after) = rest.split_at(widths.len());
            rest = after;
            if number > 0 && cells.iter().all(String::is_empty) {
                continue;
            }
            let indent = if number > 0 { INDENT } else { "" };
            text += format!("{indent}{}", line(cells, widths)).trim_end();
            text.push('\n');
        }
    }
    text
}

/// Distributes columns with the given widths over the lines of a row, and returns the resulting
/// widths.
fn layout(widths: &[usize], columns: usize) -> Vec<Vec<usize>> {
    let (mut lines, mut rest, mut room) = (Vec::new(), widths, columns);
    while let Some((last, others)) = rest.split_last() {
        let before: usize = others.iter().map(|width| width + GAP).sum();
        // On a continuation line, the last column is given its full width, because more room is
        // available.
        let needed = if lines.is_empty() { (*last).min(LAST_COLUMN_MIN) } else { *last };
        let fits_cut = before.saturating_add(needed) <= room;
        if fits_cut || others.is_empty() {
            lines.push([others, &[(*last).min(room.saturating_sub(before))]].concat());
            break;
        }
        let mut taken = 0;
        let fitting = others.iter().take_while(|width| {
            taken += **width;
            let fits = taken <= room;
            taken += GAP;
            fits
        });
        // A column that is wider than the terminal is cut.
        let count = fitting.count().clamp(1, others.len());
        lines.push(rest[..count].iter().map(|width| (*width).min(room)).collect());
        rest = &rest[count..];
        room = columns.saturating_sub(INDENT.len());
    }
    lines
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).map(|(cell, room)| {
        let cell = cut(cell, *room);
        let padding = room.saturating_sub(width(&cell));
        format!("{cell}{}", " ".repeat(padding))
    });
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_display_width() {
        let rows = [["a", "日本", "x"], ["bcd", "e", "yz"]].map(|row| row.map(str::to_owned));
        assert_eq!(fitted(rows, None), "a    日本  x\nbcd  e     yz\n");
        let hostile = [["a\u{1b}", "x"], ["b\n", "y"]].map(|row| row.map(str::to_owned));
        assert_eq!(fitted(hostile, None), "a\\u001b  x\nb\\u000a  y\n");
    }

    #[test]
    fn too_wide_rows_are_cut_or_folded() {
        let rows = || [["first", "second", "a note that is long"], ["1", "2", ""]].map(|row| row.map(str::to_owned));
        let long = "x".repeat(50);
        let noted = || [["first", "second", &*long]].map(|row| row.map(str::to_owned));
        for (columns, expected) in [
            (80, format!("first  second  {long}\n")),
            (40, format!("first  second  {}…\n", "x".repeat(24))),
            (30, format!("first  second\n  {}…\n", "x".repeat(27))),
            (10, format!("first\n  second\n  {}…\n", "x".repeat(7))),
        ] {
            assert_eq!(fitted(noted(), Some(columns)), expected, "{columns} columns");
        }
        assert_eq!(fitted(rows(), Some(24)), "first  second\n  a note that is long\n1      2\n");
        for columns in 1..60 {
            let text = fitted(rows(), Some(columns));
            assert!(text.lines().all(|line| width(line) <= columns.max(3)), "{columns} columns:\n{text}");
        }
    }
}
