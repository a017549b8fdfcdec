use std::collections::{BTreeSet, HashSet};

use llmspell_workflows_basic::{Problem, Severity, model::Definition};

use crate::{
    StepTypes,
    diagnose::{At, Diagnostics, Finding, Findings, Positions, Source},
    limits, reader, tree,
};

/// A definition with where each part of it stands.
#[derive(Debug, Clone)]
pub struct Document {
    /// The definition itself, equal to the one that a builder makes of the same workflow.
    pub definition: Definition,
    positions: Positions,
    source: Source,
    findings: Findings,
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
/// A definition that could be read only in part is validated too; what `validate` then says of a field that could not
/// be read, or of a step of which it is not known what it is, is left out, and so are its warnings.
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
    let mut problems = validate(&document.definition);
    if !is_readable {
        document.keep_news(&mut problems);
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
        let readable = std::str::from_utf8(readable).expect("the error says how far it is valid");
        let end = readable.len() as u32;
        let span = tree::Span { start: end, end };
        let finding = Finding::error("not_utf8", span, "the file is not UTF-8: a byte here belongs to no character")
            .with_help("save the file as UTF-8");
        fatal(source_name, readable, finding)
    })
}

fn fatal(source_name: &str, text: &str, finding: Finding) -> Diagnostics {
    Diagnostics::new(Source::new(source_name, text), Findings::from_iter([finding]), &Positions::new())
}

/// The tree of a file that is not too large.
pub(crate) fn tree_of<'t>(text: &'t str, source_name: &str) -> Result<tree::Parsed<'t>, Diagnostics> {
    if text.len() > limits::FILE_BYTES {
        let message = format!("the file has {} bytes, and may have {}", text.len(), limits::FILE_BYTES);
        return Err(fatal(source_name, "", Finding::error("too_large", tree::Span::default(), message)));
    }
    tree::parse(text).map_err(|finding| fatal(source_name, text, finding))
}

/// Reads as much as can be read, and says whether that is all.
fn parse(text: &str, source_name: &str, types: &StepTypes) -> Result<(Document, bool), Diagnostics> {
    let parsed = tree_of(text, source_name)?;
    let source = Source::new(source_name, text);
    let outcome = reader::lower(&parsed.root, &source, types, parsed.findings);
    let reader::Outcome { definition, positions, findings } = outcome;
    let is_readable = !findings.has_errors();
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

    /// Keeps errors of parts that could be read, and none where one stands already.
    fn keep_news(&self, problems: &mut Vec<Problem>) {
        let broken = Broken::of(self);
        problems.retain(|problem| problem.severity == Severity::Error && broken.spares(problem, self));
    }
}

/// Where the reader found errors, for telling what follows from them from what is wrong besides.
struct Broken<'d> {
    /// Steps that are wrong as a whole, such as one of an unknown type: nothing in them is what was meant.
    steps: HashSet<&'d str>,
    /// Where errors begin.
    starts: BTreeSet<u32>,
    /// Steps with an error in some field; their other fields are as good as those of any step.
    touched: HashSet<&'d str>,
}

impl<'d> Broken<'d> {
    fn of(document: &'d Document) -> Self {
        let positions = &document.positions;
        let mut broken = Self { steps: HashSet::new(), starts: BTreeSet::new(), touched: HashSet::new() };
        for finding in document.findings.iter().filter(|finding| finding.severity == Severity::Error) {
            broken.starts.insert(finding.span.start);
            if finding.at == At::ROOT {
                continue;
            }
            let path = positions.path(finding.at);
            broken.touched.insert(path);
            if positions.head(finding.at) == Some(finding.span) {
                broken.steps.insert(path);
            }
        }
        broken
    }

    /// Whether `problem` is about something that was read, and that the reader said nothing about.
    fn spares(&self, problem: &Problem, document: &Document) -> bool {
        let place = &problem.place;
        let start = document.positions.find(place, &document.source).start;
        let ends = place.path.match_indices('/').map(|(end, _)| end).chain([place.path.len()]);
        let is_whole = ends.into_iter().all(|end| !self.steps.contains(&place.path[..end]));
        let mut around = document.positions.around(place);
        is_whole
            && !self.starts.contains(&start)
            && (!self.touched.contains(place.path.as_str()) || around.len() > 0)
            && around.all(|span| self.starts.range(span.start..=span.end).next().is_none())
    }
}
