use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::collection::{Collection, normal};
use super::report::Report;
use super::uniqueness::identifiers;
use crate::data::order::identity;
use crate::data::path::FieldPath;

const RULE: &str = "referential_integrity";

/// Checks that each value of `field`, or each element of an array, occurs as a `key` in `target`; null and missing
/// values are ignored.
pub(super) fn check_reference(
    collections: &[&Collection<'_>],
    field: &FieldPath,
    target: &Collection<'_>,
    key: &FieldPath,
    report: &mut Report,
) {
    let mut checked = 0;
    for collection in collections.iter().filter(|collection| collection.has(field)) {
        checked += 1;
        check(collection, field, target, key, report);
    }
    if checked == 0 {
        report.not_checkable(RULE, field.to_string(), "no checked collection has this field");
    }
}

/// Checks the fields whose names look like references: `user_id` and `user_ids` (also `userId`, `userIds`) must refer
/// to items in `user` or `users`.
///
/// The target is looked up next to the referring collection first, then in the whole input; `parent_id` refers to its
/// own collection unless a collection `parent` or `parents` exists. The target's key is its `id`, `_id`, `uuid` or
/// `guid`, or else a field such as `user_id` in `users`.
pub(super) fn check_named_references(collections: &[&Collection<'_>], all: &[Collection<'_>], report: &mut Report) {
    let mut found = false;
    for collection in collections {
        for name in references(collection) {
            found = true;
            let target = format!("{}: {name}", collection.title());
            let stem = stem_of(name).expect("a reference has a stem");
            match target_of(collection, &stem, all) {
                None => {
                    let reason = format!("no array of objects matches the name `{stem}`");
                    report.not_checkable(RULE, target, reason);
                }
                Some(target_collection) => match key_of(target_collection, &stem) {
                    None => {
                        let reason = format!("the items of {} have no `id` to refer to", target_collection.title());
                        report.not_checkable(RULE, target, reason);
                    }
                    Some(key) => {
                        check(collection, &FieldPath::key(name), target_collection, &FieldPath::key(key), report);
                    }
                },
            }
        }
    }
    if !found {
        report.not_checkable(RULE, "input", "no collection has a reference field such as `user_id`");
    }
}

/// Returns the sorted names of fields that refer to other items, except the collection's own ids.
fn references<'v>(collection: &Collection<'v>) -> BTreeSet<&'v str> {
    let own = identifiers(collection);
    let keys = collection.items.iter().filter_map(Value::as_object).flat_map(|item| item.keys());
    keys.map(String::as_str).filter(|name| stem_of(name).is_some() && !own.contains(name)).collect()
}

/// Returns the normalized stem of a reference's name, such as `user` for `user_id`, `userId`, `user_ids` or `userIds`;
/// `None` for words such as `paid`.
fn stem_of(name: &str) -> Option<String> {
    let stem = ["_id", "_ids", "Id", "Ids", "-id", "-ids"].into_iter().find_map(|ending| name.strip_suffix(ending))?;
    let stem = normal(stem);
    (!stem.is_empty()).then_some(stem)
}

fn target_of<'a, 'v>(from: &Collection<'_>, stem: &str, all: &'a [Collection<'v>]) -> Option<&'a Collection<'v>> {
    let named = || all.iter().filter(|collection| collection.is_named(stem));
    let beside = named().find(|collection| collection.parent == from.parent);
    let own = || all.iter().find(|collection| stem == "parent" && collection.path == from.path);
    beside.or_else(|| named().next()).or_else(own)
}

fn key_of<'v>(target: &Collection<'v>, stem: &str) -> Option<&'v str> {
    if target.items.is_empty() {
        // The name of the key does not matter, because the target has no items.
        return Some("id");
    }
    let own = format!("{stem}id");
    let names = identifiers(target);
    let by_name = |wanted: &str| names.iter().copied().find(|name| normal(name) == wanted);
    ["id", "uuid", "guid", &own].into_iter().find_map(by_name)
}

fn check(
    collection: &Collection<'_>,
    field: &FieldPath,
    target: &Collection<'_>,
    key: &FieldPath,
    report: &mut Report,
) {
    let keys: HashSet<String> = target.items.iter().filter_map(|item| key.get(item)).map(identity).collect();
    let title = format!("{}: {field} in {}: {key}", collection.title(), target.title());
    let mut check = report.check(RULE, title);
    for (index, item) in collection.items.iter().enumerate() {
        let values = match field.get(item) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(values)) => values.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        for value in values {
            check.count_value();
            if !keys.contains(&identity(value)) {
                let message = format!("`{field}` does not match any item in {}", target.title());
                check.add_violation(&collection.item_path(index), &message, Some(value));
            }
        }
    }
    check.finish();
}
