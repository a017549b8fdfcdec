use llmspell_workflows_basic::Severity;

use super::At;
use crate::{limits, tree::Span};

/// The maximum length of a message or help text in characters; longer texts are truncated.
const MESSAGE_CHARS: usize = 400;

/// A problem and its byte range in the source; it becomes a [`super::Diagnostic`].
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// The step that has the problem.
    pub(crate) at: At,
}

impl Finding {
    pub(crate) fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, span, message: cut(message.into()), help: None, at: At::ROOT }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help(help);
        self
    }

    pub(crate) fn help(&mut self, help: impl Into<String>) {
        self.help = Some(cut(help.into()));
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A list of findings; findings beyond a limit are only counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    omitted: usize,
    /// The last finding beyond the limit, kept so that the caller of `push` can change it.
    spare: Option<Finding>,
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Finding) -> &mut Finding {
        if self.list.len() < limits::FINDINGS {
            self.list.push(finding);
            return self.list.last_mut().expect("a finding was just pushed");
        }
        self.omitted += 1;
        self.spare.insert(finding)
    }

    /// Detaches all findings at or after index `from` from their steps.
    pub(crate) fn detach(&mut self, from: usize) {
        self.list.iter_mut().skip(from).for_each(|finding| finding.at = super::At::ROOT);
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter()
    }

    /// Returns whether there are already more findings than are shown; further ones need no
    /// suggestions.
    pub(crate) fn is_crowded(&self) -> bool {
        self.list.len() > limits::DIAGNOSTICS
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.omitted > 0 || self.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Returns the findings and the number of omitted findings.
    pub(crate) fn into_parts(self) -> (Vec<Finding>, usize) {
        (self.list, self.omitted)
    }
}

impl FromIterator<Finding> for Findings {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Self {
        let mut all = Self::default();
        findings.into_iter().for_each(|finding| {
            all.push(finding);
        });
        all
    }
}
