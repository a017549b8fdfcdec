use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{Change, StateError, StatePath, WorkflowState, combine};
use crate::model::OnConflict;

/// The changes that one branch made.
#[derive(Debug, Clone)]
pub struct Side {
    /// The branch's name, for messages.
    pub name: String,
    /// The branch's changes, in the order in which they were made.
    pub changes: Vec<Change>,
    /// The position of the branch in the order in which the branches ended, counted from 0.
    pub ended: usize,
}

/// A part of the state that branches set to different values.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// The path of the part.
    pub path: StatePath,
    /// Each branch's name and the value it set, in definition order.
    pub values: Vec<(String, Value)>,
}

/// The joined changes of all branches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Joined {
    /// The changes; no changed path is inside another.
    pub changes: Vec<Change>,
    /// The indices of the changes for which a policy or a function chose one of several different values.
    pub resolved: Vec<usize>,
}

/// Joins the changes of branches that all started from `base`; `sides` are in definition order.
///
/// Two changes conflict if one path is a prefix of the other and the values there differ. For
/// [`OnConflict::Custom`], `resolve` is called with the function's name.
///
/// # Errors
/// Returns the first conflict that cannot be resolved.
pub fn join(
    base: &WorkflowState,
    sides: &[Side],
    policy: &OnConflict,
    resolve: &mut dyn FnMut(&str, &Conflict) -> Option<Value>,
) -> Result<Joined, Conflict> {
    if sides.iter().filter(|side| !side.changes.is_empty()).count() <= 1 {
        let changes = sides.iter().flat_map(|side| side.changes.clone()).collect();
        return Ok(Joined { changes, resolved: Vec::new() });
    }
    let after: Vec<_> = sides.iter().map(|side| after(base, side)).collect();
    let roots = shortest(sides);
    let mut joined = Joined::default();
    for (path, involved) in roots {
        let values: Vec<_> = involved.iter().map(|side| after[*side].at(&path).cloned().unwrap_or_default()).collect();
        if !policy.combines() && values.windows(2).all(|pair| pair[0] == pair[1]) {
            joined.changes.push(Change::set(path, values.into_iter().next().unwrap_or_default()));
            continue;
        }
        let named = involved.iter().map(|side| sides[*side].name.clone()).zip(values).collect();
        let conflict = Conflict { path, values: named };
        let before = base.at(&conflict.path);
        let value = match policy {
            OnConflict::Error => None,
            OnConflict::Last => conflict.values.last().map(|(_, value)| value.clone()),
            OnConflict::First => {
                let first = involved.iter().enumerate().min_by_key(|(_, side)| sides[**side].ended);
                first.map(|(position, _)| conflict.values[position].1.clone())
            }
            OnConflict::Merge => merged(conflict.values.iter().map(|(_, value)| value)),
            OnConflict::Custom(name) => resolve(name, &conflict),
            OnConflict::Append => combine::appended(before, &conflict.values),
            OnConflict::Sum => combine::added(before, &conflict.values),
        };
        match value {
            Some(value) => {
                if !policy.combines() {
                    joined.resolved.push(joined.changes.len());
                }
                joined.changes.push(Change::set(conflict.path, value));
            }
            None => return Err(conflict),
        }
    }
    Ok(joined)
}

/// Returns the state after one branch, whose changes have already been applied once inside the branch.
fn after(base: &WorkflowState, side: &Side) -> WorkflowState {
    let mut state = base.clone();
    for change in &side.changes {
        let applied: Result<(), StateError> = state.apply(change.clone(), Timestamp::UNIX_EPOCH);
        debug_assert!(applied.is_ok(), "the branch has already applied this change: {applied:?}");
    }
    state
}

/// Returns the changed paths that are not inside another changed path, each with the sides that
/// changed this part of the state or something inside it.
fn shortest(sides: &[Side]) -> BTreeMap<StatePath, BTreeSet<usize>> {
    let paths: BTreeSet<&StatePath> = sides.iter().flat_map(|side| side.changes.iter().map(|c| &c.path)).collect();
    let mut roots: Vec<&StatePath> = Vec::new();
    // A path sorts directly before the paths that it contains.
    for path in paths {
        if !roots.last().is_some_and(|root| root.contains(path)) {
            roots.push(path);
        }
    }
    let mut involved: BTreeMap<StatePath, BTreeSet<usize>> = BTreeMap::new();
    for (number, side) in sides.iter().enumerate() {
        for change in &side.changes {
            let position = roots.partition_point(|root| **root <= change.path) - 1;
            involved.entry(roots[position].clone()).or_default().insert(number);
        }
    }
    involved
}

/// Merges objects deeply, concatenates arrays and keeps equal values; other values cannot be merged.
fn merged<'v>(values: impl Iterator<Item = &'v Value>) -> Option<Value> {
    let mut values = values.cloned();
    let first = values.next()?;
    values.try_fold(first, merge_two)
}

fn merge_two(one: Value, two: Value) -> Option<Value> {
    match (one, two) {
        (one, two) if one == two => Some(one),
        (Value::Object(mut one), Value::Object(two)) => {
            for (key, value) in two {
                let value = match one.remove(&key) {
                    Some(existing) => merge_two(existing, value)?,
                    None => value,
                };
                one.insert(key, value);
            }
            Some(Value::Object(one))
        }
        (Value::Array(mut one), Value::Array(two)) => {
            one.extend(two);
            Some(Value::Array(one))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn side(name: &str, ended: usize, changes: &[(&str, Value)]) -> Side {
        let changes = changes.iter().map(|(path, value)| Change::set(path.parse().unwrap(), value.clone())).collect();
        Side { name: name.into(), changes, ended }
    }

    fn joined(policy: &OnConflict, sides: &[Side]) -> Result<Value, String> {
        let mut base = WorkflowState::default();
        base.set("base", json!({"n": 0, "m": 0})).unwrap();
        let changes = join(&base, sides, policy, &mut |_, conflict| Some(json!(conflict.values.len())));
        let changes = changes.map_err(|conflict| conflict.path.to_string())?.changes;
        for change in changes {
            base.apply(change, Timestamp::UNIX_EPOCH).unwrap();
        }
        Ok(base.to_value())
    }

    #[test]
    fn each_policy_resolves_conflicts_as_documented() {
        let sides = [side("a", 1, &[("k", json!([1]))]), side("b", 0, &[("k", json!([2]))])];
        let k = |policy| joined(&policy, &sides).map(|state| state["k"].clone());
        assert_eq!(k(OnConflict::Error), Err("k".into()));
        assert_eq!(k(OnConflict::First), Ok(json!([2])));
        assert_eq!(k(OnConflict::Last), Ok(json!([2])));
        assert_eq!(k(OnConflict::Merge), Ok(json!([1, 2])));
        assert_eq!(k(OnConflict::Custom("count".into())), Ok(json!(2)));
    }

    #[test]
    fn append_and_sum_combine_changes_even_if_values_are_equal() {
        let sides = |one: Value, two: Value| [side("a", 1, &[("base.n", one)]), side("b", 0, &[("base.n", two)])];
        let n = |policy, sides: &[Side]| joined(&policy, sides).map(|state| state["base"]["n"].clone());
        assert_eq!(n(OnConflict::Sum, &sides(json!(2), json!(2))), Ok(json!(4)));
        assert_eq!(n(OnConflict::Sum, &sides(json!(2), json!(5))), Ok(json!(7)));
        assert_eq!(n(OnConflict::Sum, &sides(json!(2), json!("5"))), Err("base.n".into()));
        assert_eq!(n(OnConflict::Append, &sides(json!([1]), json!([2]))), Err("base.n".into()), "it was a number");
        let lists = [side("a", 1, &[("k", json!(["x"]))]), side("b", 0, &[("k", json!(["x"]))])];
        assert_eq!(joined(&OnConflict::Append, &lists).unwrap()["k"], json!(["x", "x"]));
        assert_eq!(joined(&OnConflict::Merge, &lists).unwrap()["k"], json!(["x"]), "equal values do not conflict");
        let one = [side("a", 1, &[("k", json!(["x"]))]), side("b", 0, &[])];
        assert_eq!(joined(&OnConflict::Append, &one).unwrap()["k"], json!(["x"]));
        let whole = [side("a", 0, &[("base", json!({"n": 1, "m": 9}))]), side("b", 1, &[("base.m", json!(2))])];
        assert_eq!(joined(&OnConflict::Sum, &whole).unwrap()["base"], json!({"n": 1, "m": 11}));
        let mut resolved = |_: &str, _: &Conflict| None;
        let sides = sides(json!(2), json!(5));
        let joined = join(&WorkflowState::default(), &sides, &OnConflict::Sum, &mut resolved).unwrap();
        assert!(joined.resolved.is_empty(), "nothing was chosen, so there is nothing to warn of");
    }

    #[test]
    fn siblings_do_not_conflict_but_a_parent_and_its_part_do() {
        let parts = [side("a", 0, &[("base.n", json!(1))]), side("b", 1, &[("base.m", json!(2))])];
        assert_eq!(joined(&OnConflict::Error, &parts).unwrap()["base"], json!({"n": 1, "m": 2}));
        let whole = [side("a", 0, &[("base", json!({"n": 1, "m": 9}))]), side("b", 1, &[("base.m", json!(2))])];
        assert_eq!(joined(&OnConflict::Error, &whole), Err("base".into()));
    }

    #[test]
    fn equal_values_do_not_conflict() {
        let sides = [side("a", 0, &[("k", json!(1)), ("k", json!(3))]), side("b", 1, &[("k", json!(3))])];
        assert_eq!(joined(&OnConflict::Error, &sides).unwrap()["k"], json!(3));
    }

    #[test]
    fn objects_merge_deeply_but_scalars_conflict() {
        let sides =
            [side("a", 0, &[("k", json!({"x": [1], "y": 1}))]), side("b", 1, &[("k", json!({"x": [2], "z": 1}))])];
        assert_eq!(joined(&OnConflict::Merge, &sides).unwrap()["k"], json!({"x": [1, 2], "y": 1, "z": 1}));
        let sides = [side("a", 0, &[("k", json!(1))]), side("b", 1, &[("k", json!(2))])];
        assert_eq!(joined(&OnConflict::Merge, &sides), Err("k".into()));
    }
}
