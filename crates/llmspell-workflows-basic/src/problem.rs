//! Problems in definitions: [`Problem`].

use std::{fmt, ops::Range};

use serde::Serialize;

use crate::nearest;

/// A problem in a definition, found before a run.
///
/// All problems in a definition are reported together. A reader of a text format maps the [`ProblemLocation`] to a
/// line and column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A stable code in snake case, documented under `docs/errors`.
    pub code: &'static str,
    /// Whether the definition can still run.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The location of the problem.
    pub place: ProblemLocation,
}

/// The maximum number of known names to list when none is similar.
const KNOWN_SHOWN: usize = 12;

/// The severity of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The definition cannot run.
    Error,
    /// The definition can run, but probably does not do what was intended.
    Warning,
}

/// A location in a definition: a step, one of its fields, and a part of that field's text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProblemLocation {
    /// The step's path without iterations or generations, such as `/main/review/then/scan`; empty for the definition
    /// itself.
    pub path: String,
    /// The field's name in the model, as a path of names and indices: `condition`, `dependencies/0`,
    /// `params/selectors/title`, `variables/branch`; empty for the step itself.
    pub field: String,
    /// The byte range in the field's text.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
}

impl ProblemLocation {
    /// Creates the location of a field of the step at `path`.
    pub fn new(path: impl Into<String>, field: impl Into<String>) -> Self {
        Self { path: path.into(), field: field.into(), span: None }
    }

    /// Narrows the location to a part of the field's text.
    #[must_use]
    pub fn with_span(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }
}

impl Problem {
    /// Creates a problem that prevents the definition from running.
    pub fn error(code: &'static str, place: ProblemLocation, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), help: None, place }
    }

    /// Creates a problem that does not prevent the definition from running.
    pub fn warning(code: &'static str, place: ProblemLocation, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// Adds a hint on how to fix the problem.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the `known` name most similar to `name`, or a list of known names if none is similar.
    #[must_use]
    pub fn with_known<'k>(self, name: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        let known: Vec<_> = known.into_iter().collect();
        match nearest(name, known.iter().copied()) {
            Some(near) => self.with_help(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => self.with_help(format!("known names: {}", known[..known.len().min(KNOWN_SHOWN)].join(", "))),
        }
    }
}

impl fmt::Display for ProblemLocation {
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
