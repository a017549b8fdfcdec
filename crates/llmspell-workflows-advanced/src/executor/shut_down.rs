use std::time::Duration;

use super::{Executor, lock};

impl Executor {
    /// Ends the work of this executor in order: no further step begins, steps at work have `grace` to end, and what is
    /// still at work then is stopped and runs again when its run is resumed.
    ///
    /// It returns once nobody drives a run here. Every run can be resumed later, here or in another process; one of an
    /// `at_most_once` step that was stopped is stuck.
    pub async fn shut_down(&self, grace: Duration) {
        let registry = &self.inner.registry;
        registry.live().iter().for_each(|live| live.leave());
        if tokio::time::timeout(grace, registry.no_one_drives()).await.is_ok() {
            return;
        }
        for live in registry.live() {
            lock(&live.run).iter().for_each(|run| run.shut_down());
        }
        registry.no_one_drives().await;
    }
}
