//! Vectors, and the search for similar past runs.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_advanced::{
    AdvancedWorkflow, EnhancedWorkflow,
    vectors::{
        EmbeddingService, HashedEmbeddings, MemoryVectors, VectorEntry, VectorError, VectorQuery, VectorStorage,
    },
};
use llmspell_workflows_basic::{RunStatus, WorkflowInput, model::Step};
use serde_json::json;

use crate::support::{context, echo, sequence};

fn entry(id: &str, scope: &str, vector: [f32; 2]) -> VectorEntry {
    VectorEntry::new(id, scope, vector.to_vec()).with("even", id.len().is_multiple_of(2))
}

async fn some() -> MemoryVectors {
    let vectors = MemoryVectors::default();
    let entries = [entry("right", "a", [2.0, 0.0]), entry("up", "a", [0.0, 1.0]), entry("left", "b", [-1.0, 0.0])];
    vectors.insert(entries.into()).await.unwrap();
    vectors
}

async fn ids(vectors: &MemoryVectors, query: VectorQuery) -> Vec<String> {
    vectors.search(&query).await.unwrap().into_iter().map(|found| found.entry.id).collect()
}

#[tokio::test]
async fn search_orders_entries_by_angle_regardless_of_vector_length() {
    let vectors = some().await;
    let query = VectorQuery::new(vec![0.5, 0.1]);
    assert_eq!(ids(&vectors, query.clone()).await, ["right", "up", "left"]);
    assert_eq!(ids(&vectors, query.clone().limit(1)).await, ["right"]);
    assert_eq!(ids(&vectors, query.clone().scope("b")).await, ["left"]);
    assert_eq!(ids(&vectors, query.clone().filter("even", true)).await, ["up", "left"]);
    assert_eq!(ids(&vectors, VectorQuery { score_min: 0.5, ..query.clone() }).await, ["right"]);
    let scores: Vec<f32> = vectors.search(&query).await.unwrap().iter().map(|found| found.score).collect();
    assert!((scores[0] - 0.980_58).abs() < 1e-4 && (scores[0] + scores[2]).abs() < 1e-6, "{scores:?}");
}

#[tokio::test]
async fn entries_can_be_replaced_updated_and_deleted() {
    let vectors = some().await;
    vectors.insert(vec![entry("right", "a", [0.0, -1.0])]).await.unwrap();
    assert_eq!(ids(&vectors, VectorQuery::new(vec![0.0, -1.0]).limit(1)).await, ["right"]);
    let metadata = BTreeMap::from([("colour".to_owned(), json!("red"))]);
    vectors.update_metadata("a", "up", metadata.clone()).await.unwrap();
    assert_eq!(ids(&vectors, VectorQuery::new(vec![1.0, 0.0]).filter("colour", "red")).await, ["up"]);
    let error = vectors.update_metadata("b", "up", metadata).await.unwrap_err();
    assert!(matches!(error, VectorError::Unknown { .. }), "{error}");
    assert_eq!(vectors.stats().await.unwrap().by_scope, BTreeMap::from([("a".into(), 2), ("b".into(), 1)]));
    assert_eq!(vectors.delete("a", &["up".into(), "none".into()]).await, Ok(1));
    assert_eq!((vectors.delete_scope("a").await, vectors.delete_scope("a").await), (Ok(1), Ok(0)));
    assert_eq!(vectors.stats().await.unwrap().entries, 1);
}

#[tokio::test]
async fn insert_with_an_invalid_vector_stores_nothing() {
    let vectors = some().await;
    for vector in [vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![1.0, 2.0, 3.0]] {
        let both = vec![entry("good", "a", [1.0, 1.0]), VectorEntry::new("bad", "a", vector.clone())];
        vectors.insert(both).await.unwrap_err();
        vectors.search(&VectorQuery::new(vector)).await.unwrap_err();
    }
    assert_eq!(vectors.stats().await.unwrap().entries, 3);
}

#[tokio::test]
async fn texts_that_share_words_have_similar_and_stable_vectors() {
    let words = HashedEmbeddings::default();
    let texts = ["pay the baker", "paying a baker", "weather", ""].map(str::to_owned);
    let vectors = words.embed(&texts).await.unwrap();
    let near = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum::<f32>();
    assert!(near(0, 1) > 0.4 && near(0, 1) > near(0, 2) + 0.2, "{} {}", near(0, 1), near(0, 2));
    assert!((near(3, 3) - 1.0).abs() < 1e-6, "an empty text also has a direction");
    assert_eq!(vectors, words.embed(&texts).await.unwrap());
    assert_eq!(vectors[0].len(), words.dimensions());
    // A text's vector must not change between releases, or stored vectors could no longer be found.
    let small = HashedEmbeddings::new(4).embed(&["a".to_owned()]).await.unwrap().remove(0);
    let rounded: Vec<i32> = small.iter().map(|part| (part * 1000.0).round() as i32).collect();
    assert_eq!(rounded, [77, 0, -997, 0]);
}

#[tokio::test]
async fn similar_past_runs_are_found() {
    let context = context();
    let steps = [echo("a", json!("{{ task }}")), Step::function("b", "fail", json!(1)).when("contains(task, 'bad')")];
    let workflow = Arc::new(EnhancedWorkflow::define(sequence(steps)).with_context_embedding(true));
    let run = |task: &str| {
        let input = WorkflowInput::new(json!({"task": task}));
        workflow.clone().execute_with_infrastructure(input, context.clone())
    };
    let first = run("bake bread and rolls").await.unwrap();
    assert_eq!(first.similar_executions, []);
    run("a bad storm").await.unwrap_err();
    let similar = run("bake rolls and bread").await.unwrap().similar_executions;
    let found: Vec<_> = similar.iter().map(|run| (run.input["task"].as_str().unwrap(), run.status)).collect();
    assert_eq!(found, [("bake bread and rolls", RunStatus::Completed), ("a bad storm", RunStatus::Failed)]);
    assert_eq!((similar[0].run_id, &*similar[0].workflow), (first.run_id, "test"));
    assert!(similar[0].similarity > 0.9 && similar[0].similarity > similar[1].similarity);
}
