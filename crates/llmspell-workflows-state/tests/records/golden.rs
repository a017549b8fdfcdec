//! What was recorded once stays readable. `golden/format-2.jsonl` never changes, except for lines that are added.

use std::collections::BTreeSet;

use llmspell_workflows_basic::engine::{DecisionKey, Who};
use llmspell_workflows_state::{
    End, Record, Request, Resumption, Suspension,
    record::{Kept, KeptEdit},
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
fn each_golden_record_is_read_and_written_back_as_it_was() {
    for (line, record) in GOLDEN.lines().zip(records()) {
        let written = String::from_utf8(record.encode().unwrap()).unwrap();
        assert_eq!(written, line);
        assert_eq!(Record::from_json(&serde_json::from_str(line).unwrap()), Ok(record));
    }
}

#[test]
fn each_kind_of_record_and_of_choice_has_a_golden() {
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
fn each_field_of_each_record_has_a_golden_in_which_it_is_set() {
    let mut fields = Fields::default();
    records().iter().for_each(|record| fields.note(record));
    assert_eq!(fields.missing(), Vec::<String>::new());
}

/// The names of all variants of the smaller enums; a new one does not compile until it is named here.
fn variants() -> BTreeSet<&'static str> {
    let of_ends = |end: &End| match end {
        End::Completed { .. } => "completed",
        End::Skipped(_) => "skipped",
        End::Failed(_) => "failed",
        End::Cancelled(_) => "cancelled",
    };
    fn of_values(kept: &Kept, seen: &mut BTreeSet<&'static str>) {
        let name = match kept {
            Kept::Value(_) => "v",
            Kept::OutputOf(_) => "r",
            Kept::Object(entries) => {
                entries.iter().for_each(|(_, inner)| of_values(inner, seen));
                "o"
            }
            Kept::List(items) => {
                items.iter().for_each(|inner| of_values(inner, seen));
                "a"
            }
            Kept::Changed(_) => "c",
            Kept::Apart(_) => "b",
        };
        seen.insert(name);
    }
    let of_edits = |edit: &KeptEdit| match edit {
        KeptEdit::Value(_) => "value",
        KeptEdit::Append { .. } => "append",
        KeptEdit::Grown { .. } => "grown",
        KeptEdit::Same(_) => "same",
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
                    Who::Record => panic!("what is recorded is not asked for again"),
                });
            }
            Record::Suspended { why, .. } => drop(seen.insert(match why {
                Suspension::Waiting { .. } => "waiting",
                Suspension::Paused => "paused",
                Suspension::ShutDown => "shut_down",
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
fn each_variant_within_records_has_a_golden() {
    let expected = [
        "completed",
        "skipped",
        "failed",
        "cancelled",
        "v",
        "r",
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
        "resumed",
        "woken",
        "retried",
        "forked",
    ];
    assert_eq!(variants(), expected.into_iter().collect());
}

#[test]
fn the_description_of_the_format_names_every_kind_and_shows_golden_records() {
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
