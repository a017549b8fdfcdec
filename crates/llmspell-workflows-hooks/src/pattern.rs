//! Matches the criteria and patterns that select steps and events; `*` matches any text.

use llmspell_workflows_basic::{PathLink, StepPath};

/// Returns whether one of the `criteria` matches; an empty list matches everything.
pub(crate) fn any(criteria: &[String], matches: impl Fn(&str) -> bool) -> bool {
    criteria.is_empty() || criteria.iter().any(|criterion| matches(criterion))
}

/// Returns whether one of the path `patterns` matches; an empty list matches everything.
pub(crate) fn any_path(patterns: &[String], link: &PathLink) -> bool {
    patterns.is_empty() || {
        let whole = link.to_path();
        patterns.iter().any(|pattern| path(pattern, &whole))
    }
}

/// Returns whether `text` matches `pattern`.
pub(crate) fn text(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(end)
}

/// Returns whether `path` matches `pattern`. `**` matches any number of segments, and `*`
/// matches any part of a segment.
fn path(pattern: &str, path: &StepPath) -> bool {
    let wanted: Vec<_> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let segments: Vec<_> =
        path.segments().iter().map(|segment| (segment.id.to_string(), segment.to_string())).collect();
    all_match(&wanted, &segments)
}

fn all_match(wanted: &[&str], segments: &[(String, String)]) -> bool {
    match (wanted.split_first(), segments.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=segments.len()).any(|skipped| all_match(rest, &segments[skipped..])),
        (Some((one, rest)), Some(((id, whole), more))) => (text(one, id) || text(one, whole)) && all_match(rest, more),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_text() {
        for (pattern, value, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("step.*", "step.failed", true),
            ("*.failed", "step.failed", true),
            ("*.failed", "step.completed", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*a", "aa", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(text(pattern, value), matches, "{pattern} {value}");
        }
    }

    #[test]
    fn paths_match_segment_by_segment() {
        for (pattern, value, matches) in [
            ("/main/a", "/main/a", true),
            ("/main/a", "/main/a[3]~2", true),
            ("/main/a[3]", "/main/a[3]", true),
            ("/main/a[3]", "/main/a[2]", false),
            ("/main/a[*]/b", "/main/a[2]/b", true),
            ("/main/a[*]/b", "/main/a/b", false),
            ("/main/*", "/main/a/b", false),
            ("/main/**/b", "/main/b", true),
            ("/main/**/b", "/main/a/c/b", true),
            ("/**", "/main/a", true),
            ("**/sc*", "/main/a/scan", true),
        ] {
            assert_eq!(path(pattern, &value.parse().unwrap()), matches, "{pattern} {value}");
        }
    }
}
