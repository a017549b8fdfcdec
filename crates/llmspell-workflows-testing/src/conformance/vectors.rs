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
    let found = storage.search(&query).await.expect("vectors are searched");
    found.into_iter().map(|found| found.entry.id).collect()
}

/// Vectors are found by the angle between them, in their scopes, and what does not fit changes nothing.
///
/// # Panics
/// The storage does something else.
pub async fn vectors(storage: &dyn VectorStorage) {
    let right = || VectorQuery::new(vec![2.0, 0.1]);
    assert_eq!(found(storage, right()).await, [""; 0], "an empty storage finds nothing");
    let entries = vec![
        entry("right", "a", [1.0, 0.0]),
        entry("up", "a", [0.0, 5.0]),
        entry("left", "a", [-0.5, 0.0]),
        entry("right", "b", [3.0, 0.0]),
    ];
    storage.insert(entries).await.expect("vectors are inserted");
    searches(storage).await;
    refusals(storage).await;
    changes(storage).await;
}

async fn searches(storage: &dyn VectorStorage) {
    let right = || VectorQuery::new(vec![2.0, 0.1]);
    let rows: [(VectorQuery, &[&str], &str); 6] = [
        (right().scope("a"), &["right", "up", "left"], "the nearest comes first, whatever its length"),
        (right().scope("a").limit(1), &["right"], "no more than the limit"),
        (right().scope("b"), &["right"], "its scope alone"),
        (right().limit(2), &["right", "right"], "all scopes where none is said"),
        (right().filter("id", "up"), &["up"], "what is known of it"),
        (VectorQuery { score_min: 0.0, ..right().scope("a") }, &["right", "up"], "as near as asked for"),
    ];
    for (query, expected, why) in rows {
        assert_eq!(found(storage, query.clone()).await, expected, "{why}: {query:?}");
    }
    let best = storage.search(&VectorQuery::new(vec![9.0, 0.0]).scope("a")).await.expect("vectors are searched");
    assert!((best[0].score - 1.0).abs() < 1e-4, "the score of the same direction is 1, not {}", best[0].score);
    assert!((best[2].score + 1.0).abs() < 1e-4, "the score of the opposite is -1, not {}", best[2].score);
    assert_eq!(best[0].entry, entry("right", "a", [1.0, 0.0]), "what is found is what was inserted");
}

async fn refusals(storage: &dyn VectorStorage) {
    for vector in [vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![1.0, 2.0, 3.0]] {
        let bad = VectorEntry::new("bad", "a", vector.clone());
        let refused = storage.insert(vec![entry("good", "a", [1.0, 1.0]), bad]).await;
        assert!(refused.is_err(), "{vector:?} does not fit to vectors of length 2, or has no direction");
        let refused = storage.search(&VectorQuery::new(vector.clone()).scope("a")).await;
        assert!(refused.is_err(), "nothing is near to {vector:?}");
    }
    assert_eq!(entries(storage).await, 4, "all of an insertion is kept, or nothing");
    let unknown = storage.update_metadata("b", "up", BTreeMap::new()).await;
    assert!(matches!(unknown, Err(VectorError::Unknown { .. })), "the scope `b` has no entry `up`: {unknown:?}");
}

async fn changes(storage: &dyn VectorStorage) {
    storage.insert(vec![entry("right", "a", [0.0, -1.0])]).await.expect("a vector is inserted");
    let down = || VectorQuery::new(vec![0.0, -1.0]);
    assert_eq!(found(storage, down().limit(1)).await, ["right"], "what is inserted last replaces what was there");
    assert_eq!(entries(storage).await, 4, "and is not kept twice");
    let red = BTreeMap::from([("colour".to_owned(), json!("red"))]);
    storage.update_metadata("a", "up", red).await.expect("an entry is described");
    assert_eq!(found(storage, down().filter("colour", "red")).await, ["up"], "what was said of it");
    assert_eq!(found(storage, down().filter("id", Value::from("up"))).await, [""; 0], "and no more what was before");
    assert_eq!(storage.delete("a", &["up".into(), "none".into()]).await, Ok(1), "how many there were");
    let stats = storage.stats().await.expect("it is counted");
    assert_eq!(stats.by_scope, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]), "entries by scope");
    assert_eq!(storage.delete_scope("a").await, Ok(2), "how many it had");
    assert_eq!(storage.delete_scope("a").await, Ok(0), "it is gone");
    assert_eq!(found(storage, down()).await, ["right"], "and the other scope is not");
}

async fn entries(storage: &dyn VectorStorage) -> usize {
    storage.stats().await.expect("it is counted").entries
}

/// Each text has a vector of the length that was said, with a direction, in order.
///
/// # Panics
/// The service does something else.
pub async fn embeddings(service: &dyn EmbeddingService) {
    let texts = ["pay the baker", "", "the weather of tomorrow", "ünï cödé"].map(str::to_owned);
    let vectors = service.embed(&texts).await.expect("vectors are made");
    assert_eq!(vectors.len(), texts.len(), "a vector for each text");
    for (text, vector) in texts.iter().zip(&vectors) {
        assert_eq!(vector.len(), service.dimensions(), "the length of the vector of `{text}`");
        let length: f32 = vector.iter().map(|part| part * part).sum();
        assert!(length.is_finite() && length > 0.0, "the vector of `{text}` has no direction");
    }
    assert_eq!(service.embed(&[]).await.expect("nothing is made"), [[0.0; 0]; 0], "no vector for no text");
    // Models need not give the same bits for the same text; but its own vector is the nearest.
    for (index, text) in texts.iter().enumerate() {
        let alone = service.embed(std::slice::from_ref(text)).await.expect("a vector is made").remove(0);
        let near = |other: &Vec<f32>| cosine(&alone, other);
        let nearest = vectors.iter().enumerate().max_by(|(_, a), (_, b)| near(a).total_cmp(&near(b)));
        assert_eq!(
            nearest.map(|(nearest, _)| nearest),
            Some(index),
            "vectors come in the order of their texts: `{text}`"
        );
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
