use async_trait::async_trait;
use uuid::Uuid;

/// Ends leftovers of steps that outlived their process, such as operating system processes.
///
/// A run resumed after its process died calls this before any of its steps runs again, so that a
/// step is not executed twice at the same time.
#[async_trait]
pub trait Leftovers: Send + Sync {
    /// Ends the leftovers of the steps at `paths` of `run`; returns a description of each leftover
    /// that could not be ended.
    async fn end(&self, run: Uuid, paths: &[String]) -> Vec<String>;
}
