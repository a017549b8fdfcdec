use llmspell_workflows_basic::{Problem, Severity, model::Definition};

use crate::{
    StepTypes,
    diagnose::{At, Diagnostics, Finding, Positions, Source},
    limits, reader, tree,
};

/// A definition with where each part of it stands.
#[derive(Debug, Clone)]
pub struct Document {
    /// The definition itself, equal to the one that a builder makes of the same workflow.
    pub definition: Definition,
    positions: Positions,
    source: Source,
    findings: Vec<Finding>,
}

/// Reads the definition in `text`, YAML or JSON; `source_name` is what diagnostics call the file.
///
/// What only the engine can tell, such as an unknown reference, is not looked for; see [`check`].
///
/// # Errors
/// All that is wrong, at once.
pub fn read(text: &str, source_name: &str, types: &StepTypes) -> Result<Document, Diagnostics> {
    let (document, is_readable) = parse(text, source_name, types)?;
    if is_readable {
        return Ok(document);
    }
    Err(document.diagnostics())
}

/// The same for bytes of a file.
///
/// # Errors
/// The same, and bytes that are no UTF-8.
pub fn read_bytes(bytes: &[u8], source_name: &str, types: &StepTypes) -> Result<Document, Diagnostics> {
    read(utf8(bytes, source_name)?, source_name, types)
}

/// Reads the definition in `text` and has `validate` look at it, so that a person sees everything at once.
///
/// A definition that could be read only in part is validated too; what `validate` then says of a part that could not be
/// read is left out, and so are its warnings.
///
/// # Errors
/// All errors of both, with their warnings.
pub fn check(
    text: &str,
    source_name: &str,
    types: &StepTypes,
    validate: impl FnOnce(&Definition) -> Vec<Problem>,
) -> Result<Document, Diagnostics> {
    let (mut document, is_readable) = parse(text, source_name, types)?;
    let problems = validate(&document.definition);
    let found = problems.iter().filter(|problem| is_readable || document.is_news(problem));
    let found: Vec<_> = found.map(|problem| document.finding(problem)).collect();
    document.findings.extend(found);
    let diagnostics = document.diagnostics();
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(document) }
}

fn utf8<'b>(bytes: &'b [u8], source_name: &str) -> Result<&'b str, Diagnostics> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (readable, _) = bytes.split_at(error.valid_up_to());
        let readable = std::str::from_utf8(readable).expect("the error says how far it is valid");
        let end = readable.len() as u32;
        let span = tree::Span { start: end, end };
        let finding = Finding::error("not_utf8", span, "the file is not UTF-8: a byte here belongs to no character")
            .with_help("save the file as UTF-8");
        fatal(source_name, readable, finding)
    })
}

fn fatal(source_name: &str, text: &str, finding: Finding) -> Diagnostics {
    Diagnostics::new(Source::new(source_name, text), vec![finding], &Positions::new())
}

/// Reads as much as can be read, and says whether that is all.
fn parse(text: &str, source_name: &str, types: &StepTypes) -> Result<(Document, bool), Diagnostics> {
    if text.len() > limits::FILE_BYTES {
        let message = format!("the file has {} bytes, and may have {}", text.len(), limits::FILE_BYTES);
        return Err(fatal(source_name, "", Finding::error("too_large", tree::Span::default(), message)));
    }
    let parsed = tree::parse(text).map_err(|finding| fatal(source_name, text, finding))?;
    let source = Source::new(source_name, text);
    let outcome = reader::lower(&parsed.root, &source, types, parsed.findings);
    let reader::Outcome { definition, positions, findings } = outcome;
    let is_readable = findings.iter().all(|finding| finding.severity == Severity::Warning);
    match definition {
        Some(definition) => Ok((Document { definition, positions, source, findings }, is_readable)),
        None => Err(Diagnostics::new(source, findings, &positions)),
    }
}

impl Document {
    /// What `problems` are about, by line and column.
    #[must_use]
    pub fn to_diagnostics(&self, problems: &[Problem]) -> Diagnostics {
        let findings = problems.iter().map(|problem| self.finding(problem)).collect();
        Diagnostics::new(self.source.clone(), findings, &self.positions)
    }

    /// What was found while it was read, which are warnings.
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

    /// Whether `problem` is about a part that could be read.
    fn is_news(&self, problem: &Problem) -> bool {
        let path = problem.place.path.as_str();
        let is_broken = |finding: &Finding| {
            finding.at != At::ROOT && finding.severity == Severity::Error && {
                let broken = self.positions.path(finding.at);
                path.strip_prefix(broken).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        };
        problem.severity == Severity::Error && !self.findings.iter().any(is_broken)
    }
}
