use std::collections::BTreeMap;

use llmspell_workflows_advanced::{
    EmbeddingService, VectorStorage,
    vectors::{VectorEntry, VectorError, VectorQuery},
};
use serde_json::{Value, json};

fn entry(id: &str, scope: &str, vector: [f32; 2]) -> VectorEntry {
    VectorEntry::new(id, scope, vector.to_vec()).with("id", id)
}

async fn found(storage: &dyn VectorStorage, query: VectorQuery) -> Vec<String> {
    let found = storage.search(&query).await.expect("a search must succeed");
    found.into_iter().map(|found| found.entry.id).collect()
}

/// Tests that vectors are found by cosine similarity within scopes, and that inserting invalid
/// vectors changes nothing.
///
/// # Panics
/// Panics if the storage does not conform.
pub async fn vectors(storage: &dyn VectorStorage) {
    let right = || VectorQuery::new(vec![2.0, 0.1]);
    assert_eq!(found(storage, right()).await, [""; 0], "an empty storage must find nothing");
    let entries = vec![
        entry("right", "a", [1.0, 0.0]),
        entry("up", "a", [0.0, 5.0]),
        entry("left", "a", [-0.5, 0.0]),
        entry("right", "b", [3.0, 0.0]),
    ];
    storage.insert(entries).await.expect("inserting vectors must succeed");
    check_searches(storage).await;
    check_refusals(storage).await;
    check_changes(storage).await;
}

async fn check_searches(storage: &dyn VectorStorage) {
    let right = || VectorQuery::new(vec![2.0, 0.1]);
    let rows: [(VectorQuery, &[&str], &str); 6] = [
        (right().scope("a"), &["right", "up", "left"], "the nearest vector must come first, whatever its length"),
        (right().scope("a").limit(1), &["right"], "a search must return no more than the limit"),
        (right().scope("b"), &["right"], "a scope must restrict the search"),
        (right().limit(2), &["right", "right"], "without a scope, all scopes must be searched"),
        (right().filter("id", "up"), &["up"], "only entries with this metadata must be found"),
        (VectorQuery { score_min: 0.0, ..right().scope("a") }, &["right", "up"], "the minimum score must be respected"),
    ];
    for (query, expected, why) in rows {
        assert_eq!(found(storage, query.clone()).await, expected, "{why}: {query:?}");
    }
    let best = storage.search(&VectorQuery::new(vec![9.0, 0.0]).scope("a")).await.expect("a search must succeed");
    assert!((best[0].score - 1.0).abs() < 1e-4, "expected a score of 1 for the same direction, got {}", best[0].score);
    assert!(
        (best[2].score + 1.0).abs() < 1e-4,
        "expected a score of -1 for the opposite direction, got {}",
        best[2].score
    );
    assert_eq!(best[0].entry, entry("right", "a", [1.0, 0.0]), "an entry must be found as it was inserted");
}

async fn check_refusals(storage: &dyn VectorStorage) {
    for vector in [vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![1.0, 2.0, 3.0]] {
        let bad = VectorEntry::new("bad", "a", vector.clone());
        let refused = storage.insert(vec![entry("good", "a", [1.0, 1.0]), bad]).await;
        assert!(refused.is_err(), "{vector:?} must be rejected: it has no direction, or its length is not 2");
        let refused = storage.search(&VectorQuery::new(vector.clone()).scope("a")).await;
        assert!(refused.is_err(), "a search for {vector:?} must be rejected");
    }
    assert_eq!(entries(storage).await, 4, "an insertion must be stored completely or not at all");
    let unknown = storage.update_metadata("b", "up", BTreeMap::new()).await;
    assert!(
        matches!(unknown, Err(VectorError::Unknown { .. })),
        "updating an unknown entry must fail, got {unknown:?}"
    );
}

async fn check_changes(storage: &dyn VectorStorage) {
    storage.insert(vec![entry("right", "a", [0.0, -1.0])]).await.expect("inserting a vector must succeed");
    let down = || VectorQuery::new(vec![0.0, -1.0]);
    assert_eq!(found(storage, down().limit(1)).await, ["right"], "inserting an entry again must replace it");
    assert_eq!(entries(storage).await, 4, "a replaced entry must not be stored twice");
    let red = BTreeMap::from([("colour".to_owned(), json!("red"))]);
    storage.update_metadata("a", "up", red).await.expect("updating metadata must succeed");
    assert_eq!(found(storage, down().filter("colour", "red")).await, ["up"], "the new metadata must be found");
    assert_eq!(found(storage, down().filter("id", Value::from("up"))).await, [""; 0], "the old metadata must be gone");
    assert_eq!(
        storage.delete("a", &["up".into(), "none".into()]).await,
        Ok(1),
        "deleting must return the number of existing entries"
    );
    let stats = storage.stats().await.expect("stats must succeed");
    assert_eq!(
        stats.by_scope,
        BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]),
        "stats must count the entries of each scope"
    );
    assert_eq!(storage.delete_scope("a").await, Ok(2), "deleting a scope must return its number of entries");
    assert_eq!(storage.delete_scope("a").await, Ok(0), "a deleted scope must be empty");
    assert_eq!(found(storage, down()).await, ["right"], "other scopes must remain");
}

async fn entries(storage: &dyn VectorStorage) -> usize {
    storage.stats().await.expect("stats must succeed").entries
}

/// Tests that each text gets a nonzero vector of the declared length, and that the vectors are in
/// the order of the texts.
///
/// # Panics
/// Panics if the service does not conform.
pub async fn embeddings(service: &dyn EmbeddingService) {
    let texts = ["pay the baker", "", "tomorrow's weather", "ünï cödé"].map(str::to_owned);
    let vectors = service.embed(&texts).await.expect("embedding must succeed");
    assert_eq!(vectors.len(), texts.len(), "each text must have a vector");
    for (text, vector) in texts.iter().zip(&vectors) {
        assert_eq!(vector.len(), service.dimensions(), "the vector of `{text}` must have the declared length");
        let length: f32 = vector.iter().map(|part| part * part).sum();
        assert!(length.is_finite() && length > 0.0, "the vector of `{text}` has no direction");
    }
    assert_eq!(
        service.embed(&[]).await.expect("embedding no texts must succeed"),
        [[0.0; 0]; 0],
        "embedding no texts must return no vectors"
    );
    // A model may return slightly different vectors for the same text, but the nearest vector must belong to that text.
    for (index, text) in texts.iter().enumerate() {
        let alone = service.embed(std::slice::from_ref(text)).await.expect("embedding must succeed").remove(0);
        let near = |other: &Vec<f32>| cosine(&alone, other);
        let nearest = vectors.iter().enumerate().max_by(|(_, a), (_, b)| near(a).total_cmp(&near(b)));
        assert_eq!(
            nearest.map(|(nearest, _)| nearest),
            Some(index),
            "vectors must be in the order of their texts: `{text}`"
        );
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
