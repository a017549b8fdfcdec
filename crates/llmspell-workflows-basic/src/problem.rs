//! What is wrong with a definition: [`Problem`].

use std::{fmt, ops::Range};

use serde::Serialize;

use crate::nearest;

/// Something wrong with a definition, found before anything runs.
///
/// All problems of a definition are found at once. A reader of a text format turns the [`Place`] into a line and a
/// column by its table of positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A stable snake_case code with a page under `docs/errors/`.
    pub code: &'static str,
    /// Whether the definition can run all the same.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where.
    pub place: Place,
}

/// How many known names are listed where none is near.
const KNOWN_SHOWN: usize = 12;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The definition cannot run.
    Error,
    /// It can run, but most likely does not do what was meant.
    Warning,
}

/// A place in a definition: a step, a field of it, and a part of that field's text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Place {
    /// The step's path without iterations and generations, such as `/main/review/then/scan`; empty: the definition
    /// itself.
    pub path: String,
    /// The field in the model's words, as a path of names and indices: `condition`, `dependencies/0`,
    /// `params/selectors/title`, `variables/branch`; empty: the step itself.
    pub field: String,
    /// The bytes of the field's text that it is about.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
}

impl Place {
    /// The field `field` of the step at `path`.
    pub fn new(path: impl Into<String>, field: impl Into<String>) -> Self {
        Self { path: path.into(), field: field.into(), span: None }
    }

    /// Narrows it to a part of the field's text.
    #[must_use]
    pub fn with_span(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }
}

impl Problem {
    /// A problem that keeps the definition from running.
    pub fn error(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), help: None, place }
    }

    /// A problem with which it can run.
    pub fn warning(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds which of the `known` names `name` was most likely meant to be, or some of them where none is near.
    #[must_use]
    pub fn with_known<'k>(self, name: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        match nearest(name, known.iter().copied()) {
            Some(near) => self.with_help(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => self.with_help(format!("known are: {}", known[..known.len().min(KNOWN_SHOWN)].join(", "))),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.field.as_str()) {
            ("", "") => f.write_str("the definition"),
            ("", field) => f.write_str(field),
            (path, "") => f.write_str(path),
            (path, field) => write!(f, "{path} {field}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, "{severity} [{}] at {}: {}", self.code, self.place, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}
