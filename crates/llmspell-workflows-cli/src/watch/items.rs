//! Loop items, as short texts.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use llmspell_workflows_basic::secrets::Masker;
use serde_json::Value;

use super::Place;
use crate::escape::escape_line;

/// The maximum length of a label, in characters.
const LABEL_CHARS_MAX: usize = 40;

/// The items of running loops.
#[derive(Default)]
pub(super) struct Items(Mutex<HashMap<String, Arc<Vec<Value>>>>);

impl Items {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Vec<Value>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, place: &Place, items: &Arc<Vec<Value>>) {
        self.lock().insert(place.to_string(), items.clone());
    }

    pub(super) fn remove(&self, place: &Place) {
        self.lock().remove(&place.to_string());
    }

    /// Returns the label of an iteration's item; `None` for other steps and for loops without
    /// items.
    pub(super) fn label(&self, place: &Place, masker: &Masker) -> Option<String> {
        let index = place.paths().last()?.segments().last()?.iteration?;
        let path = place.to_string();
        // The path contains the generation after the iteration number.
        let (before, generation) = path.rsplit_once(&format!("[{index}]"))?;
        let items = self.lock().get(&format!("{before}{generation}"))?.clone();
        let item = items.get(usize::try_from(index).ok()?)?;
        // The iteration number is shown anyway.
        (item.as_u64() != Some(index)).then(|| label(item, masker))
    }
}

/// Returns `item` as a short text on one line, with secrets masked.
fn label(item: &Value, masker: &Masker) -> String {
    let whole = || match item {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = match masker.is_empty() {
        // Secrets are masked before the text is cut.
        false => masker.masked(&whole()).into_owned(),
        true => beginning(item),
    };
    let text = escape_line(text.trim()).into_owned();
    match text.char_indices().nth(LABEL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Returns the beginning of a string or of another value's JSON, without rendering the whole value.
fn beginning(item: &Value) -> String {
    let mut text = Beginning(String::new());
    let _ = match item {
        Value::String(string) => text.write_str(string),
        other => write!(text, "{other}"),
    };
    text.0
}

/// Collects slightly more text than is shown.
struct Beginning(String);

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = (4 * LABEL_CHARS_MAX).saturating_sub(self.0.chars().count());
        self.0.extend(text.chars().take(room));
        if room == 0 { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_short_and_on_one_line() {
        for (item, expected) in [
            (json!("alpha"), "alpha".to_owned()),
            (json!({"a": [1, "x"]}), r#"{"a":[1,"x"]}"#.to_owned()),
            (json!("two\nlines"), "two\\u000alines".to_owned()),
            (json!("x".repeat(100)), format!("{}…", "x".repeat(40))),
            (json!(vec![7; 10_000]), format!("[{}7…", "7,".repeat(19))),
            (json!(null), "null".to_owned()),
        ] {
            assert_eq!(label(&item, &Masker::default()), expected);
        }
    }

    #[test]
    fn secrets_are_masked_before_a_label_is_cut() {
        let masker = Masker::new([("key", "correct-horse-battery")]);
        let item = json!(format!("{}correct-horse-battery", "x".repeat(30)));
        assert_eq!(label(&item, &masker), format!("{}***", "x".repeat(30)));
    }

    #[test]
    fn items_are_found_by_the_path_of_an_iteration() {
        let items = Items::default();
        let place = |text: &str| Place(vec![text.parse().unwrap()]);
        items.insert(&place("/main/a[1]/each"), &Arc::new(vec![json!("x"), json!("y")]));
        items.insert(&place("/main/each~2"), &Arc::new(vec![json!("z")]));
        let label = |text: &str| items.label(&place(text), &Masker::default());
        assert_eq!(label("/main/a[1]/each[1]").as_deref(), Some("y"));
        items.insert(&place("/main/numbers"), &Arc::new(vec![json!(0), json!(5)]));
        assert_eq!((label("/main/numbers[0]"), label("/main/numbers[1]").as_deref()), (None, Some("5")));
        assert_eq!(label("/main/each[0]~2").as_deref(), Some("z"));
        for other in ["/main/a[1]/each", "/main/a[1]", "/main/a[1]/each[2]", "/main/a[1]/each[1]/step"] {
            assert_eq!(label(other), None, "{other}");
        }
    }
}
