//! A document to the model: one walk over the tree that collects everything that is wrong.

mod blocks;
mod fields;
mod kinds;
mod lists;
mod migrations;
mod params;
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
    limits,
    tree::{Node, Span},
};
pub(crate) use fields::Fields;
pub(crate) use lists::{Item, RouteSettings, Scope};
use settings::Settings;
pub(crate) use steps::Read;

/// What reading a tree gives.
pub(crate) struct Outcome {
    /// The definition, in which a broken part stands for itself as far as it could be read.
    pub(crate) definition: Option<Definition>,
    pub(crate) positions: Positions,
    pub(crate) findings: Findings,
}

/// Lowers `root` to a definition.
pub(crate) fn lower(root: &Node<'_>, source: &Source, types: &StepTypes, findings: Findings) -> Outcome {
    let mut reader = Reader {
        source,
        types,
        findings,
        positions: Positions::new(),
        defaults: BTreeMap::new(),
        process_env: BTreeMap::new(),
        personas: None,
        nesting: 0,
    };
    let definition = reader.definition(root);
    Outcome { definition, positions: reader.positions, findings: reader.findings }
}

pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) types: &'a StepTypes,
    pub(crate) findings: Findings,
    pub(crate) positions: Positions,
    /// Settings by step type.
    pub(crate) defaults: BTreeMap<String, Settings>,
    /// Environment variables that every process gets.
    pub(crate) process_env: BTreeMap<String, Value>,
    /// The personas there are, if the document says so.
    pub(crate) personas: Option<Vec<String>>,
    /// How many steps enclose the one that is read.
    pub(crate) nesting: usize,
}

impl Reader<'_> {
    /// Notes that something is wrong; the caller goes on with what it can.
    pub(crate) fn error(&mut self, code: &'static str, at: At, span: Span, message: impl Into<String>) -> &mut Finding {
        let mut finding = Finding::error(code, span, message);
        finding.at = at;
        self.findings.push(finding)
    }

    /// The nearest of `names` to `written`, as a question.
    pub(crate) fn suggest<'n>(&self, written: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if self.findings.is_crowded() {
            return None;
        }
        nearest(written, names.into_iter().take(limits::SUGGESTIONS)).map(|name| format!("did you mean `{name}`?"))
    }

    /// Remembers where `field` of the step at `at` stands.
    pub(crate) fn mark(&mut self, at: At, field: impl Into<std::borrow::Cow<'static, str>>, span: Span) {
        self.positions.mark(at, field, Mark { span, inside: Inside::Unknown });
    }

    /// The same for a field whose text is `text`.
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
