use std::fmt;

use llmspell_workflows_basic::Severity;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Finding, Findings, Positions, Source, Style, render};
use crate::limits;

/// Something wrong with a file, and where.
///
/// Lines and columns count from 1, columns in characters; `end_column` is the one after the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// A stable snake_case code.
    pub code: &'static str,
    /// Whether the definition can run all the same.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The name of the file, as the reader was told.
    #[serde(skip)]
    pub file: String,
    /// The first line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// The last line.
    pub end_line: usize,
    /// The column after the last.
    pub end_column: usize,
    /// The path of the step it is about, such as `/main/review/then/scan`; empty: the definition itself.
    pub path: String,
}

/// All that is wrong with one file, in the order of its lines.
///
/// It serializes as `{"file", "diagnostics": […]}`, and displays as text with the lines themselves.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    source: Source,
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    pub(crate) fn new(source: Source, findings: Findings, positions: &Positions) -> Self {
        let (findings, beyond) = findings.into_parts();
        let to_diagnostic = |finding: Finding| diagnostic(&source, finding, positions);
        let mut list: Vec<_> = findings.into_iter().map(to_diagnostic).collect();
        list.sort_by(|a, b| (a.line, a.column, a.severity, a.code).cmp(&(b.line, b.column, b.severity, b.code)));
        list.dedup();
        let omitted = beyond + list.len().saturating_sub(limits::DIAGNOSTICS);
        list.truncate(limits::DIAGNOSTICS);
        Self { source, list, omitted }
    }

    /// The stable code of the file as a whole, which has a page; each diagnostic has one of its own.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_definition"
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// All of them, by line and column; of a file with very many the first 200.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// How many there are beyond those of [`list`](Self::list).
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any of them keeps the definition from running.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The text for people: each with its line and a mark under it.
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
