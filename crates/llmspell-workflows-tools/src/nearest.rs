/// The candidate that `name` was most likely meant to be, where one is near enough to suggest.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILAR_ENOUGH: f64 = 0.8;
    let scored = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    // Of equally near ones the first by name, so that the answer does not depend on the order of a map.
    scored
        .filter(|(score, _)| *score >= SIMILAR_ENOUGH)
        .max_by(|(a, left), (b, right)| a.total_cmp(b).then_with(|| right.cmp(left)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        for (name, expected) in [("metod", Some("method")), ("header", Some("headers")), ("zzz", None), ("", None)] {
            assert_eq!(nearest(name, ["body", "headers", "method"]), expected, "{name}");
        }
    }
}
