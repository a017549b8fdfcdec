//! A run whose state is migrated at any point has the same result as a run that uses only the later version.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Driven, Engine, Finished, RunOptions, StepError, WorkflowInput,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    engine::{Extensions, Position},
    model::*,
    state::Change,
};
use llmspell_workflows_state::{
    Journal, Journaling, MemoryJournal, Migrated, Record, Redefined, RewindError, Rewinding, RunJournal, Started,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The number of times each step was performed, by path.
type Performed = Arc<Mutex<BTreeMap<String, u32>>>;

fn engine(performed: &Performed) -> Engine {
    let mut activities = Activities::new();
    let perform = |name: &'static str| {
        let performed = performed.clone();
        move |context: ActivityContext| {
            *performed.lock().expect("valid test data").entry(context.path().to_string()).or_default() += 1;
            async move { perform_activity(name, &context) }
        }
    };
    for name in ["put", "flaky", "echo"] {
        activities.register("function", name, function(perform(name)));
    }
    Engine::builder().activities(activities).interceptor(Position::Journal, Journaling).build()
}

/// Performs the activity `name`. `put` sets the parts of the state named in its input; other
/// activities return their input.
fn perform_activity(name: &str, context: &ActivityContext) -> Result<ActivityOutput, StepError> {
    let input = context.input().clone();
    let is_first = context.path().to_path().segments().iter().all(|segment| segment.generation == 1);
    match name {
        "flaky" if is_first => Err(StepError::transient("boom", "fails the first time")),
        "put" => {
            let mut output = ActivityOutput::from(json!(null));
            for (path, value) in input.as_object().expect("valid test data") {
                output.state_changes.push(Change::set(path.parse().expect("valid test data"), value.clone()));
            }
            Ok(output)
        }
        _ => Ok(input.into()),
    }
}

fn put(id: &str, parts: Value) -> Step {
    Step::function(id, "put", parts)
}

/// Version 1 has `cart`, `prices` and a number `total`. Version 2 renames `cart` and `prices`, and has an object `sum`
/// instead of `total`.
fn shop(version: u32) -> Definition {
    let (cart, prices, sum) = if version == 1 { ("cart", "prices", "total") } else { ("basket", "costs", "sum.eur") };
    let add = |item: &str| json!({cart: format!("{{{{ concat(state.{cart} || [], [{item}]) }}}}")});
    let price = |id: &str, n: i64| Step::sequence(id, [put("set", json!({format!("{prices}.{id}"): n}))]);
    let block = Step::sequence("block", [put("more", json!({sum: 7})), Step::function("then", "flaky", json!(1))]);
    let depends = Step::sequence(
        "graph",
        [
            put("left", json!({format!("{prices}.left"): 3})),
            put("right", json!({format!("{prices}.right"): 4})),
            put(
                "both",
                json!({format!("{prices}.both"): format!("{{{{ state.{prices}.left + state.{prices}.right }}}}")}),
            )
            .after(["left", "right"]),
        ],
    );
    let steps = [
        put("first", json!({cart: [1], sum: 5, "kept": {"a": 1}})),
        Loop::items(json!([2, 3]), [put("add", add("loop.item")), put("keep", json!({"kept.b": "{{ loop.item }}"}))])
            .into_step("each"),
        Parallel::new([price("x", 1), price("y", 2)]).into_step("prices"),
        block.with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate)),
        depends,
        Step::function("last", "echo", json!("{{ state }}")),
    ];
    let mut definition = Definition::sequence("shop", steps);
    definition.version = version.to_string();
    if version == 2 {
        let migration = Migration {
            rename: [("cart", "basket"), ("prices", "costs")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            set: [("sum".to_owned(), json!({"eur": "{{ state.total }}"}))].into(),
            remove: vec!["total".to_owned()],
            ..Migration::default()
        };
        definition.migrations.insert("1".to_owned(), migration);
    }
    definition
}

/// Resumes a run with these records under `definition`; returns the finished run and all its records.
async fn resume(performed: &Performed, definition: &Definition, records: &[Record]) -> (Finished, Vec<Record>) {
    let (journal, engine) = (Arc::new(MemoryJournal::new()), engine(performed));
    let epoch = journal.open(Uuid::nil()).await.expect("valid test data").epoch;
    for record in records {
        journal.append(Uuid::nil(), epoch, record).expect("valid test data");
    }
    let run_journal = Arc::new(RunJournal::open(journal.clone(), Uuid::nil()).await.expect("valid test data"));
    if records.is_empty() {
        run_journal
            .start(Started { version: definition.version.clone(), ..Started::default() })
            .await
            .expect("valid test data");
    }
    let plan = engine.prepare(definition.clone()).unwrap_or_else(|invalid| panic!("{invalid}"));
    let extensions = Extensions::new().with_shared(run_journal.clone());
    let options = RunOptions { resume: run_journal.resume(), extensions, ..RunOptions::default() };
    let run = engine.start(&plan, WorkflowInput::new(json!(null)), &options).expect("valid test data");
    match engine.drive(&run).await {
        Driven::Done(finished) => (*finished, journal.kept(Uuid::nil())),
        other => panic!("the run did not end: {other:?}"),
    }
}

/// Returns the records of a version 1 run, migrated to version 2.
fn migrated(records: &[Record]) -> Vec<Record> {
    let engine = engine(&Performed::default());
    let (old, new) =
        (engine.prepare(shop(1)).expect("valid test data"), engine.prepare(shop(2)).expect("valid test data"));
    let migrate = |state| new.migrate("1", state, &Value::Null).map_err(|e| RewindError::Damaged(e.to_string()));
    let migrated: Migrated = Rewinding::new(&old, records)
        .unwrap()
        .migrated(migrate, |key| new.renamed_key("1", key))
        .expect("valid test data");
    let definition = shop(2).hash();
    let redefined = Redefined { time_us: 0, definition, version: "2".to_owned(), migrated: Some(migrated) };
    let redefined = Record::Redefined(Box::new(redefined));
    // The record is encoded and decoded, as if it were read from a disk.
    let text = serde_json::to_string(&redefined).expect("valid test data");
    records.iter().cloned().chain([serde_json::from_str(&text).expect("valid test data")]).collect()
}

#[tokio::test]
async fn a_run_interrupted_at_any_record_resumes_with_the_new_version() {
    let (alone, expected) = (
        Performed::default(),
        json!({
            "basket": [1, 2, 3], "kept": {"a": 1, "b": 3}, "sum": {"eur": 7},
            "costs": {"x": 1, "y": 2, "left": 3, "right": 4, "both": 7},
        }),
    );
    let (finished, _) = resume(&alone, &shop(2), &[]).await;
    assert_eq!(*finished.output, expected, "{:?}", finished.error);
    let first = Performed::default();
    let (finished, records) = resume(&first, &shop(1), &[]).await;
    assert_eq!(finished.output["total"], 7, "{:?}", finished.error);
    let last = records.iter().position(|record| record.path() == Some("/main/last")).expect("valid test data");
    assert!(last >= 40, "{last}");
    for cut in 1..last {
        let again = Performed::default();
        let records = migrated(&records[..cut]);
        let (finished, all) = resume(&again, &shop(2), &records).await;
        assert_eq!(*finished.output, expected, "cut after {cut} records: {:?}", finished.error);
        // Ended steps are not performed again.
        for path in records.iter().filter(|record| matches!(record, Record::Ended { .. })).filter_map(Record::path) {
            assert!(
                !again.lock().expect("valid test data").contains_key(path),
                "{path} is performed again, cut after {cut} records"
            );
        }
        // The state computed from the records is also migrated.
        let engine = engine(&again);
        let plan = engine.prepare(shop(2)).expect("valid test data");
        assert_eq!(
            Rewinding::new(&plan, &all).unwrap().state(None).expect("valid test data"),
            expected,
            "cut after {cut} records"
        );
        // A fork of the run also has the migrated state.
        let mut fork = Rewinding::new(&plan, &all).unwrap();
        let target = fork.find("graph/both").expect("valid test data");
        fork.from(&target);
        let started = Started::of(&all).expect("valid test data");
        assert_eq!(started.version, "2");
        let records = fork.fork_records(Timestamp::UNIX_EPOCH).expect("valid test data");
        let forked: Vec<_> = [Record::Started(Box::new(started))].into_iter().chain(records).collect();
        let performed = Performed::default();
        let (finished, _) = resume(&performed, &shop(2), &forked).await;
        assert_eq!(*finished.output, expected, "forked, cut after {cut} records: {:?}", finished.error);
        let paths: Vec<_> = performed.lock().expect("valid test data").keys().cloned().collect();
        assert_eq!(paths, ["/main/graph/both", "/main/last"], "forked, cut after {cut} records");
    }
}

#[test]
fn migration_errors_name_the_failing_expression() {
    let engine = engine(&Performed::default());
    let mut definition = shop(2);
    let migration = definition.migrations.get_mut("1").expect("valid test data");
    migration.set.insert("n".to_owned(), json!("{{ state.total * 2 }}"));
    let plan = engine.prepare(definition).expect("valid test data");
    let error = plan.migrate("1", json!({"total": "many"}), &Value::Null).unwrap_err();
    assert!(error.message.starts_with("migrations/1/set/n: "), "{error}");
    let error = plan.migrate("0.9", json!({}), &Value::Null).unwrap_err();
    assert_eq!(error.code, "no_migration");
    assert!(error.message.contains("from 1"), "{error}");
}
