//! Large values of runs that have ended are kept apart, once, as long as a run needs them.

use llmspell_workflows_advanced::Again;
use llmspell_workflows_basic::model::{Definition, Step};
use llmspell_workflows_state::{Record, store::blob_hash};
use serde_json::json;

use crate::lab::{Lab, finished, start};

/// A step that gives a long text and puts it into the state, and one that does it again.
fn long() -> Definition {
    let text = "x".repeat(200_000);
    let put = |id: &str| Step::set(id, serde_json::Map::from_iter([("n".to_owned(), json!(text))]));
    Definition::sequence("long", [put("a"), put("b"), Step::function("c", "echo", json!("short"))])
}

#[tokio::test]
async fn large_values_are_kept_once_and_come_back_wherever_a_run_is_read() {
    let lab = Lab::new();
    let (first, second) = {
        let executor = lab.executor();
        let first = start(&executor, long()).await;
        finished(&executor, &first).await;
        let second = start(&executor, long()).await;
        finished(&executor, &second).await;
        (first.id(), second.id())
    };
    let known = |run: uuid::Uuid| lab.home().find(&run.to_string()).unwrap();
    let before = lab.home().records(&known(first)).unwrap();
    assert_eq!(lab.home().compact().await.unwrap().archived, 2);
    let home = lab.home();
    let stores = home.stores().unwrap();
    let kept = serde_json::to_string(&stores.archive.get(first).unwrap().unwrap()).unwrap();
    assert!(kept.len() < 10_000, "{} bytes of records", kept.len());
    let owned = stores.blobs.owned(first).unwrap();
    assert!(!owned.is_empty() && owned == stores.blobs.owned(second).unwrap(), "{owned:?}");
    assert_eq!(stores.blobs.owners(&owned[0]).unwrap(), 2);
    // Read back it is what it was, also by a fork and in another home.
    assert_eq!(home.records(&known(first)).unwrap(), before);
    assert!(home.verify().unwrap().damage.is_empty());
    let executor = lab.executor();
    let again = Again { from: Some("c".to_owned()), step_input: None };
    let fork = executor.fork(&known(first), &again).await.unwrap();
    finished(&executor, &fork).await;
    assert_eq!(executor.state(&known(fork.id()), None).unwrap()["n"].as_str().unwrap().len(), 200_000);
    drop(executor);
    let other = Lab::new();
    let imported = other.home().import(&home.export(&known(first)).unwrap()).await.unwrap();
    assert_eq!(other.home().records(&imported).unwrap(), before);
    // The last run that needs them takes them along.
    home.delete(&[known(first)]).await.unwrap();
    assert!(home.records(&known(second)).is_ok());
    home.delete(&[known(second)]).await.unwrap();
    assert_eq!(home.stores().unwrap().blobs.get(&owned[0]).unwrap(), None);
}

#[tokio::test]
async fn a_large_value_that_is_gone_is_told_and_not_made_up() {
    let lab = Lab::new();
    let run = {
        let executor = lab.executor();
        let run = start(&executor, long()).await;
        finished(&executor, &run).await;
        run.id()
    };
    lab.home().compact().await.unwrap();
    let home = lab.home();
    home.stores().unwrap().blobs.release(run).unwrap();
    let error = home.records(&home.find(&run.to_string()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("the large value"), "{error}");
    let damage = home.verify().unwrap().damage;
    assert!(damage.iter().any(|line| line.contains("the large value")), "{damage:?}");
}

#[test]
fn a_record_is_the_same_after_it_was_set_apart_and_put_back() {
    let text = format!(
        r#"{{"ended": {{"path": "/main/a", "t": 1, "end": {{"completed": {{
            "output": {{"o": [["long", {{"v": "{0}"}}], ["short", {{"v": 1}}]]}},
            "changes": [{{"path": "k", "value": {{"a": [{{"v": "{0}"}}, {{"r": "/main/b"}}]}}}}]}}}}}}}}"#,
        "y".repeat(70_000)
    );
    let record: Record = serde_json::from_str(&text).unwrap();
    let (mut apart, mut kept) = (record.clone(), std::collections::HashMap::new());
    apart
        .set_apart(|bytes| {
            kept.insert(blob_hash(bytes), bytes.to_vec());
            Ok::<_, llmspell_workflows_state::record::NotThere>(blob_hash(bytes))
        })
        .unwrap();
    assert_eq!(kept.len(), 1, "both are the same value");
    assert!(serde_json::to_string(&apart).unwrap().len() < 500);
    apart.put_back(|hash| Ok::<_, llmspell_workflows_state::record::NotThere>(kept.get(hash).cloned())).unwrap();
    assert_eq!(apart, record);
}
