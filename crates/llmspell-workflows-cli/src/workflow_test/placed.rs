use std::fmt;

use llmspell_workflows_basic::StepPath;

/// A step as people name it: its path (`/main/review/scan`), or the end of it (`scan`, `review/scan`).
///
/// Without iterations and generations it means all of them; `/main/each[2]/rate` means one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the step at `path` is meant.
    pub(super) fn matches(&self, path: &StepPath) -> bool {
        self.fits(&path.to_string()) || self.fits(&plain(path))
    }

    /// Whether `path` is the one, or ends like it.
    pub(super) fn fits(&self, path: &str) -> bool {
        match self.0.strip_prefix('/') {
            Some(_) => path == self.0,
            None => path.strip_suffix(self.0.as_str()).is_some_and(|before| before.ends_with('/')),
        }
    }

    /// Whether it may mean a step of a definition whose path, without iterations, is `path`.
    pub(super) fn may_mean(&self, path: &str) -> bool {
        // Iterations and generations are known only in a run.
        self.fits(path) || Self(without_marks(&self.0)).fits(&without_marks(path))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path without iterations and generations.
fn plain(path: &StepPath) -> String {
    path.segments().iter().map(|segment| format!("/{}", segment.id)).collect()
}

fn without_marks(path: &str) -> String {
    let parts = path.split('/').map(|part| part.split(['[', '~']).next().unwrap_or_default());
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_or_the_end_of_one_means_a_step() {
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
