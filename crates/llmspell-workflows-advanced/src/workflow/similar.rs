//! Past runs with similar inputs.

use llmspell_workflows_basic::{RunStatus, WorkflowInput};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::vectors::{EmbeddingService, VectorEntry, VectorError, VectorMatch, VectorQuery, VectorStorage};

/// The maximum number of similar past runs in an output.
const SIMILAR_MAX: usize = 5;

/// A past run of a workflow, with its similarity to another run.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowExecution {
    /// The id of the run.
    pub run_id: Uuid,
    /// The name of its workflow.
    pub workflow: String,
    /// The input with which the run was started.
    pub input: Value,
    /// The status with which the run ended.
    pub status: RunStatus,
    /// The cosine of the angle between the embeddings of the two runs, from −1 to 1.
    pub similarity: f32,
}

/// Returns the vector scope for the runs of `workflow`.
fn scope(workflow: &str) -> String {
    format!("executions/{workflow}")
}

pub(super) async fn embedding(input: &WorkflowInput, service: &dyn EmbeddingService) -> Result<Vec<f32>, VectorError> {
    let text = match &input.initial_data {
        Value::String(text) => text.clone(),
        data => data.to_string(),
    };
    let none = || VectorError::Service("the service did not return a vector".to_owned());
    service.embed(&[text]).await?.into_iter().next().ok_or_else(none)
}

pub(super) async fn find(
    workflow: &str,
    embedding: &[f32],
    storage: &dyn VectorStorage,
) -> Result<Vec<WorkflowExecution>, VectorError> {
    let query = VectorQuery::new(embedding.to_vec()).scope(scope(workflow)).limit(SIMILAR_MAX);
    let execution = |found: VectorMatch| {
        let status = found.entry.metadata.get("status").cloned().unwrap_or_default();
        Some(WorkflowExecution {
            run_id: found.entry.id.parse().ok()?,
            workflow: workflow.to_owned(),
            input: found.entry.metadata.get("input").cloned().unwrap_or_default(),
            status: serde_json::from_value(status).ok()?,
            similarity: found.score,
        })
    };
    Ok(storage.search(&query).await?.into_iter().filter_map(execution).collect())
}

/// Stores a run with its embedding.
pub(super) async fn keep(
    (run, workflow, status): (Uuid, &str, RunStatus),
    input: Value,
    embedding: Vec<f32>,
    storage: &dyn VectorStorage,
) -> Result<(), VectorError> {
    let entry = VectorEntry::new(run.to_string(), scope(workflow), embedding);
    storage.insert(vec![entry.with("input", input).with("status", json!(status))]).await
}
