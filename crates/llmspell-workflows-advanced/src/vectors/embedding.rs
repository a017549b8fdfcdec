use std::fmt;

use async_trait::async_trait;

use super::VectorError;

/// Makes vectors of texts.
#[async_trait]
pub trait EmbeddingService: Send + Sync + fmt::Debug {
    /// How long its vectors are.
    fn dimensions(&self) -> usize;

    /// The vector of each text, in order.
    ///
    /// # Errors
    /// Nothing makes a vector of it.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, VectorError>;
}

/// Vectors out of the words of a text and their parts, the same everywhere and always.
///
/// **It knows no meanings**: texts are near each other where they share words, or words that are written alike. `car`
/// and `automobile` have nothing in common here; a model does better.
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
    /// Vectors of this length, at least 2.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions: dimensions.max(2) }
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.dimensions];
        // The first part is there for every text, so that an empty one has a direction as well.
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

    /// Adds a feature at a place, and with a sign, that only the feature decides.
    fn add(&self, vector: &mut [f32], feature: &[u8], weight: f32) {
        let hash = fnv1a(feature);
        let place = 1 + usize::try_from(hash % (self.dimensions as u64 - 1)).unwrap_or(0);
        vector[place] += if hash >> 63 == 0 { weight } else { -weight };
    }
}

/// The 64-bit FNV-1a hash (RFC draft-eastlake-fnv), which no version of anything changes.
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
