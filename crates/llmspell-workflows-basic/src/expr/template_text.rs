//! A text with expressions in it, taken apart.

use std::fmt;
use std::ops::Range;

use super::error::ParseError;
use super::expression::Expr;

/// An expression of a template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// JSON pointer to the text that holds the expression; empty for the whole value.
    pub pointer: String,
    /// Where the expression starts, in bytes of that text; the span of the error counts from here.
    pub offset: usize,
    /// What is wrong.
    pub error: ParseError,
}

impl TemplateError {
    /// The stable code, which has a page.
    pub fn code(&self) -> &'static str {
        self.error.code()
    }

    /// Where the error is, in bytes of the text.
    pub fn span(&self) -> Range<usize> {
        self.offset + self.error.span.start..self.offset + self.error.span.end
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.error, self.span().start)?;
        match self.pointer.as_str() {
            "" => Ok(()),
            pointer => write!(f, " of {pointer}"),
        }
    }
}

impl std::error::Error for TemplateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Everything that is wrong with a template; at least one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateErrors(pub Vec<TemplateError>);

impl TemplateErrors {
    /// The stable code, which has a page.
    pub fn code(&self) -> &'static str {
        "expression_syntax"
    }
}

impl fmt::Display for TemplateErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for TemplateErrors {}

/// A part of a text.
#[derive(Debug)]
pub(super) enum Piece {
    Plain(String),
    /// An expression, and where it starts in the text.
    Expression(Expr, usize),
}

/// Takes a text apart; what is wrong goes to `errors`, each with where its expression starts.
pub(super) fn pieces(text: &str, errors: &mut Vec<(usize, ParseError)>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(opening) = Opening::after(text, at) {
        let before = &text[at..opening.start - opening.backslashes];
        plain.push_str(before);
        // Two backslashes mean one; a single one left over means the characters themselves.
        plain.push_str(&"\\".repeat(opening.backslashes / 2));
        let inside = opening.start + opening.sign.len();
        if opening.backslashes % 2 == 1 {
            plain.push_str(opening.sign);
            at = inside;
            continue;
        }
        match opening.expression(text, inside) {
            Ok((expression, offset, end)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Expression(expression, offset));
                at = end;
            }
            Err((offset, error, end)) => {
                errors.push((offset, error));
                at = end;
            }
        }
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
    pieces
}

/// Where an expression starts, unless it is escaped.
struct Opening {
    start: usize,
    sign: &'static str,
    closing: &'static str,
    /// How many stand right before it.
    backslashes: usize,
}

impl Opening {
    fn after(text: &str, from: usize) -> Option<Self> {
        let rest = &text.as_bytes()[from..];
        let offset = rest.windows(2).position(|pair| matches!(pair, b"{{" | b"${"))?;
        let (sign, closing) = match rest[offset] {
            b'$' => ("${", "}"),
            _ => ("{{", "}}"),
        };
        let backslashes = rest[..offset].iter().rev().take_while(|byte| **byte == b'\\').count();
        Some(Self { start: from + offset, sign, closing, backslashes })
    }

    /// Reads the expression that starts at `inside`, and says where the text goes on.
    fn expression(&self, text: &str, inside: usize) -> Result<(Expr, usize, usize), (usize, ParseError, usize)> {
        let close = closing(text, inside, self.closing);
        // With a quote too many, the end of the expression seems to be within a text.
        let nearest = || text[inside..].find(self.closing).map(|length| inside + length);
        let Some(end) = close.or_else(nearest) else {
            let error = ParseError::new(format!("`{}` has no end", self.sign), 0..self.sign.len())
                .help(format!("end it with {}, or write \\{} for the characters themselves", self.closing, self.sign));
            return Err((self.start, error, text.len()));
        };
        let after = end + self.closing.len();
        if self.sign == "${" && text[inside..].starts_with('{') {
            let error =
                ParseError::new("`${{` starts no expression", 0..3).help("write ${ expression } or {{ expression }}");
            return Err((self.start, error, after));
        }
        let written = &text[inside..end];
        let source = written.trim();
        let offset = inside + (written.len() - written.trim_start().len());
        match Expr::parse(source) {
            Ok(expression) => Ok((expression, offset, after)),
            Err(error) => Err((offset, error, after)),
        }
    }
}

/// Where the expression that starts at `inside` ends: braces in its texts and objects do not count.
fn closing(text: &str, inside: usize, closing: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut quote = None;
    let mut at = inside;
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes[at..].starts_with(closing.as_bytes()) => return Some(at),
            (None, _) => {}
        }
        at += 1;
    }
    None
}
