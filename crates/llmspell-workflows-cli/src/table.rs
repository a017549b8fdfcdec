//! Tables of aligned columns.

use unicode_width::UnicodeWidthStr;

use crate::escape::escape_line;

/// Renders `rows` as lines; each column is as wide as its widest cell.
pub(crate) fn table<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> String {
    let shown = |row: [String; N]| row.map(|cell| escape_line(&cell).into_owned());
    let rows: Vec<[String; N]> = rows.into_iter().map(shown).collect();
    let widths: [usize; N] = std::array::from_fn(|at| rows.iter().map(|row| row[at].width()).max().unwrap_or_default());
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_display_width() {
        let rows = [["a", "日本", "x"], ["bcd", "e", "yz"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(rows), "a    日本  x\nbcd  e     yz\n");
        let hostile = [["a\u{1b}", "x"], ["b\n", "y"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(hostile), "a\\u001b  x\nb\\u000a  y\n");
    }
}
