//! The files that `init` and `new` write.

use clap::ValueEnum;

/// A starting point for a new workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// Steps one after the other.
    Sequence,
    /// Steps that run after the steps they depend on.
    Graph,
    /// Branches that run at the same time.
    Parallel,
    /// The same steps for every item.
    Loop,
    /// Steps that name the next step, which may be an earlier one.
    Route,
}

/// The files of a new project, by path.
pub(crate) const PROJECT: [(&str, &str); 3] = [
    ("spellflow.toml", include_str!("../templates/spellflow.toml")),
    ("workflows/hello.yaml", include_str!("../templates/hello.yaml")),
    ("workflows/hello.test.yaml", include_str!("../templates/hello.test.yaml")),
];

impl Template {
    /// Returns the YAML of the workflow, named `name`.
    pub(crate) fn workflow(self, name: &str) -> String {
        let text = match self {
            Self::Sequence => include_str!("../templates/sequence.yaml"),
            Self::Graph => include_str!("../templates/graph.yaml"),
            Self::Parallel => include_str!("../templates/parallel.yaml"),
            Self::Loop => include_str!("../templates/loop.yaml"),
            Self::Route => include_str!("../templates/route.yaml"),
        };
        // Unquoted, these words are not strings in YAML.
        let is_word = ["true", "false", "null"].iter().any(|word| name.eq_ignore_ascii_case(word));
        text.replace("__NAME__", &if is_word { format!("\"{name}\"") } else { name.to_owned() })
    }
}
