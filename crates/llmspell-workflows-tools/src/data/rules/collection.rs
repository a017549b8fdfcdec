use serde_json::Value;

use crate::ToolError;
use crate::data::path::FieldPath;
use crate::data::support::invalid;
use llmspell_workflows_basic::nearest;

/// How many objects deep collections are looked for.
const DEPTH_MAX: usize = 8;

/// An array of objects in the input, which rules treat as a table.
pub(super) struct Collection<'v> {
    /// Where it is: `users`, `data.users`; empty where the input itself is the array.
    pub(super) path: String,
    /// The last name of its path, in the form that names are compared in; empty for the input itself.
    pub(super) name: String,
    /// Where the object is that has it.
    pub(super) parent: String,
    /// Its items, all objects.
    pub(super) items: &'v [Value],
}

impl<'v> Collection<'v> {
    /// All collections, in the order of their paths; arrays inside items are not looked into.
    pub(super) fn find_all(input: &'v Value) -> Vec<Self> {
        let mut found = Vec::new();
        find(input, String::new(), String::new(), "", 0, &mut found);
        found.sort_by(|left, right| left.path.cmp(&right.path));
        found
    }

    /// The one at `path`; the error says which there are.
    pub(super) fn at<'c>(all: &'c [Self], path: &str) -> Result<&'c Self, ToolError> {
        let found = all.iter().find(|collection| collection.path == path);
        found.ok_or_else(|| {
            let known = || all.iter().map(|collection| collection.path.as_str()).filter(|path| !path.is_empty());
            let help = match (nearest(path, known()), known().collect::<Vec<_>>()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, known) if known.is_empty() => "no array of objects has a name in the input".to_owned(),
                (None, known) => format!("there are `{}`", known.join("`, `")),
            };
            invalid("unknown_collection", format!("`input` has no array of objects at `{path}`")).with_help(help)
        })
    }

    /// The address of an item.
    pub(super) fn place(&self, index: usize) -> String {
        format!("{}[{index}]", self.path)
    }

    /// What results call the collection.
    pub(super) fn title(&self) -> &str {
        if self.path.is_empty() { "input" } else { &self.path }
    }

    /// Whether some item has something at `path`.
    pub(super) fn has(&self, path: &FieldPath) -> bool {
        self.items.iter().any(|item| path.get(item).is_some())
    }

    /// Whether `stem`, such as the `user` of `user_id`, means this collection: `user`, `users`, `Users`.
    pub(super) fn is_named(&self, stem: &str) -> bool {
        !self.name.is_empty() && (self.name == stem || singular(&self.name) == stem)
    }
}

/// A name in the form that names are compared in: without case, `_` and `-`.
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

/// The singular of a normal English plural; other words stay as they are.
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
    fn collections_are_found_through_objects() {
        let input = json!({"a": {"users": [{"x": [{}]}], "none": [], "mixed": [1, {}]}, "b": [{}]});
        let paths: Vec<_> = Collection::find_all(&input).iter().map(|one| one.path.clone()).collect();
        assert_eq!(paths, ["a.none", "a.users", "b"]);
        assert_eq!(Collection::find_all(&json!([{}]))[0].title(), "input");
    }

    #[test]
    fn a_stem_means_a_collection_of_that_name() {
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
