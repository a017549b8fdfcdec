use std::fmt;

use llmspell_workflows_basic::StepPath;

/// A pattern for steps: a path (`/main/review/scan`) or a path suffix (`scan`, `review/scan`).
///
/// A part without an iteration or generation number matches all iterations and generations;
/// `each[2]/rate` matches one iteration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the pattern matches the step at `path`.
    pub(super) fn matches(&self, path: &StepPath) -> bool {
        self.matches_parts(&path.to_string(), |pattern, part| {
            part == pattern || (Part::of(pattern).accepts(&Part::of(part)))
        })
    }

    /// Returns whether the pattern can match the step at `path`, a path in a definition, which has
    /// no iterations.
    pub(super) fn may_match(&self, path: &str) -> bool {
        // Iterations and generations are known only during a run.
        self.matches_parts(path, |pattern, part| Part::of(pattern).id == Part::of(part).id)
    }

    fn matches_parts(&self, path: &str, accepts: impl Fn(&str, &str) -> bool) -> bool {
        let (whole, pattern) = match self.0.strip_prefix('/') {
            Some(pattern) => (true, pattern),
            None => (false, self.0.as_str()),
        };
        let mut parts = path.trim_start_matches('/').rsplit('/');
        let matched = pattern.rsplit('/').all(|pattern| parts.next().is_some_and(|part| accepts(pattern, part)));
        matched && (!whole || parts.next().is_none())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part of a path, such as `each[2]~3`.
struct Part<'p> {
    id: &'p str,
    iteration: Option<&'p str>,
    generation: Option<&'p str>,
}

impl<'p> Part<'p> {
    fn of(text: &'p str) -> Self {
        let (text, generation) = match text.split_once('~') {
            Some((text, generation)) => (text, Some(generation)),
            None => (text, None),
        };
        let (id, iteration) = match text.split_once('[') {
            Some((id, iteration)) => (id, Some(iteration)),
            None => (text, None),
        };
        Self { id, iteration, generation }
    }

    fn accepts(&self, other: &Self) -> bool {
        self.id == other.id
            && (self.iteration.is_none() || self.iteration == other.iteration)
            && (self.generation.is_none() || self.generation == other.generation)
    }
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
            ("/main/scan", "/main/sub/main/scan", false),
            ("sub/main/scan", "/main/sub/main/scan", true),
            ("scan/main/scan", "/main/scan", false),
            ("rate", "/main/each[2]/rate", true),
            ("/main/each/rate", "/main/each[2]/rate", true),
            ("/main/each[2]/rate", "/main/each[2]/rate", true),
            ("/main/each[1]/rate", "/main/each[2]/rate", false),
            ("each[2]/sub/main/all/rate", "/main/each[2]/sub/main/all[7]/rate", true),
            ("draft", "/main/draft~2", true),
            ("draft~2", "/main/draft~2", true),
            ("draft~3", "/main/draft~2", false),
            ("pay/$undo", "/main/pay/$undo", true),
        ] {
            let path: StepPath = path.parse().unwrap();
            assert_eq!(Pattern::new(pattern).matches(&path), expected, "{pattern} {path}");
        }
    }
}
