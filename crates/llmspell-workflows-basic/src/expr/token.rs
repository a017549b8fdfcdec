//! Splits an expression into tokens.

use serde_json::Number;

use super::error::ParseError;
use super::foreign;
use super::tree::Span;
use crate::json::{TooLarge, parse_number};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Number(Number),
    Text(String),
    Name,
    Sign(&'static str),
    End,
}

/// Operators and punctuation, longest first, so that the first match is the longest.
const SIGNS: &[&str] = &[
    "===", "!==", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "<", ">", "!", "?", ":", ".", "[", "]", "(", ")",
    "{", "}", ",", "+", "-", "*", "/", "%", "|",
];

/// Splits a source into tokens; the last one is [`Kind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, ParseError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, end) = token(source, at, first)?;
        tokens.push(Token { kind, span: at..end });
        at = end;
    }
    tokens.push(Token { kind: Kind::End, span: at..at });
    Ok(tokens)
}

fn token(source: &str, start: usize, first: char) -> Result<(Kind, usize), ParseError> {
    if first.is_ascii_digit() {
        return number(source, start);
    }
    if first == '\'' || first == '"' {
        return text(source, start, first);
    }
    if is_name_start(first) {
        return Ok((Kind::Name, name_end(source, start)));
    }
    let rest = &source[start..];
    if let Some(error) = foreign::sign(rest, start) {
        return Err(error);
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Kind::Sign(sign), start + sign.len()));
    }
    Err(ParseError::new(format!("unexpected character `{}`", first.escape_debug()), start..start + first.len_utf8()))
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn name_end(source: &str, start: usize) -> usize {
    source[start..].find(|c| !is_name_part(c)).map_or(source.len(), |length| start + length)
}

fn number(source: &str, start: usize) -> Result<(Kind, usize), ParseError> {
    let bytes = source.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(start);
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    let after = name_end(source, end);
    if after > end {
        return Err(ParseError::new(
            format!("`{}` is neither a number nor a name", &source[start..after]),
            start..after,
        )
        .help("numbers are written like 12, 0.5 or 1e3; names start with a letter"));
    }
    let written = &source[start..end];
    match parse_number(written) {
        Some(Ok(number)) => Ok((Kind::Number(number), end)),
        _ if written.len() > 1 && bytes[start] == b'0' && bytes[start + 1].is_ascii_digit() => {
            Err(ParseError::new(format!("`{written}` starts with a zero"), start..end)
                .help("write the number without leading zeros, or in quotes"))
        }
        _ => Err(TooLarge.at(written, start..end)),
    }
}

impl TooLarge {
    /// Creates the error for a number in the expression.
    pub(super) fn at(self, number: &str, span: Span) -> ParseError {
        ParseError::new(self.message(number), span).help("write it in quotes if it is a string")
    }
}

fn text(source: &str, start: usize, quote: char) -> Result<(Kind, usize), ParseError> {
    let mut value = String::new();
    let mut at = start + 1;
    loop {
        let rest = &source[at..];
        let Some(plain) = rest.find([quote, '\\']) else {
            return Err(
                ParseError::new("unterminated string", start..source.len()).help(format!("end it with {quote}"))
            );
        };
        value.push_str(&rest[..plain]);
        at += plain;
        if source[at..].starts_with(quote) {
            return Ok((Kind::Text(value), at + 1));
        }
        let (character, end) = escape(source, at)?;
        value.push(character);
        at = end;
    }
}

/// Parses the escape that starts with the backslash at `start`.
fn escape(source: &str, start: usize) -> Result<(char, usize), ParseError> {
    let Some(letter) = source[start + 1..].chars().next() else {
        return Err(ParseError::new("unterminated string", start..source.len()));
    };
    let end = start + 1 + letter.len_utf8();
    let character = match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '0' => '\0',
        '\\' | '\'' | '"' | '/' => letter,
        'x' => return hexadecimal(source, start, end, 2),
        'u' => return unicode(source, start, end),
        _ => {
            return Err(
                ParseError::new(format!("`\\{letter}` is not an escape"), start..end).help(r"write \\ for a backslash")
            );
        }
    };
    Ok((character, end))
}

fn unicode(source: &str, start: usize, digits: usize) -> Result<(char, usize), ParseError> {
    if let Some(braced) = source[digits..].strip_prefix('{') {
        let length = braced.find('}').unwrap_or(0);
        return hexadecimal(source, start, digits + 1, length).map(|(c, end)| (c, end + 1));
    }
    let (high, end) = code(source, start, digits, 4)?;
    if !(0xd800..0xdc00).contains(&high) || !source[end..].starts_with("\\u") {
        return character(high, start, end);
    }
    let (low, end) = code(source, start, end + 2, 4)?;
    if !(0xdc00..0xe000).contains(&low) {
        return Err(bad_code(start, end));
    }
    let combined = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    character(combined, start, end)
}

fn hexadecimal(source: &str, start: usize, digits: usize, length: usize) -> Result<(char, usize), ParseError> {
    let (code, end) = code(source, start, digits, length)?;
    character(code, start, end)
}

fn code(source: &str, start: usize, digits: usize, length: usize) -> Result<(u32, usize), ParseError> {
    let end = digits + length;
    source
        .get(digits..end)
        .filter(|written| (1..=6).contains(&written.len()))
        .filter(|written| written.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|written| u32::from_str_radix(written, 16).ok())
        .map(|code| (code, end))
        .ok_or_else(|| bad_code(start, digits))
}

fn character(code: u32, start: usize, end: usize) -> Result<(char, usize), ParseError> {
    char::from_u32(code).map(|character| (character, end)).ok_or_else(|| bad_code(start, end))
}

fn bad_code(start: usize, end: usize) -> ParseError {
    ParseError::new("this escape is not a valid character", start..end)
        .help(r"write it as \n, \x41, \u0041 or \u{1f600}")
}
