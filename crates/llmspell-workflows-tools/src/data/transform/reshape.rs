use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ToolError;
use crate::data::order::{compare, identity, identity_of};
use crate::data::path::FieldPath;
use crate::data::row_files::{Held, text_bytes};
use crate::data::support::invalid;

type Item = Map<String, Value>;

/// The maximum number of items that a join may return, unless they are written to a file.
pub(super) const ITEMS_MAX: usize = 1_000_000;

/// A sort key of `by`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SortKey {
    /// A path, ascending.
    Field(String),
    /// A path with a sort direction.
    Object(SortKeyObject),
}

/// A sort key given as an object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SortKeyObject {
    field: String,
    #[serde(default)]
    order: Direction,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    #[default]
    Asc,
    Desc,
}

/// Sorts rows by the keys, most significant first. The sort is stable, and rows that lack a key come last in both
/// directions.
pub(super) struct Sort {
    keys: Vec<(FieldPath, Direction)>,
    rows: Vec<SortedRow>,
    held: Held,
}

/// A row kept until all rows can be sorted.
pub(super) enum SortedRow {
    Item(Item),
    /// A row from a file, kept as text because the text takes up less memory than the value.
    Text {
        keys: Vec<Option<Value>>,
        text: Box<[u8]>,
    },
}

impl Sort {
    pub(super) fn new(keys: Vec<SortKey>, held: Held) -> Result<Self, ToolError> {
        let keys = keys
            .into_iter()
            .map(|key| {
                let key = match key {
                    SortKey::Field(field) => SortKeyObject { field, order: Direction::Asc },
                    SortKey::Object(object) => object,
                };
                Ok((path(&key.field)?, key.order))
            })
            .collect::<Result<Vec<_>, ToolError>>()?;
        Ok(Self { keys, rows: Vec::new(), held })
    }

    /// Keeps a row; `text` is its JSON text if the row comes from a file.
    pub(super) fn add(&mut self, item: Item, text: Option<&[u8]>) -> Result<(), ToolError> {
        let row = match text {
            None => SortedRow::Item(item),
            Some(text) => {
                let keys: Vec<_> = self.keys.iter().map(|(path, _)| path.get_in(&item).cloned()).collect();
                self.held.add(text.len() + keys.iter().flatten().map(text_bytes).sum::<usize>())?;
                SortedRow::Text { keys, text: text.into() }
            }
        };
        self.rows.push(row);
        Ok(())
    }

    /// Returns the rows in sorted order.
    pub(super) fn into_sorted(self) -> Vec<SortedRow> {
        let Self { keys, mut rows, .. } = self;
        rows.sort_by(|left, right| {
            let by_key = |(at, (path, order)): (usize, &(FieldPath, Direction))| {
                compare_keys(left.key(at, path), right.key(at, path), *order)
            };
            keys.iter().enumerate().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        rows
    }
}

impl SortedRow {
    fn key(&self, at: usize, path: &FieldPath) -> Option<&Value> {
        match self {
            Self::Item(item) => path.get_in(item),
            Self::Text { keys, .. } => keys[at].as_ref(),
        }
    }
}

fn compare_keys(left: Option<&Value>, right: Option<&Value>, order: Direction) -> Ordering {
    let present = |value: Option<&'_ Value>| value.is_some_and(|value| !value.is_null());
    match (left, right, order) {
        _ if present(left) != present(right) => present(right).cmp(&present(left)),
        (Some(left), Some(right), Direction::Asc) => compare(left, right),
        (Some(left), Some(right), Direction::Desc) => compare(right, left),
        _ => Ordering::Equal,
    }
}

/// Keeps only `fields` of an item, at the same paths; missing fields are not added.
pub(super) fn select(item: &Item, fields: &[FieldPath]) -> Result<Item, ToolError> {
    let mut kept = Map::new();
    for field in fields {
        if let Some(value) = field.get_in(item) {
            field.set(&mut kept, value.clone()).map_err(|why| invalid("invalid_fields", why))?;
        }
    }
    Ok(kept)
}

/// Renames top-level fields; fails if two fields would have the same name.
pub(super) fn rename(item: Item, index: usize, names: &Map<String, Value>) -> Result<Item, ToolError> {
    let mut renamed = Map::new();
    for (name, value) in item {
        let new = match names.get(&name) {
            None => name,
            Some(Value::String(new)) => new.clone(),
            Some(_) => {
                return Err(invalid("invalid_mapping", format!("the new name of `{name}` must be a string")));
            }
        };
        if renamed.insert(new.clone(), value).is_some() {
            return Err(invalid("name_taken", format!("item {index} would have two fields named `{new}`")));
        }
    }
    Ok(renamed)
}

/// Flattens nested objects and arrays: `{"a": {"b": [1]}}` becomes `{"a.b[0]": 1}`; empty objects and arrays are kept.
pub(super) fn flatten(item: Item, index: usize, separator: &str) -> Result<Item, ToolError> {
    let mut flat = Map::new();
    for (name, value) in item {
        flatten_into(&mut flat, name, value, separator)
            .map_err(|name| invalid("name_taken", format!("item {index} would have two fields named `{name}`")))?;
    }
    Ok(flat)
}

fn flatten_into(flat: &mut Item, name: String, value: Value, separator: &str) -> Result<(), String> {
    match value {
        Value::Object(object) if !object.is_empty() => object
            .into_iter()
            .try_for_each(|(key, value)| flatten_into(flat, format!("{name}{separator}{key}"), value, separator)),
        Value::Array(items) if !items.is_empty() => items
            .into_iter()
            .enumerate()
            .try_for_each(|(index, value)| flatten_into(flat, format!("{name}[{index}]"), value, separator)),
        plain => match flat.insert(name.clone(), plain) {
            None => Ok(()),
            Some(_) => Err(name),
        },
    }
}

/// Finds items equal to an earlier item; with `fields`, only these fields are compared.
pub(super) struct Unique {
    fields: Vec<FieldPath>,
    seen: HashSet<String>,
    held: Held,
}

impl Unique {
    pub(super) fn new(fields: Vec<FieldPath>, held: Held) -> Self {
        Self { fields, seen: HashSet::new(), held }
    }

    /// Returns whether the item differs from all earlier items.
    pub(super) fn is_new(&mut self, item: &Item) -> Result<bool, ToolError> {
        let key = if self.fields.is_empty() {
            identity_of(item)
        } else {
            // A missing field differs from a null field.
            let values = self.fields.iter().map(|field| match field.get_in(item) {
                Some(value) => format!("{},", identity(value)),
                None => "-,".to_owned(),
            });
            values.collect()
        };
        if self.seen.contains(&key) {
            return Ok(false);
        }
        self.held.add(key.len())?;
        self.seen.insert(key);
        Ok(true)
    }
}

/// The path of the join key on each side; two items match if their keys are equal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinOn {
    left: String,
    right: String,
}

/// How the join treats left items without a match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Drops items without a match.
    #[default]
    Inner,
    /// Keeps items without a match unchanged.
    Left,
}

/// Joins items, and returns an item for each pair with equal keys: the fields of the left item, and
/// the fields of the right item with `prefix` before their names.
///
/// Missing and null keys never match. The right key is omitted if it has the same path as the left
/// key. Any other field that occurs on both sides is an error, which a prefix avoids.
pub(super) struct Join {
    on: JoinOn,
    left_key: FieldPath,
    right_key: FieldPath,
    kind: Kind,
    prefix: String,
    right: HashMap<String, Vec<Item>>,
}

impl Join {
    pub(super) fn new(on: JoinOn, kind: Kind, prefix: String) -> Result<Self, ToolError> {
        let (left_key, right_key) = (path(&on.left)?, path(&on.right)?);
        Ok(Self { on, left_key, right_key, kind, prefix, right: HashMap::new() })
    }

    /// Adds an item to the right side.
    pub(super) fn add_right(&mut self, item: Item) {
        if let Some(key) = key(&item, &self.right_key) {
            self.right.entry(key).or_default().push(item);
        }
    }

    /// Passes the joined items for a left item to `emit`.
    pub(super) fn take(
        &self,
        left: Item,
        mut emit: impl FnMut(Item) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        match key(&left, &self.left_key).and_then(|key| self.right.get(&key)) {
            None if self.kind == Kind::Left => emit(left),
            None => Ok(()),
            Some(found) => found.iter().try_for_each(|right| emit(merged(&left, right, &self.on, &self.prefix)?)),
        }
    }
}

fn key(item: &Item, path: &FieldPath) -> Option<String> {
    path.get_in(item).filter(|key| !key.is_null()).map(identity)
}

fn merged(left: &Item, right: &Item, on: &JoinOn, prefix: &str) -> Result<Item, ToolError> {
    let mut merged = left.clone();
    for (name, value) in right {
        if prefix.is_empty() && on.left == on.right && *name == on.right {
            continue;
        }
        let name = format!("{prefix}{name}");
        if merged.contains_key(&name) {
            return Err(invalid("name_taken", format!("both sides of the join have a field named `{name}`"))
                .with_help("set a `prefix` for the field names of the right side"));
        }
        merged.insert(name, value.clone());
    }
    Ok(merged)
}

/// Parses a path from a parameter.
pub(super) fn path(text: &str) -> Result<FieldPath, ToolError> {
    FieldPath::parse(text).map_err(|why| invalid("invalid_path", why))
}
