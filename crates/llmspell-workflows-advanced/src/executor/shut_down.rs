use std::time::Duration;

use super::{Executor, lock};

impl Executor {
    /// Shuts this executor down gracefully: no further steps start, and running steps have `grace`
    /// to finish.
    ///
    /// Steps that are still running after `grace` are stopped; they run again when their run is resumed. A stopped
    /// `at_most_once` step leaves its run stuck.
    ///
    /// Parked runs are released, and this executor no longer wakes them. Attempts to start or
    /// resume runs fail with [`ExecutorError::ShutDown`](crate::ExecutorError::ShutDown). Other
    /// executors of the home can resume the released runs.
    ///
    /// Returns once this executor no longer drives any run, and no longer moves ended runs to the store.
    pub async fn shut_down(&self, grace: Duration) {
        let registry = &self.inner.registry;
        let released = {
            let mut runs = registry.runs();
            runs.is_closed = true;
            runs.parked.take_all()
        };
        for parked in released {
            parked.release();
        }
        registry.parked_changed.notify_one();
        registry.live().iter().for_each(|live| live.hold_for_shutdown());
        if tokio::time::timeout(grace, registry.wait_until_idle()).await.is_err() {
            for live in registry.live() {
                lock(&live.run).iter().for_each(|run| run.shut_down());
            }
            registry.wait_until_idle().await;
        }
        self.wait_until_archived().await;
    }
}
