use llmspell_workflows_basic::{
    RunStatus,
    engine::{StepRecord, StepStatus},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Case, Ended, MockEntry, Mocks, Pattern, explain, explain::scalar};

/// A difference between a run and the expectations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Mismatch {
    /// The path of the difference, such as `status`, `output/greeting`, `order` or
    /// `steps/scan/skip_reason/code`.
    pub(crate) at: String,
    pub(crate) expected: Value,
    /// The actual value; `None` if there is no value at this path.
    pub(crate) got: Option<Value>,
    /// An explanation of the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Mismatch {
    pub(super) fn new(at: impl Into<String>, expected: Value, got: Option<Value>) -> Self {
        Self { at: at.into(), expected, got, note: None }
    }

    pub(super) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// Returns all differences between the actual and the expected result of `case`.
pub(super) fn mismatches(case: &Case, ended: &Ended, mocks: &Mocks) -> Vec<Mismatch> {
    let mut differences = Vec::new();
    let (expect, finished) = (&case.expect, &ended.finished);
    if expect.status() != finished.status.as_str() {
        let mismatch = Mismatch::new("status", expect.status().into(), Some(finished.status.as_str().into()));
        let note = match &finished.error {
            _ if finished.status == RunStatus::Waiting => Some(explain::waiting(case, ended)),
            _ if expect.status() == RunStatus::Waiting.as_str() => Some(explain::not_waiting(case, ended)),
            Some(_) => Some(explain::failed(case, ended)),
            None => None,
        };
        differences.push(Mismatch { note, ..mismatch });
    }
    if let Some(expected) = &expect.output {
        subset(expected, Some(&finished.output), "output", &mut differences);
    }
    if let Some(expected) = &expect.error {
        let got = finished.error.as_ref().map(|error| json!(error));
        error(expected, got.as_ref(), "error", &mut differences);
    }
    for (pattern, expected) in &expect.steps {
        step(pattern, expected, ended, &mut differences);
    }
    order(&expect.order, ended, &mut differences);
    for (key, expected) in &expect.calls {
        let got = mocks.calls(key);
        if got != Some(*expected) {
            differences.push(Mismatch::new(format!("calls/{key}"), (*expected).into(), got.map(Value::from)));
        }
    }
    // A run that waits unexpectedly has not had the opportunity to call the mocks.
    if finished.status != RunStatus::Waiting || expect.status() == finished.status.as_str() {
        differences.extend(unused(case, mocks));
    }
    differences
}

/// Returns the case's own mocks that have unused answers, except mocks whose number of calls the
/// case states.
fn unused(case: &Case, mocks: &Mocks) -> Vec<Mismatch> {
    let own = format!("{}/", case.at);
    let is_counted = |mock: &MockEntry| case.expect.calls.iter().any(|(key, _)| *key == mock.key);
    let own = mocks.all().filter(|(mock, _)| mock.at.starts_with(&own) && !is_counted(mock));
    own.filter_map(|(mock, calls)| unused_answers(mock, calls)).collect()
}

/// Returns the difference if `mock` has more answers than `calls`.
pub(super) fn unused_answers(mock: &MockEntry, calls: u64) -> Option<Mismatch> {
    let answers = mock.mock.answers_needed();
    let key = &mock.key;
    let note = match calls {
        _ if calls >= answers => return None,
        0 => format!("it was never called; remove the mock, or expect this with `calls: {{{}: 0}}`", scalar(key)),
        _ => format!(
            "some answers were not needed; remove them, or expect this with `calls: {{{}: {calls}}}`",
            scalar(key)
        ),
    };
    let expected = if answers == 1 { "at least one call".into() } else { format!("{answers} calls").into() };
    Some(Mismatch::new(format!("mocks/{key}"), expected, Some(calls.into())).with_note(note))
}

/// Compares values: objects must contain at least the expected fields, and everything else must be
/// equal.
fn subset(expected: &Value, got: Option<&Value>, at: &str, differences: &mut Vec<Mismatch>) {
    match (expected, got) {
        (Value::Object(fields), Some(Value::Object(got))) => {
            for (name, expected) in fields {
                subset(expected, got.get(name), &format!("{at}/{name}"), differences);
            }
        }
        (Value::Array(items), Some(Value::Array(got))) if items.len() == got.len() => {
            for (number, (expected, got)) in items.iter().zip(got).enumerate() {
                subset(expected, Some(got), &format!("{at}/{number}"), differences);
            }
        }
        // `1` equals `1.0`, but two integers that map to the same float may differ.
        (Value::Number(one), Some(Value::Number(two)))
            if (one.is_f64() || two.is_f64()) && one.as_f64() == two.as_f64() => {}
        (expected, got) if Some(expected) == got => {}
        (expected, got) => differences.push(Mismatch::new(at, expected.clone(), got.cloned())),
    }
}

/// Compares errors like [`subset`], but the actual message only has to contain the expected
/// message.
fn error(expected: &Value, got: Option<&Value>, at: &str, differences: &mut Vec<Mismatch>) {
    let mut expected = expected.clone();
    let expected_message = expected.as_object_mut().and_then(|fields| fields.remove("message"));
    if let Some(part) = expected_message {
        let message = got.and_then(|got| got["message"].as_str());
        let is_part = part.as_str().zip(message).is_some_and(|(part, message)| message.contains(part));
        if !is_part {
            differences.push(Mismatch::new(format!("{at}/message"), part, message.map(Value::from)));
        }
    }
    subset(&expected, got, at, differences);
}

fn step(pattern: &Pattern, expected: &Value, ended: &Ended, differences: &mut Vec<Mismatch>) {
    let at = format!("steps/{pattern}");
    let mut records: Vec<&StepRecord> = ended.steps.iter().filter(|record| pattern.matches(&record.path)).collect();
    // Without numbers, the path of a loop also matches its iterations.
    let is_whole = |record: &&StepRecord| record.path.to_string() == pattern.to_string();
    let has_no_number = |record: &&StepRecord| record.path.segments().last().is_some_and(|it| it.iteration.is_none());
    for one in [records.iter().copied().find(is_whole), single(records.iter().copied().filter(has_no_number))] {
        if let Some(one) = one.filter(|_| records.len() > 1) {
            records = vec![one];
        }
    }
    let record = match records.as_slice() {
        [record] => record,
        [] => {
            // A step that was never reached has no record.
            if expected["status"] != "pending" {
                differences
                    .push(Mismatch::new(at, expected.clone(), None).with_note("the run did not reach this step"));
            }
            return;
        }
        several => {
            let paths: Vec<_> = several.iter().map(|record| record.path.to_string()).collect();
            let note = format!("several steps match; name one of {}", paths.join(", "));
            return differences.push(Mismatch::new(at, expected.clone(), None).with_note(note));
        }
    };
    let mut expected = expected.clone();
    let error_expected = expected.as_object_mut().and_then(|fields| fields.remove("error"));
    let before = differences.len();
    subset(&expected, Some(&as_json(record, ended)), &at, differences);
    if let Some(expected) = error_expected {
        let got = record.error.as_ref().map(|error| json!(error));
        error(&expected, got.as_ref(), &format!("{at}/error"), differences);
    }
    let why = record.skip_reason.as_ref().map(ToString::to_string).or(record.error.as_ref().map(ToString::to_string));
    if let (Some(why), Some(mismatch)) = (why, differences.get_mut(before)) {
        mismatch.note = Some(why);
    }
}

/// Returns the only item.
fn single<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

fn as_json(record: &StepRecord, ended: &Ended) -> Value {
    let wait = ended.waits.get(&record.path.to_string());
    json!({
        "status": record.status.as_str(),
        "attempts": record.attempts,
        "output": record.output,
        "skip_reason": record.skip_reason,
        "waits_for": wait.and_then(|wait| wait.event.as_deref()),
    })
}

/// Checks that the expected steps started in the given order; other steps may start between them.
fn order(expected: &[Pattern], ended: &Ended, differences: &mut Vec<Mismatch>) {
    let ran: Vec<&StepRecord> = ended
        .steps
        .iter()
        .filter(|record| record.status != StepStatus::Skipped && record.path.segments().len() > 1)
        .collect();
    let mut left = ran.iter();
    let missing = expected.iter().find(|pattern| !left.any(|record| pattern.matches(&record.path)));
    if let Some(missing) = missing {
        let names: Vec<_> = expected.iter().map(ToString::to_string).collect();
        let paths: Vec<_> = ran.iter().map(|record| record.path.to_string()).collect();
        let note = match ran.iter().any(|record| missing.matches(&record.path)) {
            true => format!("`{missing}` did not start in the expected order"),
            false => format!("`{missing}` did not run"),
        };
        differences.push(Mismatch::new("order", json!(names), Some(json!(paths))).with_note(note));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(expected: Value, got: Value) -> Vec<String> {
        let mut differences = Vec::new();
        subset(&expected, Some(&got), "", &mut differences);
        differences.into_iter().map(|mismatch| mismatch.at).collect()
    }

    #[test]
    fn extra_object_fields_are_ignored_but_lists_must_match_exactly() {
        let none: [&str; 0] = [];
        assert_eq!(differs(json!({"a": 1}), json!({"a": 1.0, "b": 2})), none);
        assert_eq!(differs(json!({"a": {"b": [1]}}), json!({"a": {"b": [2], "c": 3}})), ["/a/b/0"]);
        assert_eq!(differs(json!([1]), json!([1, 2])), [""]);
        assert_eq!(differs(json!({"a": null}), json!({})), ["/a"]);
        assert_eq!(differs(json!("1"), json!(1)), [""]);
        assert_eq!(differs(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64)), [""]);
    }
}
