use std::fmt;

use llmspell_workflows_basic::Severity;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Finding, Findings, Positions, Source, Style, render};
use crate::limits;

/// A problem in a file, with its location.
///
/// Lines and columns are counted from 1, and columns in characters; `end_column` is exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// A stable code in snake case, documented under `docs/errors`.
    pub code: &'static str,
    /// Whether the definition can still run.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
    /// The name of the file, as given to the reader.
    #[serde(skip)]
    pub file: String,
    /// The first line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// The last line.
    pub end_line: usize,
    /// The column after the last column.
    pub end_column: usize,
    /// The path of the step, such as `/main/review/then/scan`; empty for the definition itself.
    pub path: String,
}

/// All problems in one file, in source order.
///
/// Serializes as `{"file", "diagnostics": […]}`, and displays as text with source excerpts.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    source: Source,
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    pub(crate) fn new(source: Source, findings: Findings, positions: &Positions) -> Self {
        let (findings, dropped) = findings.into_parts();
        let to_diagnostic = |finding: Finding| diagnostic(&source, finding, positions);
        let mut list: Vec<_> = findings.into_iter().map(to_diagnostic).collect();
        list.sort_by(|a, b| (a.line, a.column, a.severity, a.code).cmp(&(b.line, b.column, b.severity, b.code)));
        list.dedup();
        let omitted = dropped + list.len().saturating_sub(limits::DIAGNOSTICS);
        list.truncate(limits::DIAGNOSTICS);
        Self { source, list, omitted }
    }

    /// Returns the stable code for the whole file; each diagnostic also has a code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_definition"
    }

    /// Returns the name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Returns the diagnostics, sorted by line and column; at most the first 200.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Returns the number of diagnostics that are not in [`list`](Self::list).
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Returns whether there are no diagnostics.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns whether any diagnostic is an error, which prevents the definition from running.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Renders the diagnostics as text, each with its source line and a mark under the problem.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut text = String::new();
        for diagnostic in &self.list {
            render::diagnostic(&mut text, diagnostic, &self.source, style);
        }
        if self.omitted > 0 {
            text.push_str(&format!("and {} more\n", self.omitted));
        }
        text
    }
}

fn diagnostic(source: &Source, finding: Finding, positions: &Positions) -> Diagnostic {
    let Finding { code, severity, span, message, help, at } = finding;
    let (start, end) = (source.locate(span.start), source.locate(span.end.max(span.start)));
    Diagnostic {
        code,
        severity,
        message,
        help,
        file: source.name().to_owned(),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
        path: positions.path(at).to_owned(),
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Diagnostics", 2)?;
        object.serialize_field("file", self.file())?;
        object.serialize_field("diagnostics", &self.list)?;
        object.end()
    }
}
