use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Run, RunOptions, StepError, WorkflowInput,
    engine::{Call, Child, ChildEnd, ChildUndo, Children, InProcess},
    model::{ActivityName, StepKind},
};
use uuid::Uuid;

use super::{Answer, Mocks, Watch};

/// Runs sub-workflows as part of the test, or answers with a mock in their place.
pub(super) struct TestChildren {
    pub(super) mocks: Mocks,
    pub(super) watch: Watch,
}

/// Returns the name by which mocks refer to the sub-workflow `name`.
pub(super) fn activity_name(name: &str) -> ActivityName {
    ActivityName::new("workflow", name)
}

#[async_trait]
impl Children for TestChildren {
    async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError> {
        let path = self.watch.path_of(call);
        let StepKind::Workflow(sub) = &call.step().kind else { return InProcess.run(call, child).await };
        match self.mocks.answer(&activity_name(&sub.workflow), &path) {
            None => {
                self.watch.child_begins(path, &child);
                InProcess.run(call, child).await
            }
            Some(answer) => {
                // The sub-workflow is started but not driven, so that a mock cannot hide an invalid
                // input.
                let options = RunOptions { depth: child.depth, ..RunOptions::default() };
                call.run().engine().start(&child.plan, WorkflowInput::new(child.input), &options)?;
                Ok(match answer {
                    Answer::Output { output, .. } => ChildEnd::Completed(Arc::new(output)),
                    Answer::Error(error) => ChildEnd::Failed(error),
                })
            }
        }
    }

    async fn undo(&self, run: &Arc<Run>, child: Uuid) -> Result<ChildUndo, StepError> {
        InProcess.undo(run, child).await
    }
}
