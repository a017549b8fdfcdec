use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ToolError;
use crate::data::order::{compare, identity};
use crate::data::path::FieldPath;
use crate::data::support::{invalid, too_large};

type Item = Map<String, Value>;

/// The maximum number of items that a join may return.
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

/// The object form of a sort key.
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

/// Sorts by the keys, most significant first. The sort is stable, and items that lack a key come last in both
/// directions.
pub(super) fn sort(items: &mut [Item], keys: Vec<SortKey>) -> Result<(), ToolError> {
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
    items.sort_by(|left, right| {
        let by_key =
            |(path, order): &(FieldPath, Direction)| compare_keys(path.get_in(left), path.get_in(right), *order);
        keys.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    Ok(())
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

/// Keeps only `fields` of each item, at the same paths; missing fields are not added.
pub(super) fn select(items: Vec<Item>, fields: &[FieldPath]) -> Result<Vec<Item>, ToolError> {
    let one = |item: Item| {
        let mut kept = Map::new();
        for field in fields {
            if let Some(value) = field.get_in(&item) {
                field.set(&mut kept, value.clone()).map_err(|why| invalid("invalid_fields", why))?;
            }
        }
        Ok(kept)
    };
    items.into_iter().map(one).collect()
}

/// Renames top-level fields; fails if two fields would get the same name.
pub(super) fn rename(items: Vec<Item>, names: &Map<String, Value>) -> Result<Vec<Item>, ToolError> {
    let one = |(index, item): (usize, Item)| {
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
    };
    items.into_iter().enumerate().map(one).collect()
}

/// Flattens nested objects and arrays: `{"a": {"b": [1]}}` becomes `{"a.b[0]": 1}`; empty objects and arrays are kept.
pub(super) fn flatten(items: Vec<Item>, separator: &str) -> Result<Vec<Item>, ToolError> {
    let one = |(index, item): (usize, Item)| {
        let mut flat = Map::new();
        for (name, value) in item {
            flatten_into(&mut flat, name, value, separator)
                .map_err(|name| invalid("name_taken", format!("item {index} would have two fields named `{name}`")))?;
        }
        Ok(flat)
    };
    items.into_iter().enumerate().map(one).collect()
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

/// Keeps only the first of several items that are equal; with `fields`, only these fields are compared.
pub(super) fn unique(items: Vec<Item>, fields: &[FieldPath]) -> Vec<Item> {
    let mut seen = HashSet::new();
    let key = |item: &Item| {
        if fields.is_empty() {
            return identity(&Value::Object(item.clone()));
        }
        // A missing field differs from a null field.
        let values: Vec<Value> =
            fields.iter().map(|field| json!([field.get_in(item), field.get_in(item).is_some()])).collect();
        identity(&json!(values))
    };
    items.into_iter().filter(|item| seen.insert(key(item))).collect()
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

/// Returns an item for each pair with equal keys: the fields of the left item, and the fields of the right item with
/// `prefix` before their names.
///
/// Missing and null keys never match. The right key is omitted if it has the same path as the left key. Any other field
/// that occurs on both sides is an error; a prefix avoids it.
pub(super) fn join(
    items: Vec<Item>,
    with: &[Item],
    on: &JoinOn,
    kind: Kind,
    prefix: &str,
) -> Result<Vec<Item>, ToolError> {
    let (left_key, right_key) = (path(&on.left)?, path(&on.right)?);
    let key = |item: &Item, path: &FieldPath| path.get_in(item).filter(|key| !key.is_null()).map(identity);
    let mut right_items: HashMap<String, Vec<&Item>> = HashMap::new();
    for right in with {
        if let Some(key) = key(right, &right_key) {
            right_items.entry(key).or_default().push(right);
        }
    }
    let mut joined = Vec::new();
    for left in items {
        let found = key(&left, &left_key).and_then(|key| right_items.get(&key));
        match found {
            None if kind == Kind::Left => joined.push(left),
            None => {}
            Some(found) => {
                for right in found {
                    joined.push(merged(&left, right, on, prefix)?);
                }
            }
        }
        if joined.len() > ITEMS_MAX {
            return Err(too_large("too_many_items", format!("the join produces more than {ITEMS_MAX} items")));
        }
    }
    Ok(joined)
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
