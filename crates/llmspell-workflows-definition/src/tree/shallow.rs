//! A shallow scan of YAML for quoted strings and brackets, which also works on invalid text.

/// A quoted string in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quoted {
    /// The offset of the opening quote.
    pub(super) start: usize,
    /// The offset after the closing quote; `None` if the string is not closed.
    pub(super) end: Option<usize>,
    pub(super) quote: char,
    /// Whether the string is inside brackets.
    pub(super) in_brackets: bool,
}

/// The quoted strings before an offset, and the brackets open at that offset.
#[derive(Debug, Default)]
pub(super) struct Shallow {
    pub(super) quoted: Vec<Quoted>,
    /// The offsets of the open brackets, outermost first.
    pub(super) brackets: Vec<usize>,
    /// The offset of the first unquoted string that is inside brackets but contains an opening
    /// bracket, and the offset of that bracket. YAML does not allow such a string.
    pub(super) stray: Option<(usize, usize)>,
}

/// Scans `text` up to `until`; a quoted string that begins before `until` is scanned to its end.
pub(super) fn scan(text: &str, until: usize) -> Shallow {
    let mut scan = Scan { text, at: 0, found: Shallow::default(), may_start: true, plain: None };
    while scan.at < until.min(text.len()) {
        scan.step();
    }
    scan.found
}

/// Returns the line that contains `offset`, without its line break, and the offset of its start.
pub(super) fn line_at(text: &str, offset: usize) -> (usize, &str) {
    let offset = offset.min(text.len());
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].split('\n').next().unwrap_or_default();
    (start, line.trim_end_matches('\r'))
}

/// Returns the number of spaces at the start of `line`.
pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    found: Shallow,
    /// Whether a value can start here: after an indicator, or at the start of a line.
    may_start: bool,
    /// The offset of the current unquoted string.
    plain: Option<usize>,
}

impl Scan<'_> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else { return };
        let in_brackets = !self.found.brackets.is_empty();
        if self.may_start {
            self.plain = None;
        }
        let is_separated = rest[first.len_utf8()..].starts_with([' ', '\t', '\n', '\r']) || rest.len() == 1;
        match first {
            '\n' => self.may_start = true,
            c if c.is_whitespace() => {}
            '#' if self.at == 0 || self.text[..self.at].ends_with(char::is_whitespace) => return self.skip_line(),
            '"' | '\'' if self.may_start => return self.quoted(first),
            '|' | '>' if self.may_start && !in_brackets => return self.block(),
            '[' | '{' if self.may_start => self.found.brackets.push(self.at),
            '[' | '{' if in_brackets && self.plain.is_some() => {
                self.found.stray = self.found.stray.or(self.plain.map(|start| (start, self.at)));
            }
            ']' | '}' if in_brackets => {
                self.found.brackets.pop();
                self.plain = None;
                self.may_start = false;
            }
            ',' if in_brackets => self.may_start = true,
            '-' | '?' if self.may_start && is_separated => {}
            ':' if is_separated || self.text[..self.at].ends_with(['"', '\'']) => self.may_start = true,
            '&' | '!' if self.may_start => {
                // A value can follow an anchor or a tag.
                self.at += rest.find(char::is_whitespace).unwrap_or(rest.len());
                return;
            }
            _ => {
                if self.may_start {
                    self.plain = Some(self.at);
                }
                self.may_start = false;
            }
        }
        self.at += first.len_utf8();
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn quoted(&mut self, quote: char) {
        let end = end_of_quoted(&self.text[self.at..], quote).map(|length| self.at + length);
        let in_brackets = !self.found.brackets.is_empty();
        self.found.quoted.push(Quoted { start: self.at, end, quote, in_brackets });
        self.at = end.unwrap_or(self.text.len());
        self.may_start = false;
    }

    /// Skips a block scalar: the rest of its line, and the lines that are indented more than its key or dash.
    fn block(&mut self) {
        let (start, line) = line_at(self.text, self.at);
        let before = &line[..self.at - start];
        let key = before.trim_start_matches([' ', '-', '?']);
        let column = before.len() - key.len();
        let parent = if key.is_empty() { before.rfind(['-', '?']).unwrap_or(0) } else { column };
        self.skip_line();
        while let Some(next) = self.text.get(self.at + 1..).filter(|next| !next.is_empty()) {
            let line = next.split('\n').next().unwrap_or_default();
            if !line.trim().is_empty() && indent(line) <= parent {
                break;
            }
            self.at += 1 + line.len();
        }
    }
}

/// Returns the length of the quoted string at the start of `text`, including its quotes.
pub(super) fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            ('"', b'\\') => at += 1,
            ('\'', b'\'') if bytes.get(at + 1) == Some(&b'\'') => at += 1,
            _ if byte == quote as u8 => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_are_found_outside_comments_and_blocks() {
        for (text, expected) in [
            ("a: \"b\" # \"c\"", vec!["\"b\""]),
            ("a: it's\nb: 'it''s'", vec!["'it''s'"]),
            ("a: |\n  \"b\n  'c\nd: \"e\\\"\"", vec!["\"e\\\"\""]),
            ("- a: |\n    \"b\n  c: 'd'", vec!["'d'"]),
            ("- |\n  'b\n- 'c'", vec!["'c'"]),
            ("{\"a\":\"b\", c: ['d']}", vec!["\"a\"", "\"b\"", "'d'"]),
            ("a: &x !!str 'b'", vec!["'b'"]),
            ("a: \"b", vec!["\"b"]),
        ] {
            let found = scan(text, text.len()).quoted;
            let texts: Vec<_> = found.iter().map(|one| &text[one.start..one.end.unwrap_or(text.len())]).collect();
            assert_eq!(texts, expected, "{text}");
        }
    }

    #[test]
    fn brackets_in_unquoted_strings_are_found_inside_brackets() {
        for (text, expected) in [
            ("{a: echo \"${A}\" b}", Some((4, 11))),
            ("{a: [b, c[0]]}", Some((8, 9))),
            ("- {a: steps['b'], c: d}", Some((6, 11))),
            ("a: echo ${A} b[0]", None),
            ("{a: 'b[0]', c: \"${A}\", d: {e: [f]}} # g[0]", None),
            ("{a: {{ b }}, \"c\": [d]}", None),
        ] {
            assert_eq!(scan(text, text.len()).stray, expected, "{text}");
        }
    }

    #[test]
    fn open_brackets_are_found() {
        for (text, expected) in
            [("a: [b, {c: d}, ", vec![3]), ("a: [b]\nc: {d: [", vec![10, 14]), ("a: b[0]\nc: '['", vec![])]
        {
            assert_eq!(scan(text, text.len()).brackets, expected, "{text}");
        }
    }
}
