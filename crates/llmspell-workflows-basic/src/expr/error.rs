//! What can be wrong with an expression: when it is read, and when it is evaluated.

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

/// An expression that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}{}", .help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the expression's source; always on character boundaries.
    pub span: Range<usize>,
    /// What would be right.
    pub help: Option<String>,
}

impl ParseError {
    pub(super) fn new(message: impl Into<String>, span: Range<usize>) -> Self {
        Self { message: message.into(), span, help: None }
    }

    /// The stable code, the same in every release.
    pub fn code(&self) -> &'static str {
        "expression_syntax"
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Where an evaluation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The source of the expression.
    pub expression: Arc<str>,
    /// The part that failed, in bytes of the source.
    pub span: Range<usize>,
    /// JSON pointer to the text that holds the expression, when a template is rendered.
    pub pointer: Option<String>,
}

/// Characters of an expression that a message shows.
const EXPRESSION_CHARS_SHOWN_MAX: usize = 200;

impl Place {
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

/// An evaluation that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Nothing is known under this name, and the expression gives no default.
    #[error("{} {}", self.message(), at.context())]
    Unresolved {
        /// Where.
        at: Box<Place>,
        /// The reference as written, up to the first part that is not known.
        reference: String,
        /// What is known there, the nearest name first.
        available: Vec<String>,
        /// What was probably meant.
        help: Option<String>,
    },
    /// An operator or a function was given a value that it does not work on.
    #[error("{message} {}", at.context())]
    Type {
        /// Where.
        at: Box<Place>,
        /// What it needs and what it got.
        message: String,
    },
    /// A calculation has no finite result.
    #[error("{message} {}", at.context())]
    Arithmetic {
        /// Where.
        at: Box<Place>,
        /// What was calculated.
        message: String,
    },
    /// The evaluation would cost more than a limit allows.
    #[error("{message} {}", at.context())]
    Limit {
        /// Where.
        at: Box<Place>,
        /// Which limit.
        message: String,
    },
}

/// How many of the available names a message lists.
const NAMES_LISTED_MAX: usize = 8;

impl EvalError {
    pub(super) fn new(fault: Fault, expression: &Arc<str>, span: Range<usize>) -> Self {
        let at = Box::new(Place { expression: Arc::clone(expression), span, pointer: None });
        match fault {
            Fault::Type(message) => Self::Type { at, message },
            Fault::Arithmetic(message) => Self::Arithmetic { at, message },
            Fault::Limit(message) => Self::Limit { at, message },
        }
    }

    pub(super) fn within(mut self, pointer: &str) -> Self {
        self.place_mut().pointer = Some(pointer.to_owned());
        self
    }

    /// The stable code, the same in every release.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } => "expression_unresolved",
            Self::Type { .. } => "expression_type",
            Self::Arithmetic { .. } => "expression_arithmetic",
            Self::Limit { .. } => "expression_limit",
        }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> String {
        match self {
            Self::Unresolved { reference, available, help, .. } => unresolved(reference, available, help.as_deref()),
            Self::Type { message, .. } | Self::Arithmetic { message, .. } | Self::Limit { message, .. } => {
                message.clone()
            }
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        match self {
            Self::Unresolved { at, .. }
            | Self::Type { at, .. }
            | Self::Arithmetic { at, .. }
            | Self::Limit { at, .. } => at,
        }
    }

    fn place_mut(&mut self) -> &mut Place {
        match self {
            Self::Unresolved { at, .. }
            | Self::Type { at, .. }
            | Self::Arithmetic { at, .. }
            | Self::Limit { at, .. } => at,
        }
    }

    /// The source of the expression.
    pub fn expression(&self) -> &str {
        &self.place().expression
    }

    /// The part that failed, in bytes of the source.
    pub fn span(&self) -> Range<usize> {
        self.place().span.clone()
    }

    /// JSON pointer to the text that holds the expression, when a template is rendered.
    pub fn pointer(&self) -> Option<&str> {
        self.place().pointer.as_deref()
    }
}

fn unresolved(reference: &str, available: &[String], help: Option<&str>) -> String {
    let mut message = format!("`{reference}` is not known");
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

/// What went wrong, before it is known where.
#[derive(Debug)]
pub(super) enum Fault {
    Type(String),
    Arithmetic(String),
    Limit(String),
}
