//! The name that was probably meant.

/// Names longer than this are not compared: the distance takes quadratic time.
const COMPARED_BYTES_MAX: usize = 64;

/// Finds the candidate that is nearest to `name`, if one is near enough to be worth a mention.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let length = name.chars().count();
    let distance_max = length / 3;
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= COMPARED_BYTES_MAX)
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&name, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}
