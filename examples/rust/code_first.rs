//! A workflow in plain async Rust that imports a catalogue page by page and survives a crash.
//!
//! ```console
//! $ cargo run --example code_first -- --crash
//! $ cargo run --example code_first
//! ```
//!
//! The first command crashes while it fetches the third page. The second command finds the
//! interrupted run and resumes it without fetching any page twice.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use llmspell_workflows::{
    BasicWorkflow, ExecutionContext, StepError, WorkflowError, WorkflowInput, WorkflowOutput,
    activity::function,
    advanced::{AdvancedWorkflow, EnhancedExecutionContext, FolderHome, RunQuery},
    model::{Retry, Step},
};
use serde_json::{Value, json};

/// Imports all pages of a catalogue.
struct Import {
    /// Whether the process crashes at the third page.
    crashes: bool,
}

#[async_trait]
impl BasicWorkflow for Import {
    fn name(&self) -> &str {
        "import"
    }

    async fn execute_basic(
        &self,
        input: WorkflowInput,
        context: &ExecutionContext,
    ) -> Result<WorkflowOutput, WorkflowError> {
        let crashes = self.crashes;
        let (mut next, mut products, mut total) = (json!(1), 0, 0.0);
        // The control flow depends only on step results, so a resumed run takes the same path.
        while let Some(number) = next.as_u64() {
            let fetch = function(move |call| async move { fetch(call.input(), crashes) });
            let step =
                Step::activity(format!("page{number}"), "code", "fetch", Value::Null).with_retry(Retry::attempts(3));
            let request = json!({"catalogue": input.initial_data["catalogue"], "page": number});
            let page = context.step_as(step, request, Arc::new(fetch)).await?;
            let prices = page["prices"].as_array().cloned().unwrap_or_default();
            products += prices.len();
            total += prices.iter().filter_map(Value::as_f64).sum::<f64>();
            next = page["next"].clone();
        }
        Ok(WorkflowOutput::of(json!({"products": products, "total": total})))
    }
}

/// This workflow has no lifecycle methods.
impl AdvancedWorkflow for Import {
    fn has_lifecycle(&self) -> bool {
        false
    }
}

/// Simulates a request to the catalogue's server.
fn fetch(request: &Value, crashes: bool) -> Result<Value, StepError> {
    let page = match request["page"].as_u64() {
        Some(1) => json!({"prices": [4.5, 8.0], "next": 2}),
        Some(2) => json!({"prices": [12.0], "next": 3}),
        Some(3) if crashes => {
            println!("fetching page 3, then crashing");
            std::process::abort();
        }
        Some(3) => json!({"prices": [1.5, 2.0, 3.0], "next": null}),
        _ => return Err(StepError::validation("unknown_page", format!("page {} does not exist", request["page"]))),
    };
    println!("fetched page {}", request["page"]);
    Ok(page)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let workflow = Arc::new(Import { crashes: std::env::args().any(|argument| argument == "--crash") });
    let context = EnhancedExecutionContext::new(FolderHome::new("target/code_first"));
    let runs = context.executor().home().runs(&RunQuery::default()).await?;
    let output = match runs.into_iter().find(|run| !run.status().has_ended()) {
        Some(interrupted) => {
            println!("resuming");
            context.resume(workflow, &interrupted).await?
        }
        None => {
            workflow.execute_with_infrastructure(WorkflowInput::new(json!({"catalogue": "spring"})), context).await?
        }
    };
    println!("imported: {}", output.basic_output.final_result);
    Ok(())
}
