use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use async_trait::async_trait;
use serde_json::Value;

use super::{VectorEntry, VectorError, VectorMatch, VectorQuery, VectorStats, VectorStorage};

/// Stores vectors in memory; they are lost when the storage is dropped. A search compares the query with all vectors of
/// the searched scopes.
#[derive(Debug, Default)]
pub struct MemoryVectors(RwLock<Scopes>);

/// The entries of each scope by id, with the Euclidean norms of their vectors.
type Scopes = BTreeMap<String, BTreeMap<String, (VectorEntry, f32)>>;

impl MemoryVectors {
    fn write<T>(&self, act: impl FnOnce(&mut Scopes) -> T) -> T {
        act(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn read<T>(&self, act: impl FnOnce(&Scopes) -> T) -> T {
        act(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl VectorStorage for MemoryVectors {
    async fn insert(&self, entries: Vec<VectorEntry>) -> Result<(), VectorError> {
        self.write(|scopes| {
            let mut lengths: BTreeMap<&str, usize> = BTreeMap::new();
            for (scope, known) in &*scopes {
                lengths.extend(known.values().next().map(|(entry, _)| (scope.as_str(), entry.vector.len())));
            }
            for entry in &entries {
                let expected = *lengths.entry(&entry.scope).or_insert(entry.vector.len());
                check_length(&entry.scope, expected, entry.vector.len())?;
            }
            let normed: Vec<_> =
                entries.into_iter().map(|entry| Ok((norm(&entry.vector)?, entry))).collect::<Result<_, _>>()?;
            for (norm, entry) in normed {
                scopes.entry(entry.scope.clone()).or_default().insert(entry.id.clone(), (entry, norm));
            }
            Ok(())
        })
    }

    async fn search(&self, query: &VectorQuery) -> Result<Vec<VectorMatch>, VectorError> {
        let norm = norm(&query.vector)?;
        self.read(|scopes| {
            let searched =
                scopes.iter().filter(|(scope, _)| query.scope.as_ref().is_none_or(|wanted| wanted == *scope));
            let mut found = Vec::new();
            for (entry, own) in searched.flat_map(|(_, entries)| entries.values()) {
                check_length(&entry.scope, entry.vector.len(), query.vector.len())?;
                let has_metadata = query.filter.iter().all(|(key, value)| entry.metadata.get(key) == Some(value));
                let dot: f32 = entry.vector.iter().zip(&query.vector).map(|(a, b)| a * b).sum();
                let score = dot / (norm * own);
                if has_metadata && score >= query.score_min {
                    found.push((score, entry));
                }
            }
            found.sort_by(|(a, one), (b, other)| {
                b.total_cmp(a).then_with(|| (&one.scope, &one.id).cmp(&(&other.scope, &other.id)))
            });
            found.truncate(query.limit);
            Ok(found.into_iter().map(|(score, entry)| VectorMatch { score, entry: entry.clone() }).collect())
        })
    }

    async fn update_metadata(
        &self,
        scope: &str,
        id: &str,
        metadata: BTreeMap<String, Value>,
    ) -> Result<(), VectorError> {
        self.write(|scopes| match scopes.get_mut(scope).and_then(|entries| entries.get_mut(id)) {
            Some((entry, _)) => {
                entry.metadata = metadata;
                Ok(())
            }
            None => Err(VectorError::Unknown { scope: scope.to_owned(), id: id.to_owned() }),
        })
    }

    async fn delete(&self, scope: &str, ids: &[String]) -> Result<usize, VectorError> {
        Ok(self.write(|scopes| {
            let Some(entries) = scopes.get_mut(scope) else { return 0 };
            let deleted = ids.iter().filter(|id| entries.remove(*id).is_some()).count();
            if entries.is_empty() {
                scopes.remove(scope);
            }
            deleted
        }))
    }

    async fn delete_scope(&self, scope: &str) -> Result<usize, VectorError> {
        Ok(self.write(|scopes| scopes.remove(scope).map_or(0, |entries| entries.len())))
    }

    async fn stats(&self) -> Result<VectorStats, VectorError> {
        Ok(self.read(|scopes| {
            let by_scope: BTreeMap<_, _> =
                scopes.iter().map(|(scope, entries)| (scope.clone(), entries.len())).collect();
            VectorStats { entries: by_scope.values().sum(), by_scope }
        }))
    }
}

fn check_length(scope: &str, expected: usize, found: usize) -> Result<(), VectorError> {
    if expected == found { Ok(()) } else { Err(VectorError::Length { scope: scope.to_owned(), expected, found }) }
}

/// Returns the Euclidean norm of a vector.
fn norm(vector: &[f32]) -> Result<f32, VectorError> {
    let norm = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
    if norm.is_finite() && norm > 0.0 { Ok(norm) } else { Err(VectorError::NoDirection) }
}
