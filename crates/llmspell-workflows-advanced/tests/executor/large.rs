//! Large values of ended runs are stored once, separately, until the last run that needs them is deleted.

use llmspell_workflows_advanced::{DurableEnd, Executor, Message, Parking, RewindOptions};
use llmspell_workflows_basic::{
    Limits,
    model::{Definition, Step, StepKind, WaitForEvent},
};
use llmspell_workflows_state::{Record, store::blob_hash};
use serde_json::json;

use crate::lab::{Lab, finished, start};

/// A workflow with two steps that put the same long text into the state, and a step with a
/// short text.
fn long() -> Definition {
    let text = "x".repeat(200_000);
    let put = |id: &str| Step::set(id, serde_json::Map::from_iter([("n".to_owned(), json!(text))]));
    Definition::sequence("long", [put("a"), put("b"), Step::function("c", "echo", json!("short"))])
}

#[tokio::test]
async fn large_values_are_stored_once_and_restored_on_read() {
    let lab = Lab::new();
    let (first, second) = {
        let executor = lab.executor();
        let first = start(&executor, long()).await;
        let first_id = first.id();
        finished(&executor, first).await;
        let second = start(&executor, long()).await;
        let second_id = second.id();
        finished(&executor, second).await;
        (first_id, second_id)
    };
    let before = lab.home().records(&lab.known(first).await).await.unwrap();
    assert_eq!(lab.home().compact().await.unwrap().archived, 2);
    let home = lab.home();
    let stores = home.stores().await.unwrap();
    let kept = serde_json::to_string(&stores.archive.get(first).await.unwrap().unwrap()).unwrap();
    assert!(kept.len() < 10_000, "{} bytes of records", kept.len());
    let owned = stores.blobs.owned(first).await.unwrap();
    assert!(!owned.is_empty() && owned == stores.blobs.owned(second).await.unwrap(), "{owned:?}");
    assert_eq!(stores.blobs.owners(&owned[0]).await.unwrap(), 2);
    // The records are the same when read back, in a fork and in another home.
    assert_eq!(home.records(&lab.known(first).await).await.unwrap(), before);
    assert!(home.verify().await.unwrap().damage.is_empty());
    let executor = lab.executor();
    let again = RewindOptions { from: Some("c".to_owned()), step_input: None, ..Default::default() };
    let fork = executor.fork(&lab.known(first).await, &again).await.unwrap();
    let forked = fork.id();
    finished(&executor, fork).await;
    assert_eq!(executor.state(&lab.known(forked).await, None).await.unwrap()["n"].as_str().unwrap().len(), 200_000);
    drop(executor);
    let other = Lab::new();
    let imported = other.home().import(&home.export(&lab.known(first).await).await.unwrap()).await.unwrap();
    assert_eq!(other.home().records(&imported).await.unwrap(), before);
    // Deleting the last run that needs the values deletes them.
    home.delete(&[lab.known(first).await]).await.unwrap();
    assert!(home.records(&lab.known(second).await).await.is_ok());
    home.delete(&[lab.known(second).await]).await.unwrap();
    assert_eq!(home.stores().await.unwrap().blobs.get(&owned[0]).await.unwrap(), None);
}

#[tokio::test]
async fn missing_large_value_is_reported_as_an_error() {
    let lab = Lab::new();
    let run = {
        let executor = lab.executor();
        let run = start(&executor, long()).await;
        let id = run.id();
        finished(&executor, run).await;
        id
    };
    lab.home().compact().await.unwrap();
    let home = lab.home();
    home.stores().await.unwrap().blobs.release(run).await.unwrap();
    let error = home.records(&home.find(&run.to_string()).await.unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("the large value"), "{error}");
    let damage = home.verify().await.unwrap().damage;
    assert!(damage.iter().any(|line| line.contains("the large value")), "{damage:?}");
}

#[test]
fn large_values_can_be_extracted_from_a_record_and_restored() {
    let text = format!(
        r#"{{"ended": {{"path": "/main/a", "t": 1, "end": {{"completed": {{
            "output": {{"o": [["long", {{"v": "{0}"}}], ["short", {{"v": 1}}]]}},
            "changes": [{{"path": "k", "value": {{"a": [{{"v": "{0}"}}, {{"r": "/main/b"}}]}}}}]}}}}}}}}"#,
        "y".repeat(70_000)
    );
    let record: Record = serde_json::from_str(&text).unwrap();
    let mut apart = record.clone();
    let taken = apart.extract_large();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0], taken[1], "both values are the same");
    assert_eq!(taken[0].0, blob_hash(&taken[0].1));
    assert!(serde_json::to_string(&apart).unwrap().len() < 500);
    assert_eq!(apart.large_hashes(), [taken[0].0.clone(), taken[0].0.clone()]);
    apart.restore_large(&taken[0].0, &taken[0].1).unwrap();
    assert_eq!(apart, record);
}

#[tokio::test]
async fn the_total_size_of_outputs_is_limited_across_resumes() {
    let output = json!("x".repeat(98));
    let echo = |id: &str| Step::function(id, "echo", output.clone());
    let wait = Step::new("wait", StepKind::WaitForEvent(WaitForEvent { event: "go".into(), ..Default::default() }));
    for (steps, fails_at) in [
        (vec![echo("a"), echo("b"), wait.clone()], None),
        (vec![echo("a"), echo("b"), echo("c"), wait.clone()], Some("/main/c")),
        // Recorded outputs count towards the limit.
        (vec![echo("a"), echo("b"), wait.clone(), echo("c")], Some("/main/c")),
        (vec![echo("a"), wait, echo("c")], None),
    ] {
        let lab = Lab::new();
        let limits = Limits { run_outputs_bytes_max: 250, ..Limits::default() };
        let executor = || Executor::new(lab.home(), lab.engine().limits(limits.clone())).parking(Parking::ForSignals);
        let first = executor();
        let run = start(&first, Definition::sequence("outputs", steps)).await;
        let id = run.id();
        let mut end = first.drive(run).await.unwrap();
        drop(first);
        if let DurableEnd::Waiting(_) = end {
            let known = lab.known(id).await;
            lab.home().post(&known, &Message::Signal { name: "go".into(), payload: json!(null) }).await.unwrap();
            let second = executor();
            end = second.drive(second.resume(&known).await.unwrap()).await.unwrap();
        }
        let DurableEnd::Finished(end) = end else { panic!("{end:?}") };
        let error = end.error.as_ref();
        assert_eq!(error.and_then(|error| error.path.as_deref()), fails_at, "{error:?}");
        if let Some(error) = error {
            assert_eq!(&*error.code, "run_outputs_bytes_max");
            assert!(error.message.contains("200 bytes so far, plus 100 from this step"), "{}", error.message);
        }
    }
}
