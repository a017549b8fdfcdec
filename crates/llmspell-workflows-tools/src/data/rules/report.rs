use serde_json::{Map, Value, json};

use crate::data::schema_check::Violations;

/// The findings of all rules.
#[derive(Default)]
pub(super) struct Report {
    violations: Violations,
    total: u64,
    checked: Vec<Value>,
}

/// A running check of a target, which counts values and violations until the check is finished.
pub(super) struct Check<'r> {
    report: &'r mut Report,
    rule: &'static str,
    target: String,
    values: u64,
    violations: u64,
}

impl Report {
    /// Starts a check of `target` for `rule`.
    pub(super) fn check(&mut self, rule: &'static str, target: impl Into<String>) -> Check<'_> {
        Check { report: self, rule, target: target.into(), values: 0, violations: 0 }
    }

    /// Records that `target` could not be checked, with the reason.
    pub(super) fn not_checkable(&mut self, rule: &'static str, target: impl Into<String>, reason: impl Into<String>) {
        let (target, reason) = (target.into(), reason.into());
        self.checked.push(json!({
            "rule": rule, "target": target, "checkable": false, "values": 0, "violations": 0, "reason": reason,
        }));
    }

    /// Returns the result of the tool.
    pub(super) fn into_result(self) -> Value {
        let complete = self.checked.iter().all(|check| check["checkable"] == true);
        json!({
            "valid": self.total == 0,
            "complete": complete,
            "violations": self.violations.listed,
            "truncated": self.violations.truncated,
            "checked": self.checked,
        })
    }
}

impl Check<'_> {
    /// Counts a checked value.
    pub(super) fn count_value(&mut self) {
        self.values += 1;
    }

    /// Adds a violation at `path`.
    pub(super) fn add_violation(&mut self, path: &str, message: &str, value: Option<&Value>) {
        self.violations += 1;
        self.report.total += 1;
        let entry: Map<String, Value> = [("path", path), ("rule", self.rule), ("message", message)]
            .into_iter()
            .map(|(key, text)| (key.to_owned(), json!(text)))
            .collect();
        self.report.violations.push(entry, value);
    }

    /// Records the counts of this check.
    pub(super) fn finish(self) {
        self.report.checked.push(json!({
            "rule": self.rule, "target": self.target, "checkable": true, "values": self.values,
            "violations": self.violations,
        }));
    }
}

/// Returns the schema's properties for [`Report::into_result`].
pub(super) fn result_properties(violation: &Value) -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "valid": { "type": "boolean", "description": "Whether there are no violations" },
        "complete": { "type": "boolean", "description": "Whether everything could be checked" },
        "violations": { "type": "array", "items": violation },
        "truncated": { "type": "boolean", "description": "Whether there are more violations than listed" },
        "checked": { "type": "array", "items": {
            "type": "object",
            "required": ["rule", "target", "checkable", "values", "violations"],
            "properties": {
                "rule": { "type": "string" },
                "target": { "type": "string" },
                "checkable": { "type": "boolean" },
                "values": count,
                "violations": count,
                "reason": { "type": "string", "description": "Why the target could not be checked" },
            },
            "additionalProperties": false,
        } },
    })
}
