use std::fmt::Write;

use super::{Block, Entry, Order, describe::retry_words};
use crate::escape::escape_line;

/// How to draw the branches of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Branches {
    /// With ASCII characters only.
    Ascii,
    /// With box-drawing characters.
    Lines,
}

impl Branches {
    /// Returns the prefix of an entry and the prefix of the lines below it.
    fn before(self, is_last: bool) -> (&'static str, &'static str) {
        match (self, is_last) {
            (Self::Ascii, false) => ("|-- ", "|   "),
            (Self::Ascii, true) => ("`-- ", "    "),
            (Self::Lines, false) => ("├─ ", "│  "),
            (Self::Lines, true) => ("└─ ", "   "),
        }
    }

    fn arrow(self) -> &'static str {
        match self {
            Self::Ascii => "->",
            Self::Lines => "→",
        }
    }

    fn between(self) -> &'static str {
        match self {
            Self::Ascii => "; ",
            Self::Lines => " · ",
        }
    }
}

/// Renders the lists as a tree below `title`.
pub(crate) fn text(title: &str, blocks: &[Block], branches: Branches) -> String {
    let mut out = format!("{}\n", escape_line(title));
    let rows = rows(blocks, branches);
    write(&mut out, &rows, "", branches);
    out
}

struct Row {
    text: String,
    below: Vec<Row>,
}

fn write(out: &mut String, rows: &[Row], margin: &str, branches: Branches) {
    for (number, row) in rows.iter().enumerate() {
        let (here, below) = branches.before(number + 1 == rows.len());
        writeln!(out, "{margin}{here}{}", escape_line(&row.text)).expect("writing to a String cannot fail");
        write(out, &row.below, &format!("{margin}{below}"), branches);
    }
}

/// Returns the rows of blocks. Steps of a plain list are placed directly below their parent; other
/// blocks have a heading.
fn rows(blocks: &[Block], branches: Branches) -> Vec<Row> {
    let mut rows = Vec::new();
    for block in blocks {
        let steps = block.steps.iter().map(|step| entry(step, block.order, branches));
        if matches!(block.name.as_str(), "steps" | "branches") {
            rows.extend(steps);
        } else {
            rows.push(Row { text: heading(block), below: steps.collect() });
        }
    }
    rows
}

fn heading(block: &Block) -> String {
    let name = match block.name.as_str() {
        "$on_error" => "on error",
        "$finally" => "finally",
        "$undo" => "to undo it",
        name => name,
    };
    let when = block.when.as_ref().map(|when| format!(", if {}", line(when))).unwrap_or_default();
    format!("{name}{when}{}", holds(block.when_holds))
}

/// Describes the value of a condition, if it is known before the run.
pub(crate) fn holds(value: Option<bool>) -> &'static str {
    match value {
        None => "",
        Some(true) => " (true with this input)",
        Some(false) => " (false with this input)",
    }
}

fn entry(entry: &Entry, order: Order, branches: Branches) -> Row {
    let name = entry.name.as_ref().map(|name| format!(" ({})", line(name))).unwrap_or_default();
    let mut notes = vec![format!("{}{name}: {}", entry.id, line(&entry.what))];
    if order == Order::Graph {
        notes.extend(entry.level.map(|level| format!("level {level}")));
        notes.push(entry.runs.clone().unwrap_or_else(|| "starts at once".to_owned()));
    } else {
        notes.extend(entry.trigger_rule.map(|_| "runs even after a failure".to_owned()));
    }
    notes.extend(
        entry.condition.as_ref().map(|condition| format!("if {}{}", line(condition), holds(entry.condition_holds))),
    );
    notes.extend(entry.retry.as_ref().map(retry_words));
    notes.extend(entry.timeout.as_ref().map(|timeout| format!("timeout {timeout}")));
    notes.extend(entry.total_timeout.as_ref().map(|timeout| format!("total timeout {timeout}")));
    notes.extend(entry.at_most_once.then(|| "runs at most once".to_owned()));
    notes.extend((entry.on_error == Some("continue")).then(|| "continues after a failure".to_owned()));
    if !entry.limits.is_empty() {
        notes.push(format!("limit {}", entry.limits.join(", ")));
    }
    let mut below: Vec<Row> = ways(entry, order, branches);
    below.extend(rows(&entry.blocks, branches));
    Row { text: notes.join(branches.between()), below }
}

fn ways(entry: &Entry, order: Order, branches: Branches) -> Vec<Row> {
    if order != Order::Route {
        return Vec::new();
    }
    let arrow = branches.arrow();
    if entry.next.is_empty() {
        return vec![Row { text: format!("{arrow} end"), below: Vec::new() }];
    }
    let way = |way: &super::Way| {
        let condition = way.condition.as_ref().map(|condition| format!(" if {}", line(condition))).unwrap_or_default();
        Row { text: format!("{arrow} {}{condition}", way.target.as_deref().unwrap_or("end")), below: Vec::new() }
    };
    entry.next.iter().map(way).collect()
}

/// Joins the lines of `text` into a single line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
