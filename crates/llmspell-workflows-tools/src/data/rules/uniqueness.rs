use std::collections::HashMap;

use serde_json::{Value, json};

use super::collection::{Collection, normal};
use super::report::Report;
use crate::data::order::identity;
use crate::data::path::FieldPath;

const RULE: &str = "uniqueness";

/// Names that identify an item in any collection, in normal form.
const IDENTIFIERS: [&str; 3] = ["id", "uuid", "guid"];

/// Checks that no two items have the same values in all of `fields`; an item that lacks one is left out.
pub(super) fn given(collections: &[&Collection<'_>], fields: &[FieldPath], report: &mut Report) {
    let names: Vec<String> = fields.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    let with_fields = collections.iter().filter(|collection| fields.iter().all(|field| collection.has(field)));
    let mut checked = 0;
    for collection in with_fields {
        checked += 1;
        check(collection, fields, &names, report);
    }
    if checked == 0 {
        report.not_checkable(RULE, names, "no collection that was looked at has these fields");
    }
}

/// Checks the identifiers of each collection: `id`, `_id`, `uuid`, `guid`, and its own name with `_id` (the `user_id`
/// of `users`), each by itself.
pub(super) fn by_itself(collections: &[&Collection<'_>], report: &mut Report) {
    if collections.is_empty() {
        report.not_checkable(RULE, "input", "it has no array of objects");
    }
    for collection in collections {
        let identifiers = identifiers(collection);
        if identifiers.is_empty() {
            report.not_checkable(
                RULE,
                collection.title(),
                "its items have no `id`, `_id`, `uuid`, `guid` or own `…_id`",
            );
        }
        for name in identifiers {
            check(collection, &[FieldPath::key(name)], name, report);
        }
    }
}

/// The fields that identify an item of `collection`, sorted.
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
        check.looked_at();
        let before = *first.entry(identity(&json!(values))).or_insert(index);
        if before != index {
            let value = if let [one] = values.as_slice() { (*one).clone() } else { json!(values) };
            let message = format!("`{names}` is the same as in {}", collection.place(before));
            check.violated(&collection.place(index), &message, Some(&value));
        }
    }
    check.done();
}
