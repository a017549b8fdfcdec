//! Splits a string into plain text and expressions.

use std::fmt;
use std::ops::Range;

use super::error::ParseError;
use super::{expression::Expr, foreign};

/// An error found while parsing an expression of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The JSON pointer to the string that contains the expression; empty for the whole value.
    pub pointer: String,
    /// The byte offset of the expression in that string; the span of the error is relative to it.
    pub offset: usize,
    /// What is wrong.
    pub error: ParseError,
}

impl TemplateError {
    /// Returns the stable code, documented under `docs/errors`.
    pub fn code(&self) -> &'static str {
        self.error.code()
    }

    /// Returns the byte range of the error in the string.
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

/// All errors found in a template; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateErrors(pub Vec<TemplateError>);

impl TemplateErrors {
    /// Returns the stable code, documented under `docs/errors`.
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

/// A piece of a string.
#[derive(Debug)]
pub(super) enum Piece {
    Plain(String),
    /// An expression and its byte offset in the string.
    Expression(Expr, usize),
}

/// Splits a string; adds each error to `errors` with the byte offset of its expression.
pub(super) fn pieces(text: &str, errors: &mut Vec<(usize, ParseError)>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(opening) = Opening::after(text, at) {
        let before = &text[at..opening.start - opening.backslashes];
        plain.push_str(before);
        // Two backslashes represent one literal backslash; a remaining
        // backslash escapes the opening.
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

/// The start of an expression, which may be escaped.
struct Opening {
    start: usize,
    sign: &'static str,
    closing: &'static str,
    /// The number of backslashes directly before the opening.
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

    /// Parses the expression at `inside`; returns the expression, its offset and the offset after it.
    fn expression(&self, text: &str, inside: usize) -> Result<(Expr, usize, usize), (usize, ParseError, usize)> {
        let close = closing(text, inside, self.closing);
        // An unmatched quote makes the closing delimiter look like part of a string.
        let nearest = || text[inside..].find(self.closing).map(|length| inside + length);
        let Some(end) = close.or_else(nearest) else {
            let error = ParseError::new(format!("`{}` is not closed", self.sign), 0..self.sign.len())
                .help(format!("close it with {}, or write \\{} for the literal characters", self.closing, self.sign));
            return Err((self.start, error, text.len()));
        };
        let after = end + self.closing.len();
        if self.sign == "${" && text[inside..].starts_with('{') {
            let error = ParseError::new("`${{` does not start an expression", 0..3)
                .help("write ${ expression } or {{ expression }}");
            return Err((self.start, error, after));
        }
        let written = &text[inside..end];
        let source = written.trim();
        let offset = inside + (written.len() - written.trim_start().len());
        match Expr::parse(source) {
            Ok(expression) => Ok((expression, offset, after)),
            Err(_) if self.sign == "${" && foreign::is_shell(written) => {
                let whole = &text[self.start..after];
                let message = format!("`{whole}` is a shell expansion, but `${{` begins an expression");
                let default = "; in an expression, a default is written `{{ name ?? 'value' }}`";
                let default = if written.contains(":-") || written.contains('=') { default } else { "" };
                let error =
                    ParseError::new(message, 0..whole.len()).help(format!("write `\\{whole}` for the shell{default}"));
                Err((self.start, error, after))
            }
            Err(error) => Err((offset, error, after)),
        }
    }
}

/// Returns the end of the expression at `inside`; braces in its strings and objects are ignored.
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
