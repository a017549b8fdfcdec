//! Tests of individual histories, and of documents exported by the program.

use llmspell_workflows_testing::history::{End, Recorded, Rule, StoredRun, check, read};
use serde_json::{Value, json};

fn export() -> Value {
    let started = |parent: Value| json!({"started": {"at": "2026-01-01T00:00:01Z", "workflow": "f", "parent": parent}});
    let mut first = started(json!(null));
    first["started"].as_object_mut().unwrap().remove("parent");
    json!({
        "run_id": "r1", "status": "completed",
        "records": [
            first,
            {"began": {"path": "/main/a", "t": 5}},
            {"decided": {"path": "/main/a", "choice": {"enter": null}, "t": 6}},
            {"ended": {"path": "/main/a", "end": {"failed": {}}, "t": 7}},
            {"rewound": {"t": 8, "reopened": ["/main"]}},
            {"ended": {"path": "/main/a~2", "end": {"completed": {"output": {"v": 1}}}, "t": 9}},
            {"closed": {"end": {"completed": {}}, "t": 10}},
        ],
        "children": [{
            "run_id": "r2", "status": "completed", "children": [],
            "records": [started(json!({"run": "r1", "path": "/main/sub"}))],
        }],
    })
}

#[test]
fn an_export_is_read_with_its_sub_workflows() {
    let family = StoredRun::from_export(&export()).unwrap();
    let [run, child] = family.as_slice() else { panic!("{family:?}") };
    assert_eq!(
        (run.run.as_str(), run.status.as_str(), run.started_us),
        ("r1", "completed", Some(1_767_225_601_000_000))
    );
    let step = |step: &str| step.to_owned();
    let expected = [
        (1, 5, Recorded::Began { step: step("/main/a") }),
        (3, 7, Recorded::Ended { step: step("/main/a"), end: End::Failed }),
        (4, 8, Recorded::Rewound { reopened: vec![step("/main")] }),
        (5, 9, Recorded::Ended { step: step("/main/a~2"), end: End::Completed }),
    ];
    let records = run.records.iter().map(|record| (record.number, record.time_us.unwrap(), record.what.clone()));
    assert_eq!(records.collect::<Vec<_>>(), expected);
    assert_eq!(child.parent, Some((step("r1"), step("/main/sub"))));
}

#[test]
fn a_document_that_is_not_an_export_is_refused() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 6] = [
        (|document| document["records"] = json!([]), "the first record is not `started`"),
        (|document| document["run_id"] = json!(7), "expected a string in `run_id`"),
        (|document| document["records"][1] = json!({"began": {"t": 5}}), "expected a string in `path`"),
        (|document| document["records"][1] = json!({"begun": {"path": "/main/a"}}), "unknown kind of record"),
        (|document| document["records"][3]["ended"]["end"] = json!({"over": {}}), "unknown end"),
        (|document| document["children"] = json!({}), "expected an array in `children`"),
    ];
    for (change, expected) in changes {
        let mut document = export();
        change(&mut document);
        let error = StoredRun::from_export(&document).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The run `r1` with the sub-workflow `r2`, as exported by the process `p2`.
const EXPORTED: &str = r#"
{"process": "p1", "asked": {"store": "main", "command": "run"}}
{"process": "p1", "run_started": {"run": "r1"}}
{"process": "p1", "effect_began": {"run": "r2", "step": "/main/a", "attempt": 1}}
{"process": "p1", "ended": {"outcome": "unknown"}}
{"process": "p2", "asked": {"store": "main", "command": "export", "run": "r1"}}
{"process": "p2", "found": {"run": "r1", "status": "interrupted", "records": []}}
{"process": "p2", "found": {"run": "r2", "status": "interrupted", "parent": ["r1", "/main/sub"], "records": []}}
{"process": "p2", "ended": {"outcome": "done"}}
{"process": "p3", "asked": {"store": "main", "command": "resume", "run": "r1"}}
{"process": "p3", "step_completed": {"run": "r2", "step": "/main/a"}}
{"process": "p3", "run_ended": {"run": "r1", "status": "completed"}}
{"process": "p3", "ended": {"outcome": "done"}}
"#;

const DELETED: &str = r#"
{"process": "p4", "asked": {"store": "main", "command": "delete", "runs": ["r1"]}}
{"process": "p4", "run_deleted": {"run": "r1"}}
{"process": "p4", "ended": {"outcome": "done"}}
"#;

const DELETE_KILLED: &str = r#"
{"process": "p4", "asked": {"store": "main", "command": "delete", "runs": ["r1"]}}
{"process": "p4", "ended": {"outcome": "unknown"}}
"#;

const IMPORTED: &str = r#"
{"process": "p5", "asked": {"store": "main", "command": "import", "run": "r1", "export": "p2"}}
{"process": "p5", "ended": {"outcome": "done"}}
"#;

const EXECUTED_AGAIN: &str = r#"
{"process": "p6", "asked": {"store": "main", "command": "resume", "run": "r1"}}
{"process": "p6", "effect_began": {"run": "r2", "step": "/main/a", "attempt": 2}}
"#;

const LISTED: &str = r#"
{"process": "p7", "asked": {"store": "main", "command": "list"}}
{"process": "p7", "listed": {"runs": []}}
"#;

#[test]
fn a_sub_workflow_is_deleted_and_imported_with_its_parent_run() {
    let cases: [(&[&str], &[Rule]); 9] = [
        (&[EXECUTED_AGAIN], &[Rule::EffectAfterCompletion]),
        (&[DELETED, IMPORTED, EXECUTED_AGAIN], &[]),
        (&[DELETED, EXECUTED_AGAIN], &[Rule::EffectAfterCompletion, Rule::DeletedButThere]),
        (&[DELETE_KILLED, IMPORTED, EXECUTED_AGAIN], &[]),
        (&[DELETE_KILLED, EXECUTED_AGAIN], &[Rule::EffectAfterCompletion]),
        (&[DELETE_KILLED, LISTED], &[]),
        (&[IMPORTED], &[Rule::ImportedTwice]),
        (&[DELETED, LISTED], &[]),
        (&[LISTED], &[Rule::RunLost]),
    ];
    for (parts, expected) in cases {
        let history = read(&[&[EXPORTED], parts].concat().concat()).unwrap();
        let mut found: Vec<Rule> = check(&history).violations.iter().map(|violation| violation.rule).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{}", parts.concat());
    }
}

#[test]
fn the_documented_example_is_a_lost_completion() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/durability.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, example) = text.split_once("```json\n").expect("the page has an example");
    let (example, _) = example.split_once("```").expect("the example ends");
    let found = check(&read(example).unwrap()).violations;
    let found: Vec<_> = found.iter().map(|found| (found.rule, found.step.as_deref())).collect();
    assert_eq!(found, [(Rule::CompletionLost, Some("/main/pay"))]);
}
