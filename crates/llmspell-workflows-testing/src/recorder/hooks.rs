use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_hooks::{
    Answer, Course, Hook, HookContext, HookError, HookPoint, Point, Priority, Registration, Verdict, point,
};
use serde_json::{Value, json};

use super::RECORDED_MAX;
use crate::{Story, bounded_log::BoundedLog};

/// Records the points and paths at which hooks were called, and their answers; cheap to clone.
///
/// [`Self::watch`] wraps a hook. The recorder is also a hook itself, which only records the point.
/// [`Self::everywhere`] registers it at all built-in points to show which points a workflow reaches.
///
/// ```
/// use llmspell_workflows_hooks::{HookDispatcher, HookLayer};
/// use llmspell_workflows_testing::{harness::{Script, WorkflowTest, prelude::*}, recorder::HookRecorder};
///
/// let recorder = HookRecorder::new();
/// let hooks = std::sync::Arc::new(HookDispatcher::builder().register(recorder.everywhere()).build());
/// let result = WorkflowTest::new(Definition::sequence("small", [Step::function("only", "f", json!({}))]))
///     .function("f", Script::returns(json!(1)))
///     .engine(move |engine| engine.interceptor(Position::Hooks, HookLayer::new(hooks.clone())))
///     .run();
///
/// result.completed_with(&json!(1));
/// recorder.story().is(&[
///     "before_workflow_start /main",
///     "before_workflow_stage /main/only",
///     "before_step /main/only",
///     "after_step /main/only",
///     "after_workflow_stage /main/only",
///     "after_workflow_complete /main",
/// ]);
/// ```
#[derive(Debug, Clone)]
pub struct HookRecorder(Arc<Mutex<BoundedLog<HookCall>>>);

/// A recorded hook call.
#[derive(Debug, Clone, PartialEq)]
pub struct HookCall {
    /// The point.
    pub point: HookPoint,
    /// The path of the step; empty at a host's own points that do not concern a step.
    pub path: String,
    /// The answer or the error; `None` if the hook has not answered or has timed out.
    pub answer: Option<Result<Verdict, String>>,
}

/// A hook whose calls are recorded; see [`HookRecorder::watch`].
#[derive(Debug, Clone)]
pub struct RecordedHook<H> {
    hook: H,
    recorder: HookRecorder,
}

impl Default for HookRecorder {
    fn default() -> Self {
        Self::with_capacity(RECORDED_MAX)
    }
}

impl HookRecorder {
    /// Creates a recorder with the default capacity.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a recorder for `capacity` calls; when the recorder is full, the oldest call is dropped.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(BoundedLog::new(capacity))))
    }

    /// Wraps `hook` to record its calls and answers.
    #[must_use]
    pub fn watch<H>(&self, hook: H) -> RecordedHook<H> {
        RecordedHook { hook, recorder: self.clone() }
    }

    /// Returns the recorded calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<HookCall> {
        lock(&self.0).iter().cloned().collect()
    }

    /// Returns the recorded calls as lines: the point, the path, and the answer if it has an
    /// effect.
    #[must_use]
    pub fn story(&self) -> Story {
        let calls = lock(&self.0);
        Story::of(calls.iter().map(HookCall::to_string)).after_lost(calls.lost())
    }

    fn record(&self, context: &HookContext) -> u64 {
        lock(&self.0).push(HookCall { point: context.point(), path: context.path(), answer: None })
    }

    fn record_answer(&self, number: u64, answer: Result<Verdict, String>) {
        // The call of a slow hook may already have been dropped.
        if let Some(call) = lock(&self.0).get_mut(number) {
            call.answer = Some(answer);
        }
    }
}

#[async_trait]
impl<P: Point> Hook<P> for HookRecorder {
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError> {
        self.record_answer(self.record(context), Ok(Verdict::default()));
        Ok(P::Answer::CONTINUE)
    }
}

#[async_trait]
impl<P: Point, H: Hook<P>> Hook<P> for RecordedHook<H>
where
    P::Answer: Clone,
{
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError> {
        let number = self.recorder.record(context);
        let answer = self.hook.call(context).await;
        let recorded = answer.as_ref().map(|answer| answer.clone().into()).map_err(HookError::to_string);
        self.recorder.record_answer(number, recorded);
        answer
    }
}

impl fmt::Display for HookCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{} {}", self.point, self.path).trim_end())?;
        match &self.answer {
            None => f.write_str(": no answer"),
            Some(Err(message)) => write!(f, ": failed, {message}"),
            Some(Ok(verdict)) if verdict.is_continue() => Ok(()),
            Some(Ok(verdict)) => write!(f, ": {}", verdict_line(verdict)),
        }
    }
}

/// Formats the changes of a verdict on one line.
fn verdict_line(verdict: &Verdict) -> String {
    let mut parts = Vec::new();
    parts.extend(verdict.input.as_ref().map(|input| format!("input {input}")));
    parts.extend(verdict.output.as_ref().map(|output| format!("output {output}")));
    parts.extend((!verdict.state.is_empty()).then(|| format!("state {}", json!(verdict.state))));
    parts.extend((!verdict.course.is_continue()).then(|| course(&verdict.course)));
    parts.join(", ")
}

fn course(course: &Course) -> String {
    match json!(course) {
        Value::String(name) => name,
        Value::Object(one) => one.iter().map(|(name, what)| format!("{name} {what}")).collect(),
        other => other.to_string(),
    }
}

macro_rules! everywhere {
    ($($point:ident)+) => {
        impl HookRecorder {
            /// Returns a registration of this recorder at all built-in points, before all other hooks.
            ///
            /// The recorder is called regardless of the other hooks' answers, but does not see those answers; use
            /// [`Self::watch`] to record them.
            #[must_use]
            pub fn everywhere(&self) -> Registration {
                Registration::new("recorder").priority(Priority::HIGHEST)$(.at(point::$point, self.clone()))+
            }
        }
    };
}

everywhere! {
    BeforeWorkflowStart AfterWorkflowComplete WorkflowError WorkflowCancelled
    BeforeWorkflowStage AfterWorkflowStage WorkflowStageTransition
    BeforeStep AfterStep StepError StepRetry StepSkip BranchDecision
    LoopStart LoopItems LoopCondition IterationStart IterationEnd LoopEnd
    ParallelFork BranchStart BranchEnd ParallelJoin StateConflict BeforeStateWrite
    BeforeToolExecution AfterToolExecution ToolError
    BeforeAgentExecution AfterAgentExecution AgentError
    WorkflowCheckpoint WorkflowRollback WorkflowPause WorkflowResume StateMigration
    SignalWait SignalReceived CompensationStart CompensationEnd
}

#[cfg(test)]
mod tests {
    use llmspell_workflows_hooks::HookDispatcher;

    use super::*;

    #[test]
    fn everywhere_registers_the_recorder_at_every_point() {
        let hooks = HookDispatcher::builder().register(HookRecorder::new().everywhere()).build();
        let missing: Vec<_> = HookPoint::ALL.iter().filter(|point| !hooks.has_hooks_at(**point)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
