//! Converts the tree of a document to the model, in one walk that collects all errors.

mod blocks;
mod fields;
mod kinds;
mod lists;
mod migrations;
mod params;
mod renames;
mod retry;
mod root;
mod settings;
mod steps;
mod values;

use std::collections::BTreeMap;

use llmspell_workflows_basic::{model::Definition, nearest};
use serde_json::Value;

use crate::{
    StepTypes,
    diagnose::{At, Finding, Findings, Inside, Mark, Positions, Source},
    format::Edit,
    limits,
    tree::{Node, Span},
};
pub(crate) use fields::Fields;
pub(crate) use lists::{RouteSettings, Siblings, StepNode};
use settings::DefaultSettings;
pub(crate) use steps::ParsedStep;

/// A definition with its positions and the findings of the reader.
pub(crate) struct ReadResult {
    /// The definition, including the readable parts of invalid values; `None` if too little could be read.
    pub(crate) definition: Option<Definition>,
    pub(crate) positions: Positions,
    pub(crate) findings: Findings,
    /// The edits that give fields and step types their canonical names.
    pub(crate) renames: Vec<Edit>,
}

/// Reads the definition in `root`.
pub(crate) fn lower(root: &Node<'_>, source: &Source, types: &StepTypes, findings: Findings) -> ReadResult {
    let mut reader = Reader {
        source,
        types,
        findings,
        positions: Positions::new(),
        defaults: BTreeMap::new(),
        process_env: BTreeMap::new(),
        personas: None,
        nesting: 0,
        renames: Vec::new(),
    };
    let definition = reader.definition(root);
    ReadResult { definition, positions: reader.positions, findings: reader.findings, renames: reader.renames }
}

pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) types: &'a StepTypes,
    pub(crate) findings: Findings,
    pub(crate) positions: Positions,
    /// The `defaults` of the document, by step type.
    pub(crate) defaults: BTreeMap<String, DefaultSettings>,
    /// The environment variables of every process that the workflow starts.
    pub(crate) process_env: BTreeMap<String, Value>,
    /// The declared personas, if the document has `personas`.
    pub(crate) personas: Option<Vec<String>>,
    /// The number of steps that enclose the current step.
    pub(crate) nesting: usize,
    pub(crate) renames: Vec<Edit>,
}

impl Reader<'_> {
    /// Records an error; the caller continues with the readable parts.
    pub(crate) fn error(&mut self, code: &'static str, at: At, span: Span, message: impl Into<String>) -> &mut Finding {
        let mut finding = Finding::error(code, span, message);
        finding.at = at;
        self.findings.push(finding)
    }

    /// Returns the name most similar to `written` as a question, such as "did you mean `timeout`?".
    pub(crate) fn suggest<'n>(&self, written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if self.findings.is_crowded() {
            return None;
        }
        nearest(written, names.into_iter().take(limits::SUGGESTIONS)).map(|name| format!("did you mean `{name}`?"))
    }

    /// Records the span of `field` in the step at `at`.
    pub(crate) fn mark(&mut self, at: At, field: impl Into<std::borrow::Cow<'static, str>>, span: Span) {
        self.positions.mark(at, field, Mark { span, inside: Inside::Unknown });
    }

    /// Records the span of a field whose string is `text` so that parts of the string can be located too.
    pub(crate) fn mark_text(
        &mut self,
        at: At,
        field: impl Into<std::borrow::Cow<'static, str>>,
        span: Span,
        text: &str,
    ) {
        let inside = Inside::of(text, span, self.source.text());
        self.positions.mark(at, field, Mark { span, inside });
    }
}
