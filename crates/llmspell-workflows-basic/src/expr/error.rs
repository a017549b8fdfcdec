//! Errors of parsing and evaluating expressions.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

/// An error found while parsing an expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}{}", .help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// The byte range in the expression's source, always on character boundaries.
    pub span: Range<usize>,
    /// How to fix it.
    pub help: Option<String>,
}

impl ParseError {
    pub(super) fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    /// Returns the stable code, documented under `docs/errors`.
    pub fn code(&self) -> &'static str {
        "expression_syntax"
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The part of an expression whose evaluation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLocation {
    /// The source of the expression.
    pub expression: Arc<str>,
    /// The byte range of the failed part in the source.
    pub span: Range<usize>,
    /// The JSON pointer to the string that contains the expression, if it is part of a template.
    pub pointer: Option<String>,
}

/// The maximum number of characters of an expression shown in a message.
const EXPRESSION_CHARS_SHOWN_MAX: usize = 200;

impl ErrorLocation {
    fn context(&self) -> String {
        let mut shown: String = self.expression.chars().take(EXPRESSION_CHARS_SHOWN_MAX).collect();
        if shown.len() < self.expression.len() {
            shown.push('…');
        }
        match &self.pointer {
            Some(pointer) if !pointer.is_empty() => format!("(in `{shown}` at {pointer})"),
            _ => format!("(in `{shown}`)"),
        }
    }
}

/// An error that occurred while evaluating an expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A reference does not exist and has no default.
    #[error("{} {}", self.message(), at.context())]
    Unresolved {
        /// The location of the error.
        at: Box<ErrorLocation>,
        /// The reference as written, up to the first unknown part.
        reference: String,
        /// The names available instead, most similar first.
        available: Vec<String>,
        /// The probably intended name, or another hint.
        help: Option<String>,
    },
    /// An operator or a function does not support the type of a value.
    #[error("{message} {}", at.context())]
    Type {
        /// The location of the error.
        at: Box<ErrorLocation>,
        /// The expected and actual types.
        message: String,
    },
    /// A calculation has no finite result.
    #[error("{message} {}", at.context())]
    Arithmetic {
        /// The location of the error.
        at: Box<ErrorLocation>,
        /// What is wrong.
        message: String,
    },
    /// The evaluation would exceed a limit.
    #[error("{message} {}", at.context())]
    Limit {
        /// The location of the error.
        at: Box<ErrorLocation>,
        /// The exceeded limit.
        message: String,
    },
}

/// The maximum number of available names listed in a message.
const NAMES_LISTED_MAX: usize = 8;

impl EvalError {
    pub(super) fn new(fault: Fault, expression: &Arc<str>, span: Range<usize>) -> Self {
        let at = Box::new(ErrorLocation { expression: Arc::clone(expression), span, pointer: None });
        match fault {
            Fault::Type(message) => Self::Type { at, message },
            Fault::Arithmetic(message) => Self::Arithmetic { at, message },
            Fault::Limit(message) => Self::Limit { at, message },
        }
    }

    pub(super) fn within(mut self, pointer: &str) -> Self {
        self.location_mut().pointer = Some(pointer.to_owned());
        self
    }

    /// Returns the stable code, documented under `docs/errors`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } => "expression_unresolved",
            Self::Type { .. } => "expression_type",
            Self::Arithmetic { .. } => "expression_arithmetic",
            Self::Limit { .. } => "expression_limit",
        }
    }

    /// Returns the secret's name if the expression failed because it reads
    /// a secret without a value.
    pub fn unresolved_secret(&self) -> Option<&str> {
        let Self::Unresolved { reference, .. } = self else { return None };
        let read = self.expression().get(self.span())?.strip_prefix("secrets.")?;
        let is_secret = reference == "secrets" || reference.starts_with("secrets.");
        is_secret.then(|| read.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or(read))
    }

    /// Returns the message without the location.
    pub fn message(&self) -> String {
        match self {
            Self::Unresolved { reference, available, help, .. } => unresolved(reference, available, help.as_deref()),
            Self::Type { message, .. } | Self::Arithmetic { message, .. } | Self::Limit { message, .. } => {
                message.clone()
            }
        }
    }

    /// Returns the location of the error.
    pub fn location(&self) -> &ErrorLocation {
        match self {
            Self::Unresolved { at, .. }
            | Self::Type { at, .. }
            | Self::Arithmetic { at, .. }
            | Self::Limit { at, .. } => at,
        }
    }

    fn location_mut(&mut self) -> &mut ErrorLocation {
        match self {
            Self::Unresolved { at, .. }
            | Self::Type { at, .. }
            | Self::Arithmetic { at, .. }
            | Self::Limit { at, .. } => at,
        }
    }

    /// Returns the source of the expression.
    pub fn expression(&self) -> &str {
        &self.location().expression
    }

    /// Returns the byte range of the failed part in the source.
    pub fn span(&self) -> Range<usize> {
        self.location().span.clone()
    }

    /// Returns the JSON pointer to the string that contains the expression, if it is part of a template.
    pub fn pointer(&self) -> Option<&str> {
        self.location().pointer.as_deref()
    }
}

fn unresolved(reference: &str, available: &[String], help: Option<&str>) -> String {
    let mut message = format!("`{reference}` is not defined");
    if let Some(help) = help {
        message.push_str("; ");
        message.push_str(help);
    }
    if available.is_empty() {
        return message;
    }
    message.push_str("; available: ");
    let listed = available.len().min(NAMES_LISTED_MAX);
    message.push_str(&available[..listed].join(", "));
    if available.len() > listed {
        message.push_str(&format!(" and {} more", available.len() - listed));
    }
    message
}

/// An error without its location.
#[derive(Debug)]
pub(super) enum Fault {
    Type(String),
    Arithmetic(String),
    Limit(String),
}
