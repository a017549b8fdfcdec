//! The tokens that determine the layout of a YAML text.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::edits::Edit;
use crate::{
    diagnose::Finding,
    tree::{Span, options, scan_error},
};

/// The keys, multi-line tokens and anchors of a text.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// The keys of block mappings by start offset, each with the start offset of its value.
    pub(super) keys: HashMap<usize, (Span, usize)>,
    /// The outermost multi-line strings and bracketed collections, except block scalars.
    pub(super) wide: Vec<Span>,
    /// Multi-line strings, except block scalars.
    pub(super) wide_strings: Vec<Span>,
    /// The offsets of the `|` and `>` that begin block scalars.
    pub(super) headers: Vec<usize>,
    /// Unquoted scalars that are values rather than keys.
    pub(super) plain_values: Vec<Span>,
    /// The outermost nodes with an anchor that an alias refers to, in order.
    shared: Vec<Span>,
}

/// A collection that is not complete yet.
struct Open {
    start: usize,
    anchor: usize,
    is_flow: bool,
    is_map: bool,
    /// In a mapping, the key whose value comes next, and whether the key is a block collection.
    key: Option<(Span, bool)>,
}

struct Builder<'t> {
    text: &'t str,
    outline: Outline,
    open: Vec<Open>,
    anchored: HashMap<usize, Span>,
    aliased: HashSet<usize>,
    /// The end of the last token.
    at: usize,
}

impl Outline {
    pub(super) fn of(text: &str) -> Result<Self, Finding> {
        let mut builder = Builder {
            text,
            outline: Self::default(),
            open: Vec::new(),
            anchored: HashMap::new(),
            aliased: HashSet::new(),
            at: 0,
        };
        for next in Parser::new_from_str_with_options(text, options()) {
            let (event, span) = next.map_err(|error| scan_error(&error, text))?;
            let offset = |mark: &granit_parser::Marker| mark.byte_offset().unwrap_or_default();
            builder.event(&event, offset(&span.start), offset(&span.end));
        }
        let Builder { mut outline, anchored, aliased, .. } = builder;
        let shared = anchored.into_iter().filter(|(id, _)| aliased.contains(id)).map(|(_, span)| span).collect();
        outline.shared = outermost(shared);
        outline.wide.sort_unstable();
        Ok(outline)
    }

    /// Drops edits of parts that an alias repeats elsewhere, where their meaning may differ.
    pub(super) fn independent(&self, edits: Vec<Edit>) -> Vec<Edit> {
        let is_shared = |span: Span| {
            let number = self.shared.partition_point(|one| one.start <= span.start);
            number.checked_sub(1).is_some_and(|last| span.end <= self.shared[last].end)
        };
        edits.into_iter().filter(|edit| !is_shared(edit.span)).collect()
    }

    /// Returns the multi-line token that contains `offset`.
    pub(super) fn wide_around(&self, offset: usize) -> Option<Span> {
        around(&self.wide, offset)
    }

    /// Returns whether `offset` is inside a multi-line string.
    pub(super) fn is_in_string(&self, offset: usize) -> bool {
        around(&self.wide_strings, offset).is_some()
    }
}

/// Sorts `spans`, which must be disjoint or nested, and removes nested ones.
fn outermost(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut end = 0;
    spans.retain(|span| {
        let is_outer = span.end > end;
        end = end.max(span.end);
        is_outer
    });
    spans
}

fn around(spans: &[Span], offset: usize) -> Option<Span> {
    let number = spans.partition_point(|span| (span.start as usize) < offset);
    let last = *spans.get(number.checked_sub(1)?)?;
    ((last.end as usize) > offset).then_some(last)
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

impl Builder<'_> {
    fn event(&mut self, event: &Event<'_>, start: usize, end: usize) {
        match event {
            Event::Scalar(_, style, anchor, _) => self.scalar(*style, *anchor, start, end),
            Event::Alias(id) => {
                self.aliased.insert(*id);
                self.node(start, end, false);
            }
            Event::SequenceStart(style, anchor, _) => self.start(*style, *anchor, false, start),
            Event::MappingStart(style, anchor, _) => self.start(*style, *anchor, true, start),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, anchor, is_flow, .. }) = self.open.pop() else { return };
                if anchor != 0 {
                    self.anchored.insert(anchor, span(start, end));
                }
                if is_flow {
                    self.wide(start, end);
                }
                if is_flow {
                    self.at = end;
                }
                return self.node(start, end, !is_flow);
            }
            _ => return,
        }
        self.at = end;
    }

    fn start(&mut self, style: StructureStyle, anchor: usize, is_map: bool, start: usize) {
        let is_flow = style == StructureStyle::Flow;
        self.open.push(Open { start, anchor, is_flow, is_map, key: None });
    }

    fn scalar(&mut self, style: ScalarStyle, anchor: usize, start: usize, end: usize) {
        if anchor != 0 {
            self.anchored.insert(anchor, span(start, end));
        }
        let is_key = self.open.last().is_some_and(|open| open.is_map && open.key.is_none());
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => self.outline.headers.extend(header(self.text, self.at)),
            ScalarStyle::Plain if !is_key => self.outline.plain_values.push(span(start, end)),
            _ => {}
        }
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            if self.text[start..end].contains('\n') {
                self.outline.wide_strings.push(span(start, end));
            }
            self.wide(start, end);
        }
        self.node(start, end, false);
    }

    /// Records a multi-line token, unless it is inside brackets.
    fn wide(&mut self, start: usize, end: usize) {
        if self.text[start..end].contains('\n') && !self.open.iter().any(|open| open.is_flow) {
            self.outline.wide.push(span(start, end));
        }
    }

    /// Records a complete node in the mapping that contains it.
    fn node(&mut self, start: usize, end: usize, is_block: bool) {
        let Some(open) = self.open.last_mut().filter(|open| open.is_map) else { return };
        match open.key.take() {
            None => open.key = Some((span(start, end), is_block)),
            Some((key, false)) if !open.is_flow => {
                self.outline.keys.insert(key.start as usize, (key, start));
            }
            Some(_) => {}
        }
    }
}

/// Returns the offset of the indicator that begins the block scalar after `from`.
fn header(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        at += match first {
            '|' | '>' => return Some(at),
            '&' | '!' => rest.find([' ', '\t', '\n'])?,
            '#' => rest.find('\n')?,
            _ => first.len_utf8(),
        };
    }
}
