use std::collections::{BTreeSet, HashSet};

use llmspell_workflows_basic::{Problem, Severity, model::Definition};

use crate::{
    StepTypes,
    diagnose::{At, Diagnostics, Finding, Findings, Positions, Source},
    format::Edit,
    limits, reader, tree,
};

/// A definition with the source positions of its parts.
#[derive(Debug, Clone)]
pub struct Document {
    /// The definition, which is equal to the one a builder creates for the same workflow.
    pub definition: Definition,
    positions: Positions,
    source: Source,
    findings: Findings,
}

/// Reads a definition in YAML or JSON; `source_name` is the file name in diagnostics.
///
/// Errors that only the engine can find, such as an unknown reference, are not reported; see [`check`].
///
/// # Errors
/// Returns all errors found, if the text is not a valid definition.
pub fn read(text: &str, source_name: &str, types: &StepTypes) -> Result<Document, Diagnostics> {
    let (document, is_readable) = parse(text, source_name, types)?;
    if is_readable {
        return Ok(document);
    }
    Err(document.diagnostics())
}

/// Reads a definition from the bytes of a file, like [`read`].
///
/// # Errors
/// Returns the same errors as [`read`], or an error if the bytes are not valid UTF-8.
pub fn read_bytes(bytes: &[u8], source_name: &str, types: &StepTypes) -> Result<Document, Diagnostics> {
    read(utf8(bytes, source_name)?, source_name, types)
}

/// Reads a definition and validates it with `validate`; all problems are reported together.
///
/// A partially readable definition is validated too. In this case, the warnings from `validate` are
/// dropped, as are its errors about unreadable fields and about steps of unknown types.
///
/// # Errors
/// Returns the errors and warnings from the reader and from `validate` if any of them is an error.
pub fn check(
    text: &str,
    source_name: &str,
    types: &StepTypes,
    validate: impl FnOnce(&Definition) -> Vec<Problem>,
) -> Result<Document, Diagnostics> {
    let (mut document, is_readable) = parse(text, source_name, types)?;
    let mut problems = validate(&document.definition);
    if !is_readable {
        document.retain_independent(&mut problems);
    }
    for problem in &problems {
        let finding = document.finding(problem);
        document.findings.push(finding);
    }
    let diagnostics = document.diagnostics();
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(document) }
}

fn utf8<'b>(bytes: &'b [u8], source_name: &str) -> Result<&'b str, Diagnostics> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (readable, _) = bytes.split_at(error.valid_up_to());
        let readable = std::str::from_utf8(readable).expect("the text is valid up to this offset");
        let end = readable.len() as u32;
        let span = tree::Span { start: end, end };
        let finding =
            Finding::error("not_utf8", span, "the file is not valid UTF-8").with_help("save the file as UTF-8");
        fatal(source_name, readable, finding)
    })
}

pub(crate) fn fatal(source_name: &str, text: &str, finding: Finding) -> Diagnostics {
    Diagnostics::new(Source::new(source_name, text), Findings::from_iter([finding]), &Positions::new())
}

/// Parses a file; returns an error if it is too large or its syntax is invalid.
pub(crate) fn tree_of<'t>(text: &'t str, source_name: &str) -> Result<tree::Parsed<'t>, Diagnostics> {
    if text.len() > limits::FILE_BYTES {
        let message = format!("the file has {} bytes; the maximum is {}", text.len(), limits::FILE_BYTES);
        return Err(fatal(source_name, "", Finding::error("too_large", tree::Span::default(), message)));
    }
    tree::parse(text).map_err(|finding| fatal(source_name, text, finding))
}

/// Reads a definition and returns the edits that give its fields and step types their canonical names.
pub(crate) fn renames(text: &str, source_name: &str, types: &StepTypes) -> Result<Vec<Edit>, Diagnostics> {
    let parsed = tree_of(text, source_name)?;
    let outcome = reader::lower(&parsed.root, &Source::new(source_name, text), types, parsed.findings);
    if outcome.findings.has_errors() {
        return Err(Diagnostics::new(Source::new(source_name, text), outcome.findings, &outcome.positions));
    }
    Ok(outcome.renames)
}

/// Reads as much as possible; also returns whether there were no errors.
fn parse(text: &str, source_name: &str, types: &StepTypes) -> Result<(Document, bool), Diagnostics> {
    let parsed = tree_of(text, source_name)?;
    let source = Source::new(source_name, text);
    let outcome = reader::lower(&parsed.root, &source, types, parsed.findings);
    let reader::ReadResult { definition, positions, findings, .. } = outcome;
    let is_readable = !findings.has_errors();
    match definition {
        Some(definition) => Ok((Document { definition, positions, source, findings }, is_readable)),
        None => Err(Diagnostics::new(source, findings, &positions)),
    }
}

impl Document {
    /// Converts `problems` to diagnostics with line and column.
    #[must_use]
    pub fn to_diagnostics(&self, problems: &[Problem]) -> Diagnostics {
        let findings = problems.iter().map(|problem| self.finding(problem)).collect();
        Diagnostics::new(self.source.clone(), findings, &self.positions)
    }

    /// Returns the diagnostics from reading and checking the document, all of which are warnings.
    #[must_use]
    pub fn diagnostics(&self) -> Diagnostics {
        Diagnostics::new(self.source.clone(), self.findings.clone(), &self.positions)
    }

    fn finding(&self, problem: &Problem) -> Finding {
        Finding {
            code: problem.code,
            severity: problem.severity,
            span: self.positions.find(&problem.place, &self.source),
            message: problem.message.clone(),
            help: problem.help.clone(),
            at: self.positions.known(&problem.place.path),
        }
    }

    /// Keeps only errors about parts that were read without an error.
    fn retain_independent(&self, problems: &mut Vec<Problem>) {
        let errors = ReaderErrors::of(self);
        problems.retain(|problem| problem.severity == Severity::Error && errors.is_independent(problem, self));
    }
}

/// The locations of the reader's errors, which separate follow-up errors from independent ones.
struct ReaderErrors<'d> {
    /// Steps that are invalid as a whole, such as steps of an unknown type; nothing in them is meaningful.
    steps: HashSet<&'d str>,
    /// The start offsets of errors.
    starts: BTreeSet<u32>,
    /// Steps with an error in one field; their other fields are meaningful.
    touched: HashSet<&'d str>,
}

impl<'d> ReaderErrors<'d> {
    fn of(document: &'d Document) -> Self {
        let positions = &document.positions;
        let mut errors = Self { steps: HashSet::new(), starts: BTreeSet::new(), touched: HashSet::new() };
        for finding in document.findings.iter().filter(|finding| finding.severity == Severity::Error) {
            errors.starts.insert(finding.span.start);
            if finding.at == At::ROOT {
                continue;
            }
            let path = positions.path(finding.at);
            errors.touched.insert(path);
            if positions.head(finding.at) == Some(finding.span) {
                errors.steps.insert(path);
            }
        }
        errors
    }

    /// Returns whether `problem` is about a part that was read without an error.
    fn is_independent(&self, problem: &Problem, document: &Document) -> bool {
        let place = &problem.place;
        let start = document.positions.find(place, &document.source).start;
        let ends = place.path.match_indices('/').map(|(end, _)| end).chain([place.path.len()]);
        let is_whole = ends.into_iter().all(|end| !self.steps.contains(&place.path[..end]));
        let mut enclosing = document.positions.enclosing_spans(place);
        is_whole
            && !self.starts.contains(&start)
            && (!self.touched.contains(place.path.as_str()) || enclosing.len() > 0)
            && enclosing.all(|span| self.starts.range(span.start..=span.end).next().is_none())
    }
}
