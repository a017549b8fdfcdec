use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Node;
use crate::ToolError;
use crate::data::support::invalid;

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

/// Finds the subschemas of a schema.
pub(super) struct Builder<'s> {
    root: &'s Value,
    nodes: Vec<Node>,
    /// The number of each subschema, by its address.
    known: HashMap<usize, usize>,
    /// Subschemas with unread keywords, each with the base schema of its references.
    open: Vec<(usize, &'s Value, &'s Value)>,
}

impl<'s> Builder<'s> {
    /// Returns all subschemas reachable from `schema`; the first is `schema` itself.
    pub(super) fn nodes(schema: &'s Value) -> Result<Vec<Node>, ToolError> {
        let mut builder = Self { root: schema, nodes: Vec::new(), known: HashMap::new(), open: Vec::new() };
        builder.node(schema, schema);
        while let Some((number, schema, base)) = builder.open.pop() {
            builder.fill(number, schema, base)?;
        }
        Ok(builder.nodes)
    }

    /// Returns the number of the subschema `schema`; its references are relative to `base`.
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

    /// Returns the possible targets of `reference`, which may depend on the draft.
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
            let message = format!("the reference `{reference}` in `schema` does not refer to any part of the schema");
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
        let digits = tail.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, digits) {
            (b'%', Some(byte)) => (bytes.push(byte), rest = &tail[2..]).1,
            _ => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
