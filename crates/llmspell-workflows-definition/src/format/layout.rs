//! Re-indents a definition: two spaces for each level of nesting.

use super::{
    block::Header,
    levels::{Level, LevelKind, Levels},
    outline::Outline,
};

/// The characters that separate tokens; other white space, such as a no-break space, is text.
const SPACES: [char; 2] = [' ', '\t'];

/// Returns `text` with two spaces of indentation for each level.
pub(super) fn layout(text: &str, outline: &Outline) -> String {
    let mut layout = Layout {
        text,
        outline,
        levels: Levels::default(),
        held: Vec::new(),
        out: String::new(),
        shift: Shift::default(),
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let (mut number, mut start) = (0, 0);
    let mut ends_in_block = false;
    while let Some(line) = lines.get(number) {
        let end = start + line.len();
        let block = layout.line(line, start).map(|header| (header, layout.levels.last()));
        number += 1;
        start = end + 1;
        let Some((header, level)) = block else {
            ends_in_block &= line.is_empty();
            continue;
        };
        // A final line break ends the last line and does not start a new line.
        let has_end = text.ends_with('\n');
        let rest = &lines[number..lines.len() - usize::from(has_end)];
        let content = header.content(rest, level);
        ends_in_block = true;
        for (line, new) in lines[number..].iter().zip(&content) {
            layout.out.push_str(new);
            layout.out.push('\n');
            start += line.len() + 1;
        }
        number += content.len();
    }
    layout.finish(ends_in_block && !text.ends_with('\n'))
}

/// A blank line or a comment whose column depends on the next line.
enum Held<'t> {
    Blank,
    Comment(usize, &'t str),
}

struct Layout<'t> {
    text: &'t str,
    outline: &'t Outline,
    levels: Levels,
    held: Vec<Held<'t>>,
    out: String,
    shift: Shift,
}

impl<'t> Layout<'t> {
    /// Writes or holds a line, and returns the header of a block scalar that begins in the line.
    fn line(&mut self, line: &'t str, start: usize) -> Option<Header> {
        let content = line.trim_start_matches(' ');
        let column = line.len() - content.len();
        if self.outline.wide_around(start).is_some() {
            self.inner_line(line, start);
            return None;
        }
        let trimmed = content.trim_matches(SPACES);
        if trimmed.is_empty() {
            self.held.push(Held::Blank);
            return None;
        }
        if trimmed.starts_with('#') {
            let column = line.len() - line.trim_start_matches(SPACES).len();
            self.held.push(Held::Comment(column, trimmed));
            return None;
        }
        if is_marker(line) {
            let levels = std::mem::take(&mut self.levels);
            self.flush(&levels, 0, 0);
            self.out.push_str(line.trim_end_matches(SPACES));
            self.out.push('\n');
            return self.header(start, line);
        }
        self.entry(line, column, start);
        self.header(start, line)
    }

    /// Writes a line inside a token that began in an earlier line.
    fn inner_line(&mut self, line: &str, start: usize) {
        let content = line.trim_start_matches(SPACES);
        let column = line.len() - content.len();
        let end = start + line.len();
        let content = if self.outline.is_in_string(end) { content } else { content.trim_end_matches(SPACES) };
        if !content.is_empty() {
            let new = self.shift.column(column);
            self.out.extend(std::iter::repeat_n(' ', new));
            self.out.push_str(content);
        }
        self.out.push('\n');
    }

    /// Writes a line that begins an entry of a collection, or a value.
    fn entry(&mut self, line: &str, column: usize, start: usize) {
        let before = self.levels.clone();
        let mut entry = String::new();
        let mut at = column;
        let mut first = None;
        let mut is_alone = false;
        while let Some(kind) = indicator(&line[at..]) {
            let new = first.map(|first: usize| first + entry.len());
            let new = self.levels.enter(kind, at, new);
            first.get_or_insert(new);
            entry.push_str(&line[at..=at]);
            at += 1;
            let gap = line[at..].len() - line[at..].trim_start_matches(SPACES).len();
            at += gap;
            let is_comment = line[at..].starts_with('#');
            entry.push_str(if is_comment { &line[at - gap..at] } else { " " });
        }
        let rest = &line[at..];
        if !rest.is_empty() && !rest.starts_with('#') {
            let new = first.map(|first| first + entry.len());
            let key = start + at + properties(rest);
            if let Some(written) = self.key(key, rest, start + at) {
                first.get_or_insert(self.levels.enter(LevelKind::Map, at, new));
                entry.push_str(&written);
            } else {
                if first.is_none() {
                    self.levels.close_for_value(at);
                    is_alone = true;
                }
                first.get_or_insert(self.levels.inner());
                entry.push_str(rest);
            }
        } else {
            entry.push_str(rest);
        }
        let first = first.unwrap_or_default();
        self.flush(&before, column, first);
        self.out.extend(std::iter::repeat_n(' ', first));
        let is_in_string = self.outline.is_in_string(start + line.len());
        self.out.push_str(if is_in_string { &entry } else { entry.trim_end_matches(SPACES) });
        self.out.push('\n');
        self.shift = Shift::new(self.levels.last(), is_alone.then_some((column, first)));
    }

    /// Returns the block mapping key at the offset `key`, if any, with the rest of its line.
    fn key(&self, key: usize, rest: &str, start: usize) -> Option<String> {
        let (span, value) = self.outline.keys.get(&key)?;
        let (key_end, end) = (span.end as usize, start + rest.len());
        let between = self.text.get(key_end..*value).unwrap_or_default();
        let gap = between.trim_start_matches(SPACES).strip_prefix(':');
        if *value <= end && gap.is_some_and(|gap| !gap.is_empty() && gap.trim_matches(SPACES).is_empty()) {
            return Some(format!("{}: {}", &self.text[start..key_end], &self.text[*value..end]));
        }
        Some(rest.to_owned())
    }

    fn header(&self, start: usize, line: &str) -> Option<Header> {
        let headers = &self.outline.headers;
        let offset = *headers.get(headers.partition_point(|header| *header < start))?;
        (offset < start + line.len()).then(|| Header::read(&self.text[offset..]))
    }

    /// Writes the blank lines and comments before a line that moves from the column `next` to `next_new`.
    fn flush(&mut self, levels: &Levels, next: usize, next_new: usize) {
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Blank if self.out.is_empty() || self.out.ends_with("\n\n") => {}
                Held::Blank => self.out.push('\n'),
                Held::Comment(column, comment) => {
                    self.out.extend(std::iter::repeat_n(' ', levels.comment(column, next, next_new)));
                    self.out.push_str(comment);
                    self.out.push('\n');
                }
            }
        }
    }

    fn finish(mut self, without_end: bool) -> String {
        while matches!(self.held.last(), Some(Held::Blank)) {
            self.held.pop();
        }
        let levels = self.levels.clone();
        self.flush(&levels, 0, 0);
        if without_end && self.out.ends_with('\n') {
            self.out.pop();
        }
        self.out
    }
}

/// How to move the lines of a token that began in an earlier line.
#[derive(Debug, Clone, Copy, Default)]
struct Shift {
    level: Option<Level>,
    /// The old and new column of the token, if the token begins its line.
    own: Option<(usize, usize)>,
}

impl Shift {
    fn new(level: Option<Level>, own: Option<(usize, usize)>) -> Self {
        Self { level, own }
    }

    /// Returns the new column of a line at the column `old`, to the right of the outer collection.
    fn column(self, old: usize) -> usize {
        let by = |from: usize, to: usize| (old + to).saturating_sub(from);
        match (self.own, self.level) {
            (Some((from, to)), Some(level)) if old > level.old => by(from, to).max(level.new + 1),
            (Some((from, to)), None) => by(from, to),
            (_, Some(level)) => by(level.old, level.new),
            (None, None) => old,
        }
    }
}

/// Returns the kind of collection whose indicator begins `text`.
fn indicator(text: &str) -> Option<LevelKind> {
    let kind = match text.as_bytes().first()? {
        b'-' => LevelKind::Seq,
        b'?' | b':' => LevelKind::Map,
        _ => return None,
    };
    (text.len() == 1 || text[1..].starts_with(SPACES)).then_some(kind)
}

/// Returns the length of the anchor and the tag at the start of `text`.
fn properties(text: &str) -> usize {
    let mut rest = text;
    while rest.starts_with(['&', '!']) {
        let end = rest.find(SPACES).unwrap_or(rest.len());
        rest = rest[end..].trim_start_matches(SPACES);
    }
    text.len() - rest.len()
}

/// Returns whether `line` is a directive, or begins or ends a document.
fn is_marker(line: &str) -> bool {
    let is_document = ["---", "..."]
        .iter()
        .any(|sign| line.strip_prefix(sign).is_some_and(|rest| rest.is_empty() || rest.starts_with(SPACES)));
    is_document || line.starts_with('%')
}
