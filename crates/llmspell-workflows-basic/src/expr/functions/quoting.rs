//! Functions that make a value safe to insert into text that a program interprets.

use std::fmt::Write as _;

use serde_json::Value;

use super::write::plain_text;
use super::{Arguments, Function, FunctionKind};
use crate::expr::error::Fault;
use crate::expr::limits::Budget;
use crate::expr::value::{ExprValue, type_with_article};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        names: &["shell_quote"],
        parameters: &["value"],
        returns: "the value as a quoted word for a POSIX shell; for a list, its elements as words",
        example: (r#"["it's", 'a b'] | shell_quote"#, r#""'it'\\''s' 'a b'""#),
        kind: FunctionKind::Call(shell_quote),
    },
    Function {
        names: &["url_encode", "encodeURIComponent"],
        parameters: &["value"],
        returns: "the value as a URL component: everything but letters, digits, `-`, `.`, `_` and `~` is \
                  percent-encoded; the strings `.` and `..` are encoded too",
        example: ("'a b&c/ü' | url_encode", r#""a%20b%26c%2F%C3%BC""#),
        kind: FunctionKind::Call(url_encode),
    },
];

fn shell_quote<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let mut line = String::new();
    match a.value(0) {
        Value::Array(items) => {
            budget.items(items.len())?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    line.push(' ');
                }
                quote(&mut line, item, budget)?;
            }
        }
        value => quote(&mut line, value, budget)?,
    }
    Ok(line.into())
}

/// In a shell, single quotes make everything literal except a single quote.
fn quote(line: &mut String, value: &Value, budget: &mut Budget) -> Result<(), Fault> {
    if value.is_array() {
        return Err(Fault::Type("`shell_quote` cannot quote a list within a list".to_owned()));
    }
    let word = plain_text(value, budget)?;
    if word.contains('\0') {
        return Err(Fault::Type("`shell_quote` cannot quote a string with a NUL character".to_owned()));
    }
    budget.produce(3 + word.len() + 3 * word.matches('\'').count())?;
    line.push('\'');
    line.push_str(&word.replace('\'', r"'\''"));
    line.push('\'');
    Ok(())
}

fn url_encode<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let value = a.value(0);
    if value.is_array() || value.is_object() {
        let found = type_with_article(value);
        let message = format!("`url_encode` expects a string, got {found}; for JSON, write `| json | url_encode`");
        return Err(Fault::Type(message));
    }
    let text = plain_text(value, budget)?;
    budget.produce(text.len().saturating_mul(3))?;
    Ok(url_encoded(&text).into())
}

/// Percent-encodes a text for use in a URL: all bytes except those that have no special meaning
/// anywhere in a URL.
///
/// As an entire path segment, `.` or `..` would lead to another path. They are therefore encoded as
/// well, so that an HTTP client can distinguish them from dots that are part of the URL itself.
///
/// ```
/// use llmspell_workflows_basic::expr::url_encoded;
///
/// assert_eq!(url_encoded("a b&c/ü"), "a%20b%26c%2F%C3%BC");
/// assert_eq!(url_encoded(".."), "%2E%2E");
/// ```
#[must_use]
pub fn url_encoded(text: &str) -> String {
    let is_dots = matches!(text, "." | "..");
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || byte == b'.' && !is_dots {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}
