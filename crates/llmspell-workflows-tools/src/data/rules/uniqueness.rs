use std::collections::HashMap;

use serde_json::{Value, json};

use super::collection::{Collection, normal};
use super::report::Report;
use crate::data::order::identity;
use crate::data::path::FieldPath;

const RULE: &str = "uniqueness";

/// The normalized names of fields that identify an item in any collection.
const IDENTIFIERS: [&str; 3] = ["id", "uuid", "guid"];

/// Checks that no two items have the same values in all of `fields`; items that lack any of the fields are ignored.
pub(super) fn check_fields(collections: &[&Collection<'_>], fields: &[FieldPath], report: &mut Report) {
    let names: Vec<String> = fields.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    let with_fields = collections.iter().filter(|collection| fields.iter().all(|field| collection.has(field)));
    let mut checked = 0;
    for collection in with_fields {
        checked += 1;
        check(collection, fields, &names, report);
    }
    if checked == 0 {
        report.not_checkable(RULE, names, "no checked collection has these fields");
    }
}

/// Checks each identifier of each collection separately: `id`, `_id`, `uuid`, `guid`, and the collection's own name
/// with `_id` (`user_id` in `users`).
pub(super) fn check_identifiers(collections: &[&Collection<'_>], report: &mut Report) {
    if collections.is_empty() {
        report.not_checkable(RULE, "input", "the input contains no array of objects");
    }
    for collection in collections {
        let identifiers = identifiers(collection);
        if identifiers.is_empty() {
            report.not_checkable(
                RULE,
                collection.title(),
                "the items have no identifier (`id`, `_id`, `uuid`, `guid` or `<collection>_id`)",
            );
        }
        for name in identifiers {
            check(collection, &[FieldPath::key(name)], name, report);
        }
    }
}

/// Returns the fields that identify an item of `collection`, sorted.
pub(super) fn identifiers<'v>(collection: &Collection<'v>) -> Vec<&'v str> {
    let is_identifier = |name: &&str| {
        let normal = normal(name);
        let own = normal.strip_suffix("id").is_some_and(|stem| collection.is_named(stem));
        own || IDENTIFIERS.contains(&normal.as_str())
    };
    let keys = collection.items.iter().filter_map(Value::as_object).flat_map(|item| item.keys());
    let mut names: Vec<&str> = keys.map(String::as_str).filter(is_identifier).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn check(collection: &Collection<'_>, fields: &[FieldPath], names: &str, report: &mut Report) {
    let mut check = report.check(RULE, format!("{}: {names}", collection.title()));
    let mut first: HashMap<String, usize> = HashMap::new();
    for (index, item) in collection.items.iter().enumerate() {
        let values: Option<Vec<&Value>> =
            fields.iter().map(|field| field.get(item).filter(|value| !value.is_null())).collect();
        let Some(values) = values else { continue };
        check.count_value();
        let before = *first.entry(identity(&json!(values))).or_insert(index);
        if before != index {
            let value = if let [one] = values.as_slice() { (*one).clone() } else { json!(values) };
            let message = format!("duplicate `{names}`, already used in {}", collection.item_path(before));
            check.add_violation(&collection.item_path(index), &message, Some(&value));
        }
    }
    check.finish();
}
