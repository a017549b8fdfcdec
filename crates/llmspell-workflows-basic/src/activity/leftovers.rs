use async_trait::async_trait;
use uuid::Uuid;

/// Ends leftovers, such as operating system processes, of steps whose own process has died.
///
/// When a run is resumed after its process died, its leftovers are ended before any of its steps
/// runs again, so that no step is executed twice at the same time.
#[async_trait]
pub trait Leftovers: Send + Sync {
    /// Ends the leftovers of the steps at `paths` of `run`; returns a description of each leftover
    /// that could not be ended.
    async fn end(&self, run: Uuid, paths: &[String]) -> Vec<String>;
}
