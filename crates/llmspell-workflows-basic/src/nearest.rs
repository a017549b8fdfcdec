/// The maximum length of names to compare. Computing the distance takes quadratic time, and names
/// may be untrusted.
const COMPARED_BYTES_MAX: usize = 64;

/// Returns the candidate most similar to `name`, if one is similar enough to suggest.
///
/// A candidate may differ from `name` by at most one edit per three characters; case is ignored. Of equally similar
/// candidates, the alphabetically first is returned, so the result does not depend on their order.
/// Names longer than 64 bytes are never suggested.
///
/// ```
/// use llmspell_workflows_basic::nearest;
///
/// assert_eq!(nearest("metod", ["body", "headers", "method"]), Some("method"));
/// assert_eq!(nearest("zzz", ["body", "headers", "method"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let length = name.chars().count();
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let distance_max = length.max(candidate.chars().count()) / 3;
        Some(strsim::damerau_levenshtein(&name, &candidate)).filter(|distance| *distance <= distance_max)
    };
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= COMPARED_BYTES_MAX)
        .filter_map(|candidate| Some((distance(candidate)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_names_are_suggested() {
        for (name, expected) in [
            ("metod", Some("method")),
            ("METHOD", Some("method")),
            ("header", Some("headers")),
            ("ad", Some("add")),
            ("zzz", None),
            ("x", None),
            ("", None),
            ("über", Some("uber")),
        ] {
            assert_eq!(nearest(name, ["y", "add", "body", "headers", "method", "uber"]), expected, "{name}");
        }
    }

    #[test]
    fn ties_are_resolved_alphabetically() {
        assert_eq!(nearest("cat", ["hat", "bat", "rat"]), Some("bat"));
    }

    #[test]
    fn long_names_are_not_compared() {
        let (longest, longer) = ("a".repeat(64), "a".repeat(65));
        assert_eq!(nearest(&longest, [longest.as_str()]), Some(longest.as_str()));
        assert_eq!(nearest(&longer, [longest.as_str()]), None);
        assert_eq!(nearest(&longest, [longer.as_str()]), None);
    }
}
