//! Named limits that apply across all processes of a home.

use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_basic::{
    ErrorClass, StepError,
    engine::{LimitName, SharedLimits, SharedPermit},
};

use crate::Home;

/// Requests permits of named limits from the home.
pub(super) struct HomeLimits(pub(super) Arc<dyn Home>);

#[async_trait]
impl SharedLimits for HomeLimits {
    async fn acquire(&self, limit: LimitName<'_>, holders: u32) -> Result<Option<SharedPermit>, StepError> {
        self.0.permit(limit, holders).await.map_err(|error| {
            let message = format!("cannot count the steps that hold the limit `{}`: {error}", limit.name);
            StepError::new(ErrorClass::Resource, "named_limit_unavailable", message)
        })
    }
}
