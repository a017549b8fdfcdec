use std::fmt;

use async_trait::async_trait;

use super::VectorError;

/// Embeds texts as vectors.
#[async_trait]
pub trait EmbeddingService: Send + Sync + fmt::Debug {
    /// Returns the length of the service's vectors.
    fn dimensions(&self) -> usize;

    /// Returns the vector of each text, in order.
    ///
    /// # Errors
    /// Returns an error if the texts cannot be embedded.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, VectorError>;
}

/// Embeds a text by hashing its words and their trigrams. A text has the same vector on every machine and in every
/// version.
///
/// **The hashes do not capture meaning**: texts are near each other only if they share words or contain words with
/// similar spelling. `car` and `automobile` are unrelated here; use an embedding model to relate them.
#[derive(Debug, Clone)]
pub struct HashedEmbeddings {
    dimensions: usize,
}

impl Default for HashedEmbeddings {
    fn default() -> Self {
        Self { dimensions: 256 }
    }
}

impl HashedEmbeddings {
    /// Returns a service for vectors of length `dimensions`, but at least 2.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions: dimensions.max(2) }
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.dimensions];
        // The first component is the same for every text, so even an empty text has a direction.
        vector[0] = 0.1;
        for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            self.add(&mut vector, word.as_bytes(), 1.0);
            let marked: Vec<char> = format!("^{word}$").chars().collect();
            for part in marked.windows(3) {
                self.add(&mut vector, part.iter().collect::<String>().as_bytes(), 0.3);
            }
        }
        let norm = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|part| *part /= norm);
        vector
    }

    /// Adds a feature to the vector. The index and the sign of the feature depend only on the feature.
    fn add(&self, vector: &mut [f32], feature: &[u8], weight: f32) {
        let hash = fnv1a(feature);
        let index = 1 + usize::try_from(hash % (self.dimensions as u64 - 1)).unwrap_or(0);
        vector[index] += if hash >> 63 == 0 { weight } else { -weight };
    }
}

/// Returns the 64-bit FNV-1a hash (draft-eastlake-fnv), which is stable across versions.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[async_trait]
impl EmbeddingService for HashedEmbeddings {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, VectorError> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}
