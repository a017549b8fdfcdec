//! Records stay readable. Lines may be added to `golden/format-2.jsonl`, but existing lines must not be changed.

use std::collections::BTreeSet;

use llmspell_workflows_basic::engine::{DecisionKey, Who};
use llmspell_workflows_state::{
    End, Record, Request, Resumption, Suspension,
    record::{StoredEdit, StoredValue},
};
use serde_json::Value;

use crate::fields::Fields;

const GOLDEN: &str = include_str!("golden/format-2.jsonl");
const FORMAT_DOC: &str = include_str!("../../../../docs/journal-format.md");

fn records() -> Vec<Record> {
    GOLDEN
        .lines()
        .map(|line| Record::decode(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

#[test]
fn golden_records_round_trip() {
    for (line, record) in GOLDEN.lines().zip(records()) {
        let written = String::from_utf8(record.encode().unwrap()).unwrap();
        assert_eq!(written, line);
        assert_eq!(Record::from_json(&serde_json::from_str(line).unwrap()), Ok(record));
    }
}

#[test]
fn every_kind_of_record_and_choice_has_a_golden_record() {
    let records = records();
    let kinds: BTreeSet<&str> = records.iter().map(Record::kind).collect();
    assert_eq!(kinds, Record::KINDS.iter().copied().collect());
    let choices: BTreeSet<&str> = records
        .iter()
        .filter_map(|record| match record {
            Record::Decided { decision, .. } => Some(decision.kind()),
            _ => None,
        })
        .collect();
    assert_eq!(choices, DecisionKey::KINDS.iter().copied().collect());
}

#[test]
fn every_field_is_set_in_a_golden_record() {
    let mut fields = Fields::default();
    records().iter().for_each(|record| fields.add(record));
    assert_eq!(fields.missing(), Vec::<String>::new());
}

/// Returns the names of the smaller enums' variants that occur in golden records. A new
/// variant causes a compile error until its name is added here.
fn variants() -> BTreeSet<&'static str> {
    let of_ends = |end: &End| match end {
        End::Completed { .. } => "completed",
        End::Skipped(_) => "skipped",
        End::Failed(_) => "failed",
        End::Cancelled(_) => "cancelled",
    };
    fn of_values(value: &StoredValue, seen: &mut BTreeSet<&'static str>) {
        let name = match value {
            StoredValue::Value(_) => "v",
            StoredValue::OutputOf(_) => "r",
            StoredValue::Object(entries) => {
                entries.iter().for_each(|(_, inner)| of_values(inner, seen));
                "o"
            }
            StoredValue::List(items) => {
                items.iter().for_each(|inner| of_values(inner, seen));
                "a"
            }
            StoredValue::Changed(_) => "c",
            StoredValue::Apart(_) => "b",
            StoredValue::Masked(_) => "m",
        };
        seen.insert(name);
    }
    let of_edits = |edit: &StoredEdit| match edit {
        StoredEdit::Value(_) => "value",
        StoredEdit::Append { .. } => "append",
        StoredEdit::Grown { .. } => "grown",
        StoredEdit::Same(_) => "same",
    };
    let mut seen = BTreeSet::new();
    for record in records() {
        match record {
            Record::Ended { end, .. } => {
                seen.insert(of_ends(&end));
                if let End::Completed { output, changes } = &end {
                    of_values(output, &mut seen);
                    seen.extend(changes.iter().map(|change| of_edits(&change.edit)));
                }
            }
            Record::Asked { request, by, .. } => {
                seen.insert(match request {
                    Request::Cancel => "cancel",
                    Request::CancelAndCompensate => "cancel_and_compensate",
                    Request::Pause => "pause",
                });
                seen.insert(match by.who {
                    Who::Process => "process",
                    Who::User => "user",
                    Who::Hook => "hook",
                    Who::Parent => "parent",
                    Who::Child => "child",
                    Who::Record => panic!("this requester is never recorded"),
                });
            }
            Record::Suspended { why, .. } => drop(seen.insert(match why {
                Suspension::Waiting { .. } => "waiting",
                Suspension::Paused => "paused",
                Suspension::ShutDown => "shut_down",
                Suspension::Stuck => "stuck",
            })),
            Record::Resumed { why, .. } => drop(seen.insert(match why {
                Resumption::Resumed => "resumed",
                Resumption::Woken => "woken",
                Resumption::Retried => "retried",
                Resumption::Forked => "forked",
            })),
            Record::Started(_)
            | Record::Began { .. }
            | Record::Stopped { .. }
            | Record::Stuck { .. }
            | Record::Decided { .. }
            | Record::Warned { .. }
            | Record::Rewound(_)
            | Record::Redefined(_)
            | Record::Closed { .. } => {}
        }
    }
    seen
}

#[test]
fn every_variant_occurs_in_a_golden_record() {
    let expected = [
        "completed",
        "skipped",
        "failed",
        "cancelled",
        "v",
        "r",
        "m",
        "o",
        "a",
        "b",
        "c",
        "value",
        "append",
        "grown",
        "same",
        "cancel",
        "cancel_and_compensate",
        "pause",
        "process",
        "user",
        "hook",
        "parent",
        "child",
        "waiting",
        "paused",
        "shut_down",
        "stuck",
        "resumed",
        "woken",
        "retried",
        "forked",
    ];
    assert_eq!(variants(), expected.into_iter().collect());
}

#[test]
fn the_format_documentation_names_every_kind_and_shows_golden_records() {
    for kind in Record::KINDS.iter().chain(DecisionKey::KINDS) {
        assert!(FORMAT_DOC.contains(&format!("`{kind}`")), "docs/journal-format.md does not describe `{kind}`");
    }
    let shown: Vec<&str> = FORMAT_DOC.lines().filter(|line| line.starts_with("{\"")).collect();
    assert!(shown.len() >= Record::KINDS.len(), "an example of each kind");
    for line in shown {
        assert!(GOLDEN.lines().any(|golden| golden == line), "not a golden record: {line}");
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(Record::from_json(&value).is_ok());
    }
}
