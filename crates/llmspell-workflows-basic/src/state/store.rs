use std::sync::Arc;

use jiff::Timestamp;
use rpds::{ListSync, RedBlackTreeMapSync};
use serde_json::{Map, Value};
use serde_json_path::JsonPath;

use super::{Change, Edit, Key, List, SharedValue, StatePath, StatePathError};

/// The state of a run, or a branch's copy of that state.
///
/// Reads and writes take time logarithmic in the number of keys; [`Clone`] takes constant time.
///
/// ```
/// use llmspell_workflows_basic::WorkflowState;
/// use serde_json::json;
///
/// let mut state = WorkflowState::new(json!({"query": "rust"}));
/// let branch = state.clone();
/// state.set("review.findings", json!([{"file": "a.rs"}]))?;
/// assert_eq!(state.get("$.review.findings[0].file")?, &json!("a.rs"));
/// assert_eq!(state.get("$input.query")?, &json!("rust"));
/// assert!(branch.get("review").is_err());
/// # Ok::<(), llmspell_workflows_basic::state::StateError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct WorkflowState {
    data: RedBlackTreeMapSync<Arc<str>, SharedValue>,
    history: ListSync<StateChange>,
}

/// An entry of a state's history.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// When the part was set.
    pub timestamp: Timestamp,
    /// The changed part.
    pub path: StatePath,
    /// The value before the change.
    pub old_value: Option<SharedValue>,
    /// The value after the change.
    pub new_value: SharedValue,
}

/// An error that occurred while reading or writing a part of the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The part does not exist.
    #[error("the state has no value at `{0}`")]
    NotFound(String),
    /// The path is invalid.
    #[error(transparent)]
    Path(#[from] StatePathError),
    /// The JSONPath query is invalid.
    #[error("invalid JSONPath query `{query}`: {message}")]
    Query {
        /// The query.
        query: String,
        /// What is wrong with the query.
        message: String,
    },
    /// A parent of the part is not an object or an array.
    #[error("cannot set `{path}`: {on_the_way}")]
    Blocked {
        /// The path that cannot be set.
        path: String,
        /// Why the path cannot be set.
        on_the_way: String,
    },
}

impl StateError {
    /// Returns the stable code, documented under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "state_not_found",
            Self::Path(error) => error.code(),
            Self::Query { .. } => "invalid_query",
            Self::Blocked { .. } => "state_blocked",
        }
    }
}

impl WorkflowState {
    /// Creates a state with the run's input under `$input`.
    #[must_use]
    pub fn new(initial_data: Value) -> Self {
        let mut data = RedBlackTreeMapSync::new_sync();
        data.insert_mut("$input".into(), initial_data.into());
        Self { data, history: ListSync::new_sync() }
    }

    /// Returns the part at `path`, for example `review.findings[0]` or `$.review.findings[0]`.
    ///
    /// # Errors
    /// Fails if the path is invalid or the part does not exist.
    pub fn get(&self, path: &str) -> Result<&Value, StateError> {
        let parsed: StatePath = path.parse()?;
        self.at(&parsed).ok_or_else(|| StateError::NotFound(path.to_owned()))
    }

    /// Returns the part at `path`, if it exists.
    #[must_use]
    pub fn at(&self, path: &StatePath) -> Option<&Value> {
        let (first, rest) = path.0.split_first()?;
        let Key::Name(name) = first else { return None };
        let top: &Value = self.data.get(name.as_str())?;
        rest.iter().try_fold(top, |value, key| match key {
            Key::Name(name) => value.get(name),
            Key::Index(index) => value.get(index),
        })
    }

    /// Returns the value of the top-level key `key`, if it exists.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&Value> {
        self.data.get(key).map(|value| &**value)
    }

    /// Returns the value of the top-level key `key`, which may share parts with other values, if it exists.
    pub(crate) fn shared(&self, key: &str) -> Option<&SharedValue> {
        self.data.get(key)
    }

    /// Returns all values that a JSONPath (RFC 9535) query selects, such as `$.findings[?@.severity == 'high'].file`.
    ///
    /// # Errors
    /// Fails if the query is invalid.
    pub fn select(&self, query: &str) -> Result<Vec<Value>, StateError> {
        let parsed = JsonPath::parse(query)
            .map_err(|error| StateError::Query { query: query.to_owned(), message: error.message().to_owned() })?;
        Ok(parsed.query(&self.to_value()).all().into_iter().cloned().collect())
    }

    /// Sets the part at `path`.
    ///
    /// Missing parents are created. An index equal to an array's length appends an item.
    ///
    /// # Errors
    /// Fails if the path is invalid, or a parent is not an object or an array.
    pub fn set(&mut self, path: &str, value: Value) -> Result<(), StateError> {
        self.apply(Change::set(path.parse()?, value), Timestamp::now())
    }

    /// Applies `change` and adds it to the history.
    ///
    /// # Errors
    /// Fails if a parent of the part is not an object or an array.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Result<(), StateError> {
        let Change { path, edit } = change;
        let root: Arc<str> = path.root().into();
        let top = self.data.get(&root);
        let blocked = |on_the_way| StateError::Blocked { path: path.to_string(), on_the_way };
        let (old_value, new_value) = match (&path.0[1..], edit) {
            ([], Edit::Set(value)) => (top.map(SharedValue::unshared), value.into()),
            ([], Edit::Append(append)) => (top.map(SharedValue::unshared), append.apply_to(top).map_err(blocked)?),
            (inside, edit) => {
                let old_value = self.at(&path).cloned().map(SharedValue::from);
                let mut whole = top.map(SharedValue::to_arc).unwrap_or_default();
                let slot = slot_at(Arc::make_mut(&mut whole), inside).map_err(blocked)?;
                let new_value = match edit {
                    Edit::Set(value) => {
                        slot.clone_from(&value);
                        value.into()
                    }
                    Edit::Append(append) => {
                        append.apply_in_place(slot).map_err(blocked)?;
                        slot.clone().into()
                    }
                };
                self.data.insert_mut(root, whole.into());
                self.history.push_front_mut(StateChange { timestamp: now, path, old_value, new_value });
                return Ok(());
            }
        };
        self.data.insert_mut(root, new_value.clone());
        // Not shared, so that the history does not retain an assembled copy of a growing list for
        // each length.
        let new_value = new_value.unshared();
        self.history.push_front_mut(StateChange { timestamp: now, path, old_value, new_value });
        Ok(())
    }

    /// Turns a change that only adds items to a list of this state into an append of these items.
    ///
    /// ```
    /// use llmspell_workflows_basic::{WorkflowState, state::{Change, Edit}};
    /// use serde_json::json;
    ///
    /// let mut state = WorkflowState::default();
    /// state.set("list", json!([1, 2]))?;
    /// let Edit::Append(append) = state.shortened(Change::key("list", json!([1, 2, 3]))).edit else { panic!() };
    /// assert_eq!((append.at(), &append.items()[..]), (2, &[json!(3)][..]));
    /// # Ok::<(), llmspell_workflows_basic::state::StateError>(())
    /// ```
    #[must_use]
    pub fn shortened(&self, change: Change) -> Change {
        let Change { path, edit: Edit::Set(value) } = &change else { return change };
        let ([], Some(top), Value::Array(new)) = (&path.0[1..], self.data.get(path.root()), &**value) else {
            return change;
        };
        let added = match &**top {
            Value::Array(old) if !old.is_empty() && new.starts_with(old) => Arc::from(&new[old.len()..]),
            _ => return change,
        };
        match List::after(top, added) {
            Some(list) => Change { path: path.clone(), edit: Edit::Append(list.into()) },
            None => change,
        }
    }

    /// Copies every key of `other` except `$input`.
    pub fn merge(&mut self, other: &Self) {
        let now = Timestamp::now();
        for (key, value) in other.data.iter().filter(|(key, _)| &***key != "$input") {
            let path = StatePath(vec![Key::Name(key.to_string())]);
            let old_value = self.data.get(key).map(SharedValue::unshared);
            if old_value.as_ref() != Some(value) {
                let new_value = value.unshared();
                self.history.push_front_mut(StateChange { timestamp: now, path, old_value, new_value });
                self.data.insert_mut(key.clone(), value.clone());
            }
        }
    }

    /// Returns all changes, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<StateChange> {
        let mut changes: Vec<_> = self.history.iter().cloned().collect();
        changes.reverse();
        changes
    }

    /// Returns the whole state as an object, without `$input`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let entries = self.data.iter().filter(|(key, _)| &***key != "$input");
        Value::Object(entries.map(|(key, value)| (key.to_string(), value.clone().into_value())).collect())
    }

    /// Returns the names of all top-level keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.data.keys().map(|key| &**key)
    }
}

/// Returns a mutable reference to the part at `keys` inside `value`; creates missing parents.
fn slot_at<'v>(mut value: &'v mut Value, keys: &[Key]) -> Result<&'v mut Value, String> {
    for key in keys {
        if value.is_null() {
            *value = match key {
                Key::Name(_) => Value::Object(Map::new()),
                Key::Index(_) => Value::Array(Vec::new()),
            };
        }
        value = inside(value, key)?;
    }
    Ok(value)
}

fn inside<'v>(value: &'v mut Value, key: &Key) -> Result<&'v mut Value, String> {
    match (key, value) {
        (Key::Name(name), Value::Object(map)) => Ok(map.entry(name.clone()).or_insert(Value::Null)),
        (Key::Index(index), Value::Array(items)) => item(items, *index),
        (Key::Name(name), _) => Err(format!("the parent of `{name}` is not an object")),
        (Key::Index(index), _) => Err(format!("the parent of [{index}] is not an array")),
    }
}

fn item(items: &mut Vec<Value>, index: usize) -> Result<&mut Value, String> {
    if index == items.len() {
        items.push(Value::Null);
    }
    let count = items.len();
    items.get_mut(index).ok_or_else(|| format!("[{index}] is beyond the end of an array of {count}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::Append;

    #[test]
    fn set_creates_missing_parents() {
        let mut state = WorkflowState::default();
        state.set("a.b[0].c", json!(1)).unwrap();
        state.set("a.b[1]", json!("x")).unwrap();
        assert_eq!(state.to_value(), json!({"a": {"b": [{"c": 1}, "x"]}}));
        assert_eq!(state.get("$.a.b[1]").unwrap(), "x");
        assert_eq!(state.get("a.z"), Err(StateError::NotFound("a.z".into())));
    }

    #[test]
    fn set_explains_why_a_path_is_blocked() {
        let mut state = WorkflowState::default();
        state.set("a", json!("text")).unwrap();
        let error = state.set("a.b", json!(1)).unwrap_err().to_string();
        assert_eq!(error, "cannot set `a.b`: the parent of `b` is not an object");
        state.set("list", json!([1])).unwrap();
        let error = state.set("list[2]", json!(1)).unwrap_err().to_string();
        assert_eq!(error, "cannot set `list[2]`: [2] is beyond the end of an array of 1");
    }

    #[test]
    fn clones_are_isolated_and_have_their_own_history() {
        let mut one = WorkflowState::new(json!(7));
        one.set("k", json!(1)).unwrap();
        let mut two = one.clone();
        two.set("k", json!(2)).unwrap();
        assert_eq!((one.get("k"), two.get("k")), (Ok(&json!(1)), Ok(&json!(2))));
        assert_eq!((one.history().len(), two.history().len()), (1, 2));
        assert_eq!(two.history()[1].old_value, Some(json!(1).into()));
    }

    fn shortened(state: &WorkflowState, value: Value) -> Value {
        json!(state.shortened(Change::key("list", value)))
    }

    #[test]
    fn only_additions_to_a_list_become_appends() {
        let mut state = WorkflowState::default();
        let set = |value: Value| json!({"path": "list", "value": value});
        assert_eq!(shortened(&state, json!([1])), set(json!([1])));
        state.set("list", json!([1, 2])).unwrap();
        assert_eq!(shortened(&state, json!([1, 2, 3])), json!({"path": "list", "append": {"at": 2, "items": [3]}}));
        for other in [json!([1]), json!([1, 3, 3]), json!([3, 1, 2]), json!({"list": [1, 2]}), json!(null)] {
            assert_eq!(shortened(&state, other.clone()), set(other));
        }
    }

    #[test]
    fn an_append_has_the_same_effect_as_setting_the_whole_list() {
        for (before, after) in [(json!([1, 2]), json!([1, 2, 3])), (json!([1, 2, 9, 9]), json!([1, 2, 3]))] {
            for path in ["list", "around.list"] {
                let mut state = WorkflowState::default();
                state.set(path, before.clone()).unwrap();
                let edit = Edit::Append(Append::new(2, [json!(3)]));
                state.apply(Change { path: path.parse().unwrap(), edit }, Timestamp::UNIX_EPOCH).unwrap();
                assert_eq!(state.get(path).unwrap(), &after);
                let last = state.history().pop().unwrap();
                assert_eq!((last.old_value, last.new_value), (Some(before.clone().into()), after.clone().into()));
            }
        }
    }

    #[test]
    fn appends_to_a_shorter_list_or_another_type_are_rejected() {
        for (before, message) in [
            (json!([1]), "cannot set `list`: cannot keep 2 items: the list has only 1"),
            (json!("text"), "cannot set `list`: not a list"),
        ] {
            let mut state = WorkflowState::default();
            state.set("list", before).unwrap();
            let edit = Edit::Append(Append::new(2, [json!(3)]));
            let error = state.apply(Change { path: "list".parse().unwrap(), edit }, Timestamp::UNIX_EPOCH);
            assert_eq!(error.unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_growing_list_takes_linear_space() {
        let mut state = WorkflowState::default();
        state.set("list", json!([])).unwrap();
        let mut length = 0;
        let mut lengths = Vec::new();
        for number in 0..100 {
            let mut whole = state.get("list").unwrap().clone();
            whole.as_array_mut().unwrap().push(json!(number));
            let change = state.shortened(Change::key("list", whole));
            length += json!(change).to_string().len();
            lengths.extend(change.after());
            state.apply(change, Timestamp::UNIX_EPOCH).unwrap();
        }
        assert!(length < 100 * 60, "{length} bytes of changes");
        assert!(lengths.iter().enumerate().all(|(number, list)| list.as_array().unwrap().len() == number + 1));
        let unread = state.history().into_iter().filter(|change| change.new_value.list().is_some());
        assert_eq!(unread.count(), 99);
    }

    #[test]
    fn select_evaluates_json_path_queries() {
        let mut state = WorkflowState::default();
        state.set("files", json!([{"n": 1, "name": "a"}, {"n": 5, "name": "b"}])).unwrap();
        assert_eq!(state.select("$.files[?@.n > 2].name").unwrap(), [json!("b")]);
        assert!(state.select("files[").is_err());
    }

    #[test]
    fn merge_copies_every_key_except_the_input() {
        let mut one = WorkflowState::new(json!(1));
        let mut two = WorkflowState::new(json!(2));
        two.set("k", json!("v")).unwrap();
        one.merge(&two);
        assert_eq!((one.get("$input"), one.get("k")), (Ok(&json!(1)), Ok(&json!("v"))));
    }
}
