//! What differs, line by line.

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_definition::to_yaml;
use similar::TextDiff;

/// How many lines around a difference are shown.
const CONTEXT: usize = 3;

/// What differs between two definitions, as lines of YAML.
pub(crate) fn of_definitions(old: &Definition, new: &Definition) -> String {
    of_texts(&to_yaml(old), &to_yaml(new))
}

/// What differs between two texts, with `-` before what only the first has and `+` before what only the second has.
pub(crate) fn of_texts(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(CONTEXT).to_string()
}
