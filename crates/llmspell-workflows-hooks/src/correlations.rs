use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use uuid::Uuid;

/// The correlation ids of runs. Runs that belong to the same order, request or session share an id.
///
/// Hook contexts and events contain the correlation id of their run, which is the run id unless a different id was set.
#[derive(Debug, Clone, Default)]
pub struct Correlations(Arc<RwLock<HashMap<Uuid, Arc<str>>>>);

impl Correlations {
    /// Sets the correlation id of the run.
    pub fn set(&self, run_id: Uuid, correlation_id: impl Into<Arc<str>>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(run_id, correlation_id.into());
    }

    /// Removes the entry of the run so that memory use stays bounded.
    pub fn forget(&self, run_id: Uuid) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&run_id);
    }

    /// Returns the correlation id of the run.
    #[must_use]
    pub fn of(&self, run_id: Uuid) -> Arc<str> {
        self.explicit(run_id).unwrap_or_else(|| run_id.to_string().into())
    }

    /// Returns the correlation id that was set for the run, if any.
    pub(crate) fn explicit(&self, run_id: Uuid) -> Option<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&run_id).cloned()
    }
}
