//! Each kind of hostile document, with the reason for its refusal.

use llmspell_workflows_basic::model::{Definition, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{export, home, waiting};

/// A change to a document.
type Change = Box<dyn Fn(&mut Value)>;

/// Adds `record` after the first one.
fn add(record: Value) -> Change {
    Box::new(move |document| document["records"].as_array_mut().unwrap().insert(1, record.clone()))
}

/// Replaces all records after the first one.
fn replace(records: impl Fn() -> Vec<Value> + 'static) -> Change {
    Box::new(move |document| {
        let all = document["records"].as_array_mut().unwrap();
        all.truncate(1);
        all.extend(records());
    })
}

fn started(field: &'static str, value: Value) -> Change {
    Box::new(move |document| document["records"][0]["started"][field] = value.clone())
}

fn set(field: &'static str, value: Value) -> Change {
    Box::new(move |document| document[field] = value.clone())
}

fn began(path: impl Into<String>) -> Value {
    json!({"began": {"path": path.into(), "t": 1}})
}

fn ended(path: impl Into<String>, output: &Value) -> Value {
    json!({"ended": {"path": path.into(), "t": 1, "end": {"completed": {"output": output}}}})
}

/// Returns a chain of outputs, each of which refers `fan` times to the previous output.
fn chain(fan: usize, length: usize) -> Change {
    replace(move || {
        let first = ended("/main/x0", &json!({"v": ["x".repeat(100), "y"]}));
        let next = |n: usize| {
            let parts = vec![json!({"r": format!("/main/x{}", n - 1)}); fan];
            ended(format!("/main/x{n}"), &json!({"a": parts}))
        };
        std::iter::once(first).chain((1..length).map(next)).collect()
    })
}

/// Returns a chain of state changes, each of which refers `fan` times to the previous change.
fn changes(fan: usize, length: usize) -> Change {
    replace(move || {
        let record = |n: usize| {
            let value = match n {
                0 => json!({"v": ["x".repeat(100)]}),
                n => json!({"a": vec![json!({"c": [format!("/main/x{}", n - 1), 0]}); fan]}),
            };
            let change = json!({"path": "n", "value": value});
            json!({"ended": {"path": format!("/main/x{n}"), "t": 1, "end": {"completed": {"output": {"v": 1}, "changes": [change]}}}})
        };
        (0..length).map(record).collect()
    })
}

fn child(document: &Value, run: &Value) -> Value {
    let definition = document["definitions"].as_object().unwrap().keys().next().unwrap().clone();
    json!({"decided": {"path": "/main/z", "t": 1, "choice": {"child": [1, {"run": run, "definition": definition}]}}})
}

fn own_child() -> Change {
    Box::new(|document| {
        let record = child(document, &document["run_id"]);
        document["records"].as_array_mut().unwrap().insert(1, record);
    })
}

fn related(relation: &'static str, value: impl Fn(&Value) -> Value + 'static) -> Change {
    Box::new(move |document| document["records"][0]["started"][relation] = value(&document["run_id"]))
}

/// Makes a definition invalid but well-formed, and stores it under its correct hash.
fn definition(change: impl Fn(&mut Value) + 'static) -> Change {
    Box::new(move |document| {
        let old = document["definitions"].as_object().unwrap().keys().next().unwrap().clone();
        let mut changed = document["definitions"][&old].clone();
        change(&mut changed);
        let read: llmspell_workflows_basic::model::Definition = serde_json::from_value(changed.clone()).unwrap();
        let new = read.hash();
        document["definitions"] = json!({new.as_str(): changed});
        document["records"][0]["started"]["definition"] = json!(new);
    })
}

fn checkpoint(run: impl Into<String>, name: &str, position: u64) -> Value {
    json!({"run": run.into(), "name": name, "position": position, "at": "2026-01-01T00:00:00Z", "state": {}})
}

fn own_checkpoints(list: &'static [(&'static str, u64)]) -> Change {
    Box::new(move |document| {
        let run = document["run_id"].as_str().unwrap().to_owned();
        document["snapshots"] = list.iter().map(|(name, at)| checkpoint(&run, name, *at)).collect();
    })
}

fn rewound(reentered: Value) -> Value {
    json!({"rewound": {"t": 1, "reentered": reentered}})
}

fn decided(choice: Value) -> Value {
    json!({"decided": {"path": "/main/a", "t": 1, "choice": choice}})
}

fn table() -> Vec<(&'static str, Change, &'static str)> {
    let deep = |n: usize| (0..n).fold(json!(1), |inner, _| json!([inner]));
    let long_step = format!("/main/{}", "a".repeat(5_000));
    vec![
        ("an empty path", add(began("")), "invalid step path"),
        ("a path that begins with another letter", add(began("ü")), "invalid step path"),
        ("a path without a step", add(began("/")), "does not name a step"),
        ("a path with a bracket", add(began("/main/a]b[")), "invalid step path"),
        ("a path with a control character", add(began("/main/\u{1b}")), "invalid step path"),
        ("a path of 100,000 steps", add(began(format!("/main{}", "/a".repeat(100_000)))), "PATH_BYTES_MAX"),
        ("a path of 1,000 steps", add(began(format!("/main{}", "/a".repeat(1_000)))), "PATH_STEPS_MAX"),
        ("a long step id", add(began(long_step)), "PATH_BYTES_MAX"),
        ("an iteration", add(began("/main/a[4294967296]")), "iteration above"),
        ("a generation in a path", add(began("/main/a~4294967295")), "GENERATION_MAX"),
        ("a generation to enter", add(rewound(json!([["/main/a", 4_294_967_295_u32]]))), "GENERATION_MAX"),
        (
            "a generation of a retry",
            add(decided(json!({"retry_generation": [1, 4_294_967_295_u32]}))),
            "GENERATION_MAX",
        ),
        (
            "a generation of a route",
            add(decided(json!({"route_generation": [1, 4_294_967_295_u32]}))),
            "GENERATION_MAX",
        ),
        ("a generation of a hook", add(decided(json!({"hook_generation": [1, 4_294_967_295_u32]}))), "GENERATION_MAX"),
        ("a path to enter", add(rewound(json!([["x", 2]]))), "invalid step path"),
        ("a path to reopen", add(json!({"rewound": {"t": 1, "reopened": ["x"]}})), "invalid step path"),
        ("a path of an input", started("inputs", json!({"x": 1})), "invalid step path"),
        ("references, 2^40 values", chain(2, 40), "VALUES_BYTES_MAX"),
        ("references, 10^29 values", chain(10, 30), "VALUES_BYTES_MAX"),
        ("references, 3,000 deep", chain(1, 3_000), "VALUE_NESTING_MAX"),
        ("state changes, 2^30 values", changes(2, 30), "CHANGES_BYTES_MAX"),
        ("state changes, 3,000 deep", changes(1, 3_000), "VALUE_NESTING_MAX"),
        ("a deep value", add(ended("/main/x", &json!({"v": deep(1_000)}))), "VALUE_NESTING_MAX"),
        ("a reference without a target", add(ended("/main/x", &json!({"r": "/main/none"}))), "/main/none"),
        ("a value outside of the document", add(ended("/main/x", &json!({"b": "0123"}))), "large value"),
        ("its own child", own_child(), "its own child"),
        ("its own parent", related("parent", |run| json!({"run": run, "path": "/main/a"})), "its own parent"),
        ("its own origin", related("origin", |run| json!({"run": run})), "its own origin"),
        (
            "a checkpoint of another run",
            set("snapshots", json!([checkpoint(Uuid::nil(), "planted", 1)])),
            "another run",
        ),
        ("a checkpoint in the future", own_checkpoints(&[("c", 1_000)]), "position 1000"),
        ("a checkpoint that is listed twice", own_checkpoints(&[("c", 1), ("c", 2)]), "listed twice"),
        ("too many checkpoints", set("snapshots", json!(vec![json!(0); 100_001])), "CHECKPOINTS_MAX"),
        ("too many messages", set("messages", json!(vec![json!("pause"); 1_000_001])), "MESSAGES_MAX"),
        ("no records", set("records", json!([])), "no start"),
        ("records of another kind", set("records", json!([{"unknown": {}}])), "cannot be read"),
        (
            "a definition without a use",
            Box::new(|document| {
                let unused = Definition::sequence("unused", [Step::function("a", "echo", json!(1))]);
                document["definitions"][unused.hash().as_str()] = json!(unused);
            }),
            "no record refers to",
        ),
        (
            "an edited definition",
            Box::new(|document| {
                let all = document["definitions"].as_object_mut().unwrap();
                all.values_mut().next().unwrap()["name"] = json!("edited");
            }),
            "different hash",
        ),
        (
            "two steps with one id",
            definition(|definition| {
                let steps = definition["body"]["sequence"].as_array_mut().unwrap();
                steps.push(steps[0].clone());
            }),
            "not valid",
        ),
        (
            "too many steps",
            definition(|definition| {
                let steps = definition["body"]["sequence"].as_array_mut().unwrap();
                let one = steps[1].clone();
                steps.extend((0..10_001).map(|n| {
                    let mut step = one.clone();
                    step["id"] = json!(format!("s{n}"));
                    step
                }));
            }),
            "definition_steps_max",
        ),
    ]
}

#[tokio::test]
async fn hostile_documents_are_refused_with_a_reason() {
    let original = export(waiting()).await;
    for (name, change, reason) in table() {
        let mut document = original.clone();
        change(&mut document);
        let home = home();
        let error = home.import(&document).await.map(|known| known.id()).unwrap_err();
        assert_eq!(error.code(), "invalid_export", "{name}: {error}");
        let message = error.to_string();
        assert!(message.contains(reason) && message.len() < 1_000, "{name}: {message}");
        assert!(home.runs(&llmspell_workflows_state::store::RunQuery::default()).await.unwrap().is_empty(), "{name}");
    }
    home().import(&original).await.unwrap();
}

#[tokio::test]
async fn run_that_claims_to_be_a_sub_workflow_is_not_imported_alone() {
    let mut one = export(waiting()).await;
    one["records"][0]["started"]["parent"] = json!({"run": export(waiting()).await["run_id"], "path": "/main/b"});
    let error = home().import(&one).await.map(|known| known.id()).unwrap_err();
    assert_eq!(error.code(), "invalid_export");
    assert!(error.to_string().contains("is a sub-workflow; export the run it is part of"), "{error}");
}

/// The checks on import are not enough, because a journal can also be damaged.
#[tokio::test]
async fn odd_paths_in_a_journal_never_cause_a_panic() {
    let original = export(waiting()).await;
    let run: Uuid = original["run_id"].as_str().unwrap().parse().unwrap();
    let paths =
        ["", "ü", "/", "//", "]", "[", "/main/a]b[", "/main]x[0]/y", "/main/a[", "~", "/main/a~4294967295", "\u{1b}/"];
    for path in paths {
        for add in [
            began(path),
            ended(path, &json!({"v": 1})),
            rewound(json!([[path, 4_294_967_295_u32]])),
            json!({"decided": {"path": path, "t": u64::MAX, "choice": {"retry_generation": [1, 4_294_967_295_u32]}}}),
            json!({"decided": {"path": path, "t": 1, "choice": {"enter": {"code": "x", "message": "y"}}}}),
        ] {
            let mut records: Vec<Value> = original["records"].as_array().unwrap().clone();
            records.insert(1, add);
            let records: Vec<_> =
                records.iter().map(|record| llmspell_workflows_state::Record::from_json(record).unwrap()).collect();
            let home = home();
            let definition = original["definitions"].as_object().unwrap().values().next().unwrap();
            home.keep(&serde_json::from_value(definition.clone()).unwrap()).await.unwrap();
            let lease = home.lease_for_new_runs(llmspell_workflows_advanced::Contact::None).await.unwrap();
            let epoch = lease.journal.open(run).await.unwrap().epoch;
            for record in &records {
                let receipt = lease.journal.append(run, epoch, record).unwrap();
                lease.journal.sync(receipt).await.unwrap();
            }
            drop(lease);
            let known = home.find(&run.to_string()).await.unwrap();
            assert!(!home.events(&known).await.unwrap().is_empty(), "{path:?}");
            drop(home.history(&known).await);
            let executor = crate::executor(&home);
            drop(executor.state(&known, None).await);
            let options = llmspell_workflows_advanced::RewindOptions {
                from: Some("b".to_owned()),
                step_input: None,
                ..Default::default()
            };
            drop(executor.fork(&known, &options).await);
            drop(executor.retry(&known, &options).await);
            drop(executor.resume(&known).await);
        }
    }
}
