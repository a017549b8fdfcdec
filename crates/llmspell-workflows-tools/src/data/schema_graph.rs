//! How much work a JSON Schema can cause, found before it is compiled and before it is applied.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::support::{invalid, too_large};
use crate::ToolError;

/// The maximum number of values in a schema.
const SCHEMA_VALUES_MAX: usize = 20_000;

/// The maximum total length of the strings and names in a schema, in bytes.
const SCHEMA_TEXT_BYTES_MAX: usize = 1 << 20;

/// The maximum nesting of a schema.
const SCHEMA_NESTING_MAX: usize = 100;

/// The maximum number of references in a schema.
const SCHEMA_REFERENCES_MAX: usize = 1_000;

/// The maximum number of regular expressions in a schema.
const SCHEMA_PATTERNS_MAX: usize = 200;

/// The maximum number of subschemas of a schema once each reference is replaced by what it refers to.
const SCHEMA_EXPANDED_MAX: u64 = 100_000;

/// The maximum length of a chain of subschemas, each of which leads to the next.
const SCHEMA_CHAIN_MAX: usize = 150;

/// The maximum length of a chain of subschemas of a recursive schema that are applied to a value and to parts of it.
const SCHEMA_CALLS_MAX: usize = 600;

/// The maximum number of times that the subschemas of a recursive schema are applied to a value and its parts.
const SCHEMA_WORK_MAX: u64 = 2_000_000;

/// Keywords whose value is a list of schemas, a schema or an object of schemas for the same value.
const SAME_VALUE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];

/// Keywords whose value is a schema, or an object of schemas, for any part of the value.
const ANY_PART: [&str; 7] = [
    "additionalProperties",
    "additionalItems",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "propertyNames",
    "patternProperties",
];

/// The subschemas of a schema, and which of them apply to what.
#[derive(Debug)]
pub(super) struct SchemaGraph {
    nodes: Vec<Node>,
    /// Each subschema with those that apply to the same value because of it, and how often they do.
    closures: Vec<Closure>,
    is_recursive: bool,
}

/// The subschemas that apply to a value because one of them does.
#[derive(Debug, Clone, Default)]
struct Closure {
    /// Each subschema with how often it is applied.
    applied: HashMap<usize, u64>,
    /// The length of the longest chain of them.
    chain: usize,
}

/// A subschema.
#[derive(Debug, Default)]
struct Node {
    /// Subschemas for the same value.
    same: Vec<usize>,
    /// Subschemas for each part of the value.
    any: Vec<usize>,
    /// Subschemas for the field with this name.
    fields: HashMap<String, Vec<usize>>,
    /// Subschemas for the item at this position.
    items: HashMap<usize, Vec<usize>>,
}

impl SchemaGraph {
    /// Examines `schema`; fails if it is too large, refers to itself endlessly or to another document.
    pub(super) fn new(schema: &Value) -> Result<Self, ToolError> {
        check_size(schema)?;
        let mut builder = Builder { root: schema, nodes: Vec::new(), known: HashMap::new(), open: Vec::new() };
        builder.node(schema, schema);
        while let Some((number, schema, base)) = builder.open.pop() {
            builder.fill(number, schema, base)?;
        }
        let nodes = builder.nodes;
        let mut walk = Walk::new(&nodes);
        let expanded = walk.expanded(0, 1);
        if walk.is_too_long {
            return Err(too_complex(format!(
                "more than {SCHEMA_CHAIN_MAX} subschemas of `schema` lead to one another, the limit `SCHEMA_CHAIN_MAX`"
            )));
        }
        if expanded > SCHEMA_EXPANDED_MAX {
            return Err(too_complex(format!(
                "with its references replaced, `schema` has more than {SCHEMA_EXPANDED_MAX} subschemas, the limit `SCHEMA_EXPANDED_MAX`"
            )));
        }
        let is_recursive = walk.is_recursive;
        let closures = if is_recursive { closures(&nodes)? } else { Vec::new() };
        Ok(Self { nodes, closures, is_recursive })
    }

    /// Fails if applying the schema to `value` takes too much work, because the schema is recursive.
    pub(super) fn check_work(&self, value: &Value) -> Result<(), ToolError> {
        if !self.is_recursive {
            return Ok(());
        }
        let mut work = 0;
        match self.add_work(value, &HashMap::from([(0, 1)]), 0, &mut work) {
            Ok(()) => Ok(()),
            Err(Exceeded::Work) => Err(too_complex(format!(
                "checking the value would apply subschemas more than {SCHEMA_WORK_MAX} times, the limit `SCHEMA_WORK_MAX`"
            ))),
            Err(Exceeded::Calls) => Err(too_complex(format!(
                "checking the value would apply more than {SCHEMA_CALLS_MAX} subschemas within one another, the limit `SCHEMA_CALLS_MAX`"
            ))),
        }
    }

    /// Adds the work of applying the subschemas in `applied` to `value` and its parts, each as often as its number
    /// says; `calls` subschemas are being applied to what contains the value.
    fn add_work(
        &self,
        value: &Value,
        applied: &HashMap<usize, u64>,
        calls: usize,
        work: &mut u64,
    ) -> Result<(), Exceeded> {
        let mut here: HashMap<usize, u64> = HashMap::new();
        let calls = calls + applied.keys().map(|node| self.closures[*node].chain).max().unwrap_or(0);
        if calls > SCHEMA_CALLS_MAX {
            return Err(Exceeded::Calls);
        }
        for (node, times) in applied {
            for (inner, count) in &self.closures[*node].applied {
                // Following an entry is work too, even if many of them lead to the same subschema.
                *work = work.saturating_add(times.saturating_mul(*count)).saturating_add(1);
                let entry = here.entry(*inner).or_default();
                *entry = entry.saturating_add(times.saturating_mul(*count));
            }
        }
        if *work > SCHEMA_WORK_MAX {
            return Err(Exceeded::Work);
        }
        let mut part = |value: &Value, field: Option<&str>, position: usize| {
            let mut next: HashMap<usize, u64> = HashMap::new();
            for (node, times) in &here {
                let node = &self.nodes[*node];
                let named = field.map_or_else(|| node.items.get(&position), |name| node.fields.get(name));
                for inner in node.any.iter().chain(named.into_iter().flatten()) {
                    let entry = next.entry(*inner).or_default();
                    *entry = entry.saturating_add(*times);
                }
            }
            if next.is_empty() { Ok(()) } else { self.add_work(value, &next, calls, work) }
        };
        match value {
            Value::Array(items) => items.iter().enumerate().try_for_each(|(position, item)| part(item, None, position)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, field)| part(field, Some(name), 0)),
            _ => Ok(()),
        }
    }
}

/// The limit that applying a schema would exceed.
enum Exceeded {
    Work,
    Calls,
}

/// Fails if `schema` exceeds a limit on its size.
fn check_size(schema: &Value) -> Result<(), ToolError> {
    let (mut values, mut bytes, mut references, mut patterns) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut open = vec![(schema, 0_usize)];
    while let Some((value, depth)) = open.pop() {
        values += 1;
        if depth > SCHEMA_NESTING_MAX {
            return Err(too_complex(format!(
                "`schema` is nested deeper than {SCHEMA_NESTING_MAX}, the limit `SCHEMA_NESTING_MAX`"
            )));
        }
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                for (name, field) in fields {
                    bytes += name.len();
                    references += usize::from(name.ends_with("Ref") || name == "$ref");
                    patterns += match (name.as_str(), field) {
                        ("pattern", Value::String(_)) => 1,
                        ("patternProperties", Value::Object(all)) => all.len(),
                        _ => 0,
                    };
                    open.push((field, depth + 1));
                }
            }
            _ => {}
        }
    }
    for (count, max, what, limit) in [
        (values, SCHEMA_VALUES_MAX, "values", "SCHEMA_VALUES_MAX"),
        (bytes, SCHEMA_TEXT_BYTES_MAX, "bytes of text", "SCHEMA_TEXT_BYTES_MAX"),
        (references, SCHEMA_REFERENCES_MAX, "references", "SCHEMA_REFERENCES_MAX"),
        (patterns, SCHEMA_PATTERNS_MAX, "regular expressions", "SCHEMA_PATTERNS_MAX"),
    ] {
        if count > max {
            return Err(too_complex(format!("`schema` has more than {max} {what}, the limit `{limit}`")));
        }
    }
    Ok(())
}

struct Builder<'s> {
    root: &'s Value,
    nodes: Vec<Node>,
    /// The number of each subschema, by its address.
    known: HashMap<usize, usize>,
    /// Subschemas whose keywords have not been read yet, each with the schema that its references are relative to.
    open: Vec<(usize, &'s Value, &'s Value)>,
}

impl<'s> Builder<'s> {
    /// Returns the number of the subschema `schema`; `base` is what references in it are relative to.
    fn node(&mut self, schema: &'s Value, base: &'s Value) -> usize {
        let address = std::ptr::from_ref(schema).addr();
        if let Some(number) = self.known.get(&address) {
            return *number;
        }
        let number = self.nodes.len();
        self.nodes.push(Node::default());
        self.known.insert(address, number);
        let has_id = schema.get("$id").or_else(|| schema.get("id")).is_some_and(Value::is_string);
        self.open.push((number, schema, if has_id { schema } else { base }));
        number
    }

    /// Returns the numbers of the schemas in `value`, the value of a keyword.
    fn all(&mut self, value: &'s Value, base: &'s Value, has_names: bool) -> Vec<usize> {
        match value {
            Value::Array(items) => items.iter().map(|item| self.node(item, base)).collect(),
            Value::Object(fields) if has_names => fields.values().map(|field| self.node(field, base)).collect(),
            Value::Object(_) => vec![self.node(value, base)],
            _ => Vec::new(),
        }
    }

    fn fill(&mut self, number: usize, schema: &'s Value, base: &'s Value) -> Result<(), ToolError> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        let mut node = Node::default();
        for (keyword, value) in keywords {
            match keyword.as_str() {
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    let reference = value.as_str().unwrap_or_default();
                    let targets = self.targets(reference, base)?;
                    node.same.extend(targets.into_iter().map(|target| self.node(target, base)));
                }
                "properties" => {
                    for (name, field) in value.as_object().into_iter().flatten() {
                        let field = self.node(field, base);
                        node.fields.entry(name.clone()).or_default().push(field);
                    }
                }
                "items" | "prefixItems" if value.is_array() => {
                    for (position, item) in value.as_array().into_iter().flatten().enumerate() {
                        let item = self.node(item, base);
                        node.items.entry(position).or_default().push(item);
                    }
                }
                "items" => node.any.push(self.node(value, base)),
                name if SAME_VALUE.contains(&name) => {
                    node.same.extend(self.all(value, base, matches!(name, "dependentSchemas" | "dependencies")));
                }
                name if ANY_PART.contains(&name) => node.any.extend(self.all(value, base, name == "patternProperties")),
                _ => {}
            }
        }
        self.nodes[number] = node;
        Ok(())
    }

    /// Returns the subschemas that `reference` may refer to; more than one if that depends on the rules of a draft.
    fn targets(&self, reference: &str, base: &'s Value) -> Result<Vec<&'s Value>, ToolError> {
        let (document, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = unescaped(fragment);
        let mut bases = Vec::new();
        if document.is_empty() {
            bases.push(base);
            // In some drafts, a fragment is relative to the whole document.
            if !std::ptr::eq(base, self.root) {
                bases.push(self.root);
            }
        } else {
            find(self.root, &mut bases, &|fields| {
                let id = fields.get("$id").or_else(|| fields.get("id")).and_then(Value::as_str);
                id.is_some_and(|id| {
                    let id = id.trim_end_matches('#');
                    id.ends_with(document) || document.ends_with(id) && !id.is_empty()
                })
            });
        }
        let mut targets: Vec<&Value> = Vec::new();
        for base in &bases {
            match fragment.as_str() {
                "" => targets.push(base),
                pointer if pointer.starts_with('/') => targets.extend(base.pointer(pointer)),
                anchor => find(base, &mut targets, &|fields| {
                    let is = |name: &str, prefix: &str| {
                        fields
                            .get(name)
                            .and_then(Value::as_str)
                            .is_some_and(|text| text.strip_prefix(prefix) == Some(anchor))
                    };
                    is("$anchor", "") || is("$dynamicAnchor", "") || is("$id", "#") || is("id", "#")
                }),
            }
        }
        // The schemas of JSON Schema itself are built in.
        if targets.is_empty() && !document.contains("json-schema.org/") {
            let message = format!("the reference `{reference}` in `schema` does not refer to a part of it");
            return Err(invalid("invalid_schema", message).with_help("references to other documents are not followed"));
        }
        Ok(targets)
    }
}

/// Collects all objects in `value` that `is_wanted` accepts.
fn find<'s>(value: &'s Value, found: &mut Vec<&'s Value>, is_wanted: &dyn Fn(&Map<String, Value>) -> bool) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find(item, found, is_wanted)),
        Value::Object(fields) => {
            if is_wanted(fields) {
                found.push(value);
            }
            fields.values().for_each(|field| find(field, found, is_wanted));
        }
        _ => {}
    }
}

/// Replaces `%XX` in the fragment of a reference.
fn unescaped(fragment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = fragment.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => (bytes.push(byte), rest = &tail[2..]).1,
            _ => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Walk<'n> {
    nodes: &'n [Node],
    expanded: Vec<Option<u64>>,
    is_open: Vec<bool>,
    is_recursive: bool,
    is_too_long: bool,
}

impl<'n> Walk<'n> {
    fn new(nodes: &'n [Node]) -> Self {
        let count = nodes.len();
        Self {
            nodes,
            expanded: vec![None; count],
            is_open: vec![false; count],
            is_recursive: false,
            is_too_long: false,
        }
    }

    /// Returns the number of subschemas of a node, with references replaced; a recursion is replaced once.
    ///
    /// `chain` is the number of subschemas that lead to this one, itself included.
    fn expanded(&mut self, number: usize, chain: usize) -> u64 {
        self.is_too_long |= chain > SCHEMA_CHAIN_MAX;
        if self.is_too_long {
            return 1;
        }
        if self.is_open[number] {
            self.is_recursive = true;
            return 1;
        }
        if let Some(known) = self.expanded[number] {
            return known;
        }
        self.is_open[number] = true;
        let nodes = self.nodes;
        let node = &nodes[number];
        let below = node
            .same
            .iter()
            .chain(&node.any)
            .chain(node.fields.values().flatten())
            .chain(node.items.values().flatten());
        let total = below.fold(1_u64, |total, inner| total.saturating_add(self.expanded(*inner, chain + 1)));
        self.is_open[number] = false;
        self.expanded[number] = Some(total);
        total
    }
}

/// Returns for each node what applies to the same value because of it; fails if a node applies to the same value because
/// of itself.
fn closures(nodes: &[Node]) -> Result<Vec<Closure>, ToolError> {
    let mut closing =
        Closing { nodes, closures: vec![None; nodes.len()], is_open: vec![false; nodes.len()], entries: 0 };
    (0..nodes.len()).try_for_each(|number| closing.close(number))?;
    Ok(closing.closures.into_iter().map(Option::unwrap_or_default).collect())
}

struct Closing<'n> {
    nodes: &'n [Node],
    closures: Vec<Option<Closure>>,
    is_open: Vec<bool>,
    /// The total number of entries of all closures.
    entries: u64,
}

impl Closing<'_> {
    fn close(&mut self, number: usize) -> Result<(), ToolError> {
        if self.closures[number].is_some() {
            return Ok(());
        }
        if self.is_open[number] {
            return Err(invalid("invalid_schema", "`schema` refers to itself for the same value, which never ends"));
        }
        self.is_open[number] = true;
        let mut own = Closure { applied: HashMap::from([(number, 1)]), chain: 1 };
        let nodes = self.nodes;
        for inner in &nodes[number].same {
            self.close(*inner)?;
            let Some(closure) = &self.closures[*inner] else { continue };
            own.chain = own.chain.max(closure.chain + 1);
            for (node, count) in &closure.applied {
                let entry = own.applied.entry(*node).or_default();
                *entry = entry.saturating_add(*count);
            }
        }
        self.entries += own.applied.len() as u64;
        if self.entries > SCHEMA_WORK_MAX {
            return Err(too_complex(format!(
                "too many subschemas of `schema` apply to the same value: the limit `SCHEMA_WORK_MAX` is {SCHEMA_WORK_MAX}"
            )));
        }
        self.is_open[number] = false;
        self.closures[number] = Some(own);
        Ok(())
    }
}

fn too_complex(message: String) -> ToolError {
    too_large("schema_too_complex", message).with_help("split the schema, or check parts of the value separately")
}
