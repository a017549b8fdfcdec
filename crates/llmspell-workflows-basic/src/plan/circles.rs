//! References among variables and among conditions.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::expr::{Key, Reference, Template};

/// Returns the order in which variables are computed, with the values from `overrides`. If there is
/// a cycle, `Err` contains its variables.
///
/// The result does not depend on the order in which the definition declares the variables, because
/// a stored definition does not preserve that order.
pub(crate) fn variable_order<'v>(
    variables: &'v IndexMap<String, Template>,
    overrides: Option<&'v IndexMap<String, Template>>,
) -> Result<Vec<&'v str>, Vec<&'v str>> {
    in_order(variables.keys().map(String::as_str), |name| {
        let template = overrides.and_then(|overrides| overrides.get(name)).or_else(|| variables.get(name));
        let references = template.into_iter().flat_map(Template::references);
        references.filter_map(|found| referred(found.reference, "variables")).collect()
    })
}

/// Returns the name in `root`, such as `variables`, to which `reference` refers, by
/// `root.NAME` or by name alone.
pub(crate) fn referred<'r>(reference: &'r Reference, root: &str) -> Option<&'r str> {
    match reference.keys.first() {
        Some(Key::Name(name)) if reference.name == root => Some(name),
        _ => Some(reference.name.as_str()).filter(|name| *name != root),
    }
}

/// Returns `names` ordered so that each name follows the names it refers to. `refers`
/// returns the references of a name; names that are not in `names` are ignored. If there is a
/// cycle, `Err` contains its names.
pub(crate) fn in_order<'n>(
    names: impl IntoIterator<Item = &'n str>,
    refers: impl Fn(&'n str) -> Vec<&'n str>,
) -> Result<Vec<&'n str>, Vec<&'n str>> {
    let names: Vec<&str> = names.into_iter().collect();
    // Whether a name is in `order`; false for names on the path.
    let mut is_done: HashMap<&str, bool> = HashMap::new();
    let known: HashSet<&str> = names.iter().copied().collect();
    let mut order = Vec::with_capacity(names.len());
    for name in names {
        // The names on the path from `name`, each with its references that have not been visited
        // yet.
        let mut path: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut next = Some(name);
        while next.is_some() || !path.is_empty() {
            if let Some(name) = next.take() {
                match is_done.get(name) {
                    Some(true) => {}
                    Some(false) => {
                        let names = path.iter().map(|(name, _)| *name);
                        return Err(names.skip_while(|other| *other != name).collect());
                    }
                    None => {
                        is_done.insert(name, false);
                        let mut others: Vec<&str> =
                            refers(name).into_iter().filter(|other| known.contains(other)).collect();
                        others.reverse();
                        path.push((name, others));
                    }
                }
            }
            let Some((last, others)) = path.last_mut() else { continue };
            next = others.pop();
            if next.is_none() {
                is_done.insert(last, true);
                order.push(*last);
                path.pop();
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_names_they_refer_to() {
        let order = |edges: &'static [(&'static str, &'static [&'static str])]| {
            in_order(edges.iter().map(|(name, _)| *name), |name| {
                edges.iter().find(|(other, _)| *other == name).map(|(_, others)| others.to_vec()).unwrap_or_default()
            })
        };
        assert_eq!(order(&[]), Ok(vec![]));
        assert_eq!(order(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &["x"])]), Ok(vec!["c", "b", "a"]));
        assert_eq!(order(&[("a", &[]), ("b", &["a", "a"])]), Ok(vec!["a", "b"]));
        assert_eq!(order(&[("a", &["a"])]), Err(vec!["a"]));
        assert_eq!(order(&[("x", &["a"]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])]), Err(vec!["a", "b", "c"]));
    }

    #[test]
    fn long_chains_do_not_exhaust_the_stack() {
        let names: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
        let next = |name: &str| name.parse::<usize>().ok().and_then(|n| names.get(n + 1)).map(String::as_str);
        let order = in_order(names.iter().map(String::as_str), |name| next(name).into_iter().collect()).unwrap();
        assert_eq!((order.len(), order[0]), (100_000, "99999"));
    }
}
