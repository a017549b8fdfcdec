//! Documents that the program exports.

use llmspell_workflows_testing::history::{End, Recorded, StoredRun};
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
