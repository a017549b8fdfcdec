//! The language of conditions and templates, as its users see it.

mod evaluating;
mod functions;

use serde_json::{Value, json};

/// What the tables evaluate on.
fn scope() -> Value {
    json!({
        "task": {"type": "feature", "name": "login", "tags": ["a", "b"], "note": "", "size": 3},
        "user": {"name": "Ada", "langs": ["en", "it"], "address": {"zip": "10115"}},
        "steps": {"fetch-data": {"output": {"rows": [{"id": 7}, {"id": 8}]}}},
        "state": {"qa_status": "pass", "none": null},
        "n": 5, "f": 2.5, "zero": 0, "yes": true, "no": false, "nothing": null,
        "text": "grün ist schön", "list": [3, 1, 2], "empty": [], "key": "name", "index": 1,
        "big": 18_446_744_073_709_551_615_u64,
    })
}
