//! Builds a tree from parser events, within limits.

use std::{borrow::Cow, collections::HashMap, collections::HashSet, sync::Arc};

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::{
    Data, Entry, Node, Span,
    scalar::{InvalidNumber, number, resolve},
    syntax::{scan_error, too_deep},
};
use crate::{
    diagnose::{Finding, Findings},
    limits,
};

/// The tree of a document, with the errors that did not prevent it from being parsed.
pub(crate) struct Parsed<'s> {
    pub(crate) root: Node<'s>,
    pub(crate) findings: Findings,
}

/// Returns the limits of the parser.
pub(crate) fn options() -> Options {
    granit_parser::options! {
        flow_nesting_limit: limits::NODE_NESTING,
        block_nesting_limit: limits::NODE_NESTING,
        simple_key_max_lookahead: limits::KEY_CHARS,
    }
}

/// Parses the single document in `text`.
pub(crate) fn parse(text: &str) -> Result<Parsed<'_>, Finding> {
    let mut tree = TreeBuilder {
        text,
        open: Vec::new(),
        anchors: HashMap::new(),
        findings: Findings::default(),
        nodes: 0,
        bytes: 0,
        root: None,
    };
    for next in Parser::new_from_str_with_options(text, options()) {
        let (event, span) = next.map_err(|error| scan_error(&error, text))?;
        let offset = |mark: &granit_parser::Marker| mark.byte_offset().unwrap_or_default() as u32;
        tree.event(event, Span { start: offset(&span.start), end: offset(&span.end) })?;
    }
    let TreeBuilder { root, findings, .. } = tree;
    match root {
        Some(root) => Ok(Parsed { root, findings }),
        None => Err(Finding::error("syntax", Span::default(), "the file is empty")
            .with_help("a definition needs at least `name` and `steps`")),
    }
}

struct OpenCollection<'s> {
    node: Node<'s>,
    /// In a mapping, the key whose value comes next.
    key: Option<(Cow<'s, str>, Span)>,
    /// The keys found so far; used only for large mappings.
    seen: HashSet<Cow<'s, str>>,
    anchor: usize,
}

struct TreeBuilder<'s> {
    text: &'s str,
    open: Vec<OpenCollection<'s>>,
    anchors: HashMap<usize, Arc<Node<'s>>>,
    findings: Findings,
    nodes: usize,
    bytes: usize,
    root: Option<Node<'s>>,
}

impl<'s> TreeBuilder<'s> {
    fn event(&mut self, event: Event<'s>, span: Span) -> Result<(), Finding> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                return Err(Finding::error("syntax", span, "a second document starts here")
                    .with_help("a file contains one definition"));
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.count(1, value.len(), span)?;
                let data = self.scalar(value, style, tag.as_deref(), span);
                self.place(Node { data, span }, anchor, style == ScalarStyle::Plain)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(Data::List(Vec::new()), "seq", anchor, tag.as_deref(), span)?
            }
            Event::MappingStart(_, anchor, tag) => {
                self.start(Data::Map(Vec::new()), "map", anchor, tag.as_deref(), span)?
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id).cloned() else {
                    return Err(Finding::error("syntax", span, "the alias refers to itself"));
                };
                self.count_copy(&target, span)?;
                self.place(Node { data: target.data.clone(), span }, 0, false)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, bytes: usize, span: Span) -> Result<(), Finding> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > limits::NODES || self.bytes > limits::TEXT_BYTES {
            let message = format!(
                "the document has more than {} values or {} bytes of text, with aliases expanded",
                limits::NODES,
                limits::TEXT_BYTES
            );
            return Err(Finding::error("too_large", span, message));
        }
        Ok(())
    }

    /// Counts a copy before it is created so that aliases of aliases cannot grow without limit.
    fn count_copy(&mut self, node: &Node<'s>, span: Span) -> Result<(), Finding> {
        let mut rest = vec![node];
        while let Some(node) = rest.pop() {
            self.count(1, node.as_text().map_or(0, str::len), span)?;
            match &node.data {
                Data::List(items) => rest.extend(items),
                Data::Map(entries) => {
                    self.count(0, entries.iter().map(|entry| entry.key.len()).sum(), span)?;
                    rest.extend(entries.iter().map(|entry| &entry.value));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn scalar(&mut self, value: Cow<'s, str>, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Data<'s> {
        let Some(tag) = tag else {
            if style != ScalarStyle::Plain {
                return Data::Text(value);
            }
            if let Some(finding) = dashes_without_spaces(span, self.text) {
                self.findings.push(finding);
            }
            return resolve(value).unwrap_or_else(|invalid| {
                let written = span.slice(self.text);
                let finding = match invalid {
                    InvalidNumber::TooLarge => {
                        let message = format!("`{written}` is too large to be represented exactly");
                        Finding::error("number_too_large", span, message)
                    }
                    InvalidNumber::NotFinite => {
                        Finding::error("bad_value", span, format!("`{written}` cannot be represented in JSON"))
                    }
                };
                self.findings.push(finding.with_help("write it in quotes if it is a string"));
                Data::Null
            });
        };
        let data = match tag.core_suffix() {
            Some("str") => Some(Data::Text(value)),
            Some("int" | "float") => number(&value).ok().flatten().map(Data::Number),
            Some("bool" | "null") => resolve(value).ok().filter(|data| matches!(data, Data::Bool(_) | Data::Null)),
            _ => None,
        };
        data.unwrap_or_else(|| {
            self.bad_tag(tag, span);
            Data::Null
        })
    }

    fn bad_tag(&mut self, tag: &Tag, span: Span) {
        let message = format!("the tag `{}` does not match its value", tag.original());
        self.findings.push(Finding::error("bad_value", span, message).with_help("remove the tag"));
    }

    fn start(
        &mut self,
        data: Data<'s>,
        core: &str,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Finding> {
        self.count(1, 0, span)?;
        if self.open.len() >= limits::NODE_NESTING {
            return Err(too_deep(span));
        }
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(core)) {
            self.bad_tag(tag, span);
        }
        self.open.push(OpenCollection { node: Node { data, span }, key: None, seen: HashSet::new(), anchor });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Finding> {
        let Some(OpenCollection { mut node, anchor, .. }) = self.open.pop() else { return Ok(()) };
        let written = self.text.get(node.span.start as usize..span.end as usize).unwrap_or_default();
        node.span.end = node.span.start + written.trim_end().len() as u32;
        self.place(node, anchor, false)
    }

    /// Adds a complete node to the open collection.
    fn place(&mut self, node: Node<'s>, anchor: usize, plain: bool) -> Result<(), Finding> {
        if anchor != 0 {
            self.count_copy(&node, node.span)?;
            self.anchors.insert(anchor, Arc::new(node.clone()));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.data, open.key.take()) {
            (Data::Map(entries), Some((key, key_span))) => {
                let is_new = if entries.len() < 16 {
                    entries.iter().all(|entry| entry.key != key)
                } else {
                    if open.seen.is_empty() {
                        open.seen.extend(entries.iter().map(|entry| entry.key.clone()));
                    }
                    open.seen.insert(key.clone())
                };
                if is_new {
                    entries.push(Entry { key, key_span, value: node });
                } else {
                    let mut message = format!("duplicate key `{key}`");
                    // Finding the line takes time, so this is skipped once there are many findings.
                    if !self.findings.is_crowded()
                        && let Some(first) = entries.iter().find(|entry| entry.key == key)
                    {
                        let line = 1 + self.text[..first.key_span.start as usize].matches('\n').count();
                        message += &format!(", which is also on line {line}");
                    }
                    let finding = Finding::error("duplicate_key", key_span, message);
                    self.findings.push(finding.with_help("keep one of the two"));
                }
            }
            (Data::Map(_), None) => open.key = Some(key(node, plain, self.text, &mut self.findings)),
            (Data::List(items), _) => items.push(node),
            _ => {}
        }
        Ok(())
    }
}

fn key<'s>(node: Node<'s>, plain: bool, text: &'s str, findings: &mut Findings) -> (Cow<'s, str>, Span) {
    let span = node.span;
    match node.data {
        Data::Text(key) => {
            if plain && key == "<<" {
                let finding =
                    Finding::error("unsupported", span, "merge keys are not supported, since YAML 1.2 has none");
                findings.push(finding.with_help("put settings shared by steps under `defaults`"));
            }
            (key, span)
        }
        Data::List(_) | Data::Map(_) => {
            findings.push(collection_as_key(span, text));
            (Cow::Borrowed(span.slice(text)), span)
        }
        Data::Null | Data::Bool(_) | Data::Number(_) => (Cow::Borrowed(span.slice(text)), span),
    }
}

/// Reports a string of several lines that is probably a list without spaces after the dashes.
fn dashes_without_spaces(span: Span, text: &str) -> Option<Finding> {
    let written = span.slice(text);
    let is_item = |line: &str| {
        line.trim_start().strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric()))
    };
    if !written.contains('\n') || !written.lines().all(is_item) {
        return None;
    }
    let first = written.lines().next().unwrap_or_default();
    let item = first.trim_start_matches('-');
    let span = Span { start: span.start, end: span.start + first.len() as u32 };
    let message = format!("missing space after the dash of `{first}`; without it, this is one string");
    Some(Finding::error("syntax", span, message).with_help(format!("write `- {item}`, or put the string in quotes")))
}

/// Reports a collection as a key, which is how YAML reads an unquoted `{{ name }}`.
fn collection_as_key(span: Span, text: &str) -> Finding {
    let (start, end) = (span.start as usize, span.end as usize);
    let written = span.slice(text);
    if text[..start].ends_with('{') && text[end..].starts_with('}') && !written.contains(['"', '\n']) {
        let span = Span { start: span.start - 1, end: span.end + 1 };
        let message = format!("`{{{written}}}` without quotes is a mapping in YAML, not an expression");
        return Finding::error("wrong_type", span, message)
            .with_help(format!("put the whole string in quotes: \"{{{written}}}\""));
    }
    Finding::error("wrong_type", span, "a key must be a string, got a collection")
        .with_help("put a string that starts with `{` or `[` in quotes, such as \"{{ query }}\"")
}
