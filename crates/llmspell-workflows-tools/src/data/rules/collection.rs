use serde_json::Value;

use crate::ToolError;
use crate::data::path::FieldPath;
use crate::data::support::invalid;
use llmspell_workflows_basic::nearest;

/// The maximum nesting depth of the objects searched for collections.
const DEPTH_MAX: usize = 8;

/// An array of objects in the input, which rules treat as a table.
pub(super) struct Collection<'v> {
    /// The path of the array, such as `users` or `data.users`; empty if the input itself is the array.
    pub(super) path: String,
    /// The last segment of the path in normalized form; empty for the input itself.
    pub(super) name: String,
    /// The path of the object that contains the array.
    pub(super) parent: String,
    /// The items; all of them are objects.
    pub(super) items: &'v [Value],
}

impl<'v> Collection<'v> {
    /// Returns all collections, sorted by path; arrays inside items are not searched.
    pub(super) fn find_all(input: &'v Value) -> Vec<Self> {
        let mut found = Vec::new();
        find(input, String::new(), String::new(), "", 0, &mut found);
        found.sort_by(|left, right| left.path.cmp(&right.path));
        found
    }

    /// Returns the collection at `path`; the error lists the existing collections.
    pub(super) fn at<'c>(all: &'c [Self], path: &str) -> Result<&'c Self, ToolError> {
        let found = all.iter().find(|collection| collection.path == path);
        found.ok_or_else(|| {
            let known = || all.iter().map(|collection| collection.path.as_str()).filter(|path| !path.is_empty());
            let help = match (nearest(path, known()), known().collect::<Vec<_>>()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, known) if known.is_empty() => "the input has no named array of objects".to_owned(),
                (None, known) => format!("the collections are `{}`", known.join("`, `")),
            };
            invalid("unknown_collection", format!("`input` has no array of objects at `{path}`")).with_help(help)
        })
    }

    /// Returns the path of an item.
    pub(super) fn item_path(&self, index: usize) -> String {
        format!("{}[{index}]", self.path)
    }

    /// Returns the name of the collection in results.
    pub(super) fn title(&self) -> &str {
        if self.path.is_empty() { "input" } else { &self.path }
    }

    /// Returns whether any item has a value at `path`.
    pub(super) fn has(&self, path: &FieldPath) -> bool {
        self.items.iter().any(|item| path.get(item).is_some())
    }

    /// Returns whether `stem`, such as `user` in `user_id`, names this collection: the collection may be called
    /// `user`, `users` or `Users`.
    pub(super) fn is_named(&self, stem: &str) -> bool {
        !self.name.is_empty() && (self.name == stem || singular(&self.name) == stem)
    }
}

/// Normalizes a name for comparison: lower case, without `_` and `-`.
pub(super) fn normal(name: &str) -> String {
    name.chars().filter(|char| !matches!(char, '_' | '-')).flat_map(char::to_lowercase).collect()
}

fn find<'v>(value: &'v Value, path: String, parent: String, name: &str, depth: usize, found: &mut Vec<Collection<'v>>) {
    match value {
        Value::Array(items) if items.iter().all(Value::is_object) => {
            found.push(Collection { path, name: normal(name), parent, items });
        }
        Value::Object(object) if depth < DEPTH_MAX => {
            for (key, value) in object {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                find(value, below, path.clone(), key, depth + 1, found);
            }
        }
        _ => {}
    }
}

/// Returns the singular of a regular English plural; other words are unchanged.
fn singular(name: &str) -> String {
    if let Some(stem) = name.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for ending in ["sses", "shes", "ches", "xes"] {
        if name.ends_with(ending) {
            return name[..name.len() - 2].to_owned();
        }
    }
    match name.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn collections_are_found_in_objects_but_not_inside_items() {
        let input = json!({"a": {"users": [{"x": [{}]}], "none": [], "mixed": [1, {}]}, "b": [{}]});
        let paths: Vec<_> = Collection::find_all(&input).iter().map(|one| one.path.clone()).collect();
        assert_eq!(paths, ["a.none", "a.users", "b"]);
        assert_eq!(Collection::find_all(&json!([{}]))[0].title(), "input");
    }

    #[test]
    fn a_stem_matches_singular_and_plural_collection_names() {
        let table = [
            ("users", "user", true),
            ("User", "user", true),
            ("order_items", "orderitem", true),
            ("categories", "category", true),
            ("boxes", "box", true),
            ("addresses", "address", true),
            ("address", "address", true),
            ("status", "statu", true),
            ("users", "use", false),
            ("", "user", false),
        ];
        for (name, stem, expected) in table {
            let collection =
                Collection { path: name.to_owned(), name: normal(name), parent: String::new(), items: &[] };
            assert_eq!(collection.is_named(stem), expected, "{name} {stem}");
        }
    }
}
