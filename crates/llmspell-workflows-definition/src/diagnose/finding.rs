use llmspell_workflows_basic::Severity;

use super::At;
use crate::{limits, tree::Span};

/// Characters of a message; one that quotes a whole page is cut.
const MESSAGE_CHARS: usize = 400;

/// Something wrong, by bytes of the source; a [`super::Diagnostic`] in the making.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// The step it is about.
    pub(crate) at: At,
}

impl Finding {
    pub(crate) fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.chars().count() > MESSAGE_CHARS {
            message = message.chars().take(MESSAGE_CHARS).chain(['…']).collect();
        }
        Self { code, severity: Severity::Error, span, message, help: None, at: At::ROOT }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

/// All that is wrong, up to a limit from which on it is only counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    omitted: usize,
    /// Takes what is beyond the limit.
    spare: Option<Finding>,
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Finding) -> &mut Finding {
        if self.list.len() < limits::FINDINGS {
            self.list.push(finding);
            return self.list.last_mut().expect("one was pushed");
        }
        self.omitted += 1;
        self.spare.insert(finding)
    }

    /// Those from number `from` on are about no step of the positions table.
    pub(crate) fn detach(&mut self, from: usize) {
        self.list.iter_mut().skip(from).for_each(|finding| finding.at = super::At::ROOT);
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter()
    }

    /// Whether there are more than anyone reads, so that further ones need no advice.
    pub(crate) fn is_crowded(&self) -> bool {
        self.list.len() > limits::DIAGNOSTICS
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.omitted > 0 || self.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Those that are kept, and how many there are beyond.
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
