//! Line-by-line differences.

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_definition::to_yaml;
use similar::TextDiff;

/// The number of context lines around a difference.
const CONTEXT: usize = 3;

/// Returns a unified diff of two definitions, as YAML.
pub(crate) fn diff_definitions(old: &Definition, new: &Definition) -> String {
    diff_texts(&to_yaml(old), &to_yaml(new))
}

/// Returns a unified diff of two texts: `-` marks lines only in `old`, `+` lines only in `new`.
pub(crate) fn diff_texts(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(CONTEXT).to_string()
}
