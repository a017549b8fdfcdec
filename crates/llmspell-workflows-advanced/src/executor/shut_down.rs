use std::time::Duration;

use super::{Executor, lock};

impl Executor {
    /// Shuts this executor down gracefully: no further step starts, and running steps have `grace` to finish.
    ///
    /// Steps that are still running after `grace` are stopped; they run again when their run is resumed. A stopped
    /// `at_most_once` step leaves its run stuck.
    ///
    /// Returns once this executor drives no run. Every run can be resumed later, here or in another process.
    pub async fn shut_down(&self, grace: Duration) {
        let registry = &self.inner.registry;
        registry.live().iter().for_each(|live| live.hold_for_shutdown());
        if tokio::time::timeout(grace, registry.wait_until_idle()).await.is_ok() {
            return;
        }
        for live in registry.live() {
            lock(&live.run).iter().for_each(|run| run.shut_down());
        }
        registry.wait_until_idle().await;
    }
}
