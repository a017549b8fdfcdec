use crate::tree::Span;

/// A replacement for a part of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edit {
    pub(crate) span: Span,
    pub(crate) text: String,
}

/// Applies `edits`, which must not overlap, to `text`; duplicate edits are applied once.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort();
    edits.dedup();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for Edit { span, text: new } in edits {
        let (start, end) = (span.start as usize, span.end as usize);
        if start >= at {
            out.push_str(&text[at..start]);
            out.push_str(&new);
            at = end;
        }
    }
    out.push_str(&text[at..]);
    out
}
