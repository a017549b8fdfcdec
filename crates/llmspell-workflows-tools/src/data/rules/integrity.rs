use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::collection::{Collection, normal};
use super::report::Report;
use super::uniqueness::identifiers;
use crate::data::order::identity;
use crate::data::path::FieldPath;

const RULE: &str = "referential_integrity";

/// Checks that each value of `field`, or each item where it is an array, is a `key` in `target`; null and missing refer
/// to nothing.
pub(super) fn given(
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
        report.not_checkable(RULE, field.to_string(), "no collection that was looked at has this field");
    }
}

/// Checks the fields that are named like references: `user_id` and `user_ids` (also `userId`, `userIds`) must point at
/// items of `user` or `users`.
///
/// The collection is looked for beside the one that refers, then anywhere; `parent_id` means the same collection where
/// there are no `parents`. The target's key is its `id`, else `_id`, `uuid`, `guid`, else the reference's own name.
pub(super) fn by_itself(collections: &[&Collection<'_>], all: &[Collection<'_>], report: &mut Report) {
    let mut found = false;
    for collection in collections {
        for name in references(collection) {
            found = true;
            let target = format!("{}: {name}", collection.title());
            let stem = stem_of(name).expect("a reference has a stem");
            match partner(collection, &stem, all) {
                None => {
                    let reason = format!("there is no array of objects named like `{stem}` that it could point at");
                    report.not_checkable(RULE, target, reason);
                }
                Some(partner) => match key_of(partner, &stem) {
                    None => {
                        let reason = format!("the items of {} have no `id` that it could point at", partner.title());
                        report.not_checkable(RULE, target, reason);
                    }
                    Some(key) => check(collection, &FieldPath::key(name), partner, &FieldPath::key(key), report),
                },
            }
        }
    }
    if !found {
        report.not_checkable(
            RULE,
            "input",
            "no collection has a field that is named like a reference, such as `user_id`",
        );
    }
}

/// The names of fields that refer to other items, sorted; a collection's own identifier is none.
fn references<'v>(collection: &Collection<'v>) -> BTreeSet<&'v str> {
    let own = identifiers(collection);
    let keys = collection.items.iter().filter_map(Value::as_object).flat_map(|item| item.keys());
    keys.map(String::as_str).filter(|name| stem_of(name).is_some() && !own.contains(name)).collect()
}

/// The `user` of `user_id`, `userId`, `user_ids`, `userIds`, in normal form; none for words such as `paid`.
fn stem_of(name: &str) -> Option<String> {
    let stem = ["_id", "_ids", "Id", "Ids", "-id", "-ids"].into_iter().find_map(|ending| name.strip_suffix(ending))?;
    let stem = normal(stem);
    (!stem.is_empty()).then_some(stem)
}

fn partner<'a, 'v>(from: &Collection<'_>, stem: &str, all: &'a [Collection<'v>]) -> Option<&'a Collection<'v>> {
    let named = || all.iter().filter(|collection| collection.is_named(stem));
    let beside = named().find(|collection| collection.parent == from.parent);
    let own = || all.iter().find(|collection| stem == "parent" && collection.path == from.path);
    beside.or_else(|| named().next()).or_else(own)
}

fn key_of<'v>(target: &Collection<'v>, stem: &str) -> Option<&'v str> {
    if target.items.is_empty() {
        // Whatever its key would be called, nothing is there to point at.
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
            check.looked_at();
            if !keys.contains(&identity(value)) {
                let message = format!("`{field}` points at nothing in {}", target.title());
                check.violated(&collection.place(index), &message, Some(value));
            }
        }
    }
    check.done();
}
