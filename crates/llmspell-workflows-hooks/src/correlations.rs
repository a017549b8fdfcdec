use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use uuid::Uuid;

/// What ties runs together: an order, a request, a session; by run.
///
/// Hooks and events of a run carry its correlation id, which is the run's own id where nothing was said.
#[derive(Debug, Clone, Default)]
pub struct Correlations(Arc<RwLock<HashMap<Uuid, Arc<str>>>>);

impl Correlations {
    /// Says that the run belongs to `correlation_id`.
    pub fn set(&self, run_id: Uuid, correlation_id: impl Into<Arc<str>>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(run_id, correlation_id.into());
    }

    /// Forgets the run, so that what is remembered stays bounded.
    pub fn forget(&self, run_id: Uuid) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&run_id);
    }

    /// What the run belongs to.
    #[must_use]
    pub fn of(&self, run_id: Uuid) -> Arc<str> {
        self.given(run_id).unwrap_or_else(|| run_id.to_string().into())
    }

    /// What was said that the run belongs to.
    pub(crate) fn given(&self, run_id: Uuid) -> Option<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&run_id).cloned()
    }
}
