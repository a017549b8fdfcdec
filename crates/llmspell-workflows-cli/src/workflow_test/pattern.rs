use std::fmt;

use llmspell_workflows_basic::StepPath;

/// A pattern for steps: a path (`/main/review/scan`) or a suffix of one (`scan`, `review/scan`).
///
/// Without iterations and generations it matches all of them; `/main/each[2]/rate` matches one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns whether the pattern matches the step at `path`.
    pub(super) fn matches(&self, path: &StepPath) -> bool {
        self.matches_text(&path.to_string()) || self.matches_text(&ids_only(path))
    }

    /// Returns whether the pattern equals `path` or is a suffix of it.
    pub(super) fn matches_text(&self, path: &str) -> bool {
        match self.0.strip_prefix('/') {
            Some(_) => path == self.0,
            None => path.strip_suffix(self.0.as_str()).is_some_and(|before| before.ends_with('/')),
        }
    }

    /// Returns whether the pattern can match the step at `path`, a path in a definition and thus without iterations.
    pub(super) fn may_match(&self, path: &str) -> bool {
        // Iterations and generations are only known in a run.
        self.matches_text(path) || Self(without_suffixes(&self.0)).matches_text(&without_suffixes(path))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the path without iterations and generations.
fn ids_only(path: &StepPath) -> String {
    path.segments().iter().map(|segment| format!("/{}", segment.id)).collect()
}

fn without_suffixes(path: &str) -> String {
    let parts = path.split('/').map(|part| part.split(['[', '~']).next().unwrap_or_default());
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_a_path_or_its_suffix() {
        for (pattern, path, expected) in [
            ("scan", "/main/scan", true),
            ("can", "/main/scan", false),
            ("review/scan", "/main/review/scan", true),
            ("/main/scan", "/main/scan", true),
            ("/scan", "/main/scan", false),
            ("rate", "/main/each[2]/rate", true),
            ("/main/each/rate", "/main/each[2]/rate", true),
            ("/main/each[2]/rate", "/main/each[2]/rate", true),
            ("/main/each[1]/rate", "/main/each[2]/rate", false),
            ("draft", "/main/draft~2", true),
            ("draft~2", "/main/draft~2", true),
        ] {
            let path: StepPath = path.parse().unwrap();
            assert_eq!(Pattern::new(pattern).matches(&path), expected, "{pattern} {path}");
        }
    }
}
