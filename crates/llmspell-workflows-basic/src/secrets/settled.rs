//! Finds how much of a text can be shown even though more text follows.

use super::{Found, SECRET_BYTES_MIN, Search, cut::ELLIPSES};

/// Returns the number of bytes at the beginning of `text` that cannot become part of a secret when
/// more text follows. `found` contains the parts of `text` occupied by secrets.
pub(super) fn settled(text: &str, search: &Search, found: &[Found]) -> usize {
    let ends = [
        begun(text, 1, search),
        begun_in_lines(text, search),
        begun_before_ellipsis(text, search),
        begun_after_ellipsis(text, search),
    ];
    let end = ends.into_iter().flatten().min().unwrap_or(text.len());
    let around = found.iter().find(|part| part.bytes.start < end && end < part.bytes.end);
    around.map_or(end, |part| part.bytes.start)
}

/// Returns the start of the longest suffix of `text`, at least `bytes_min`
/// bytes, that begins a form.
fn begun(text: &str, bytes_min: usize, search: &Search) -> Option<usize> {
    let from = text.ceil_char_boundary(text.len().saturating_sub(search.longest));
    let to = text.len().checked_sub(bytes_min)?;
    (from..=to).filter(|at| text.is_char_boundary(*at)).find(|at| begins(&text[*at..], search))
}

/// Returns whether `text` is the beginning of a longer form.
fn begins(text: &str, search: &Search) -> bool {
    // The forms are sorted.
    let first = search.found.partition_point(|(_, form)| *form.text < *text);
    let mut with_beginning = search.found[first..].iter().take_while(|(_, form)| form.text.starts_with(text));
    with_beginning.any(|(_, form)| form.text.len() > text.len())
}

/// Like [`begun`], for base64 continued on the next line.
fn begun_in_lines(text: &str, search: &Search) -> Option<usize> {
    if !text.contains('\n') {
        return None;
    }
    let (mut joined, mut positions) = (String::with_capacity(text.len()), Vec::new());
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let kept = line.trim_end_matches(['\n', '\r']);
        positions.push((joined.len(), at));
        joined.push_str(kept);
        at += line.len();
    }
    let begins = begun(&joined, 1, search)?;
    let (joined_at, at) = positions[positions.partition_point(|(joined_at, _)| *joined_at <= begins) - 1];
    Some(at + (begins - joined_at))
}

/// Like [`begun`], for the beginning of a form before a possible ellipsis.
fn begun_before_ellipsis(text: &str, search: &Search) -> Option<usize> {
    let before = text.trim_end_matches('.');
    begun(before, SECRET_BYTES_MIN, search).filter(|_| before.len() < text.len())
}

/// Returns the start of the text after an ellipsis, if this text may be an incomplete remainder of
/// a form.
fn begun_after_ellipsis(text: &str, search: &Search) -> Option<usize> {
    let from = text.floor_char_boundary(text.len().saturating_sub(search.longest));
    let after = ELLIPSES.into_iter().flat_map(|ellipsis| {
        text[from..].match_indices(ellipsis).map(move |(at, ellipsis)| from + at + ellipsis.len())
    });
    let is_inside =
        |at: &usize| *at < text.len() && search.found.iter().any(|(_, form)| form.text.contains(&text[*at..]));
    after.filter(is_inside).min()
}
