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
use crate::{Story, kept::Kept};

/// Keeps at which points hooks were asked, where, and what they answered; cheap to clone.
///
/// [`Self::watch`] puts it around a hook. As a hook of its own it keeps the point and lets everything go on:
/// [`Self::everywhere`] puts it at all points, to see which ones a workflow comes to.
///
/// ```
/// use llmspell_workflows_hooks::{HookDispatcher, HookLayer};
/// use llmspell_workflows_testing::{harness::{Script, WorkflowTest, prelude::*}, recorder::HookRecorder};
///
/// let recorder = HookRecorder::new();
/// let hooks = std::sync::Arc::new(HookDispatcher::builder().register(recorder.everywhere()).build());
/// let ended = WorkflowTest::new(Definition::sequence("small", [Step::function("only", "f", json!({}))]))
///     .function("f", Script::answers(json!(1)))
///     .engine(move |engine| engine.interceptor(Position::Hooks, HookLayer::new(hooks.clone())))
///     .run();
///
/// ended.completed_with(&json!(1));
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
pub struct HookRecorder(Arc<Mutex<Kept<Asked>>>);

/// That a hook was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The point.
    pub point: HookPoint,
    /// Where; empty at points of a host that are about no step.
    pub path: String,
    /// What it answered, or why it could not; `None`: it has not answered, or not in time.
    pub answer: Option<Result<Verdict, String>>,
}

/// A hook around which a recorder stands; see [`HookRecorder::watch`].
#[derive(Debug, Clone)]
pub struct Watched<H> {
    hook: H,
    recorder: HookRecorder,
}

impl Default for HookRecorder {
    fn default() -> Self {
        Self::with_room(RECORDED_MAX)
    }
}

impl HookRecorder {
    /// One with the usual room.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One with room for so many questions; the oldest makes room.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept::new(room))))
    }

    /// `hook`, of which this keeps what it is asked and what it answers.
    #[must_use]
    pub fn watch<H>(&self, hook: H) -> Watched<H> {
        Watched { hook, recorder: self.clone() }
    }

    /// What was asked so far, in the order in which it was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.0).iter().cloned().collect()
    }

    /// The same, a line each: the point, where, and what was answered if that changes anything.
    #[must_use]
    pub fn story(&self) -> Story {
        let kept = lock(&self.0);
        Story::of(kept.iter().map(Asked::to_string)).after_lost(kept.lost())
    }

    fn ask(&self, context: &HookContext) -> u64 {
        lock(&self.0).push(Asked { point: context.point(), path: context.path(), answer: None })
    }

    fn answered(&self, number: u64, answer: Result<Verdict, String>) {
        // One that was slow may have had to make room.
        if let Some(asked) = lock(&self.0).get_mut(number) {
            asked.answer = Some(answer);
        }
    }
}

#[async_trait]
impl<P: Point> Hook<P> for HookRecorder {
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError> {
        self.answered(self.ask(context), Ok(Verdict::default()));
        Ok(P::Answer::CONTINUE)
    }
}

#[async_trait]
impl<P: Point, H: Hook<P>> Hook<P> for Watched<H>
where
    P::Answer: Clone,
{
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError> {
        let number = self.recorder.ask(context);
        let answer = self.hook.call(context).await;
        let noted = answer.as_ref().map(|answer| answer.clone().into()).map_err(HookError::to_string);
        self.recorder.answered(number, noted);
        answer
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{} {}", self.point, self.path).trim_end())?;
        match &self.answer {
            None => f.write_str(": no answer"),
            Some(Err(message)) => write!(f, ": failed, {message}"),
            Some(Ok(verdict)) if verdict.is_continue() => Ok(()),
            Some(Ok(verdict)) => write!(f, ": {}", said(verdict)),
        }
    }
}

/// What a verdict changes, in a line.
fn said(verdict: &Verdict) -> String {
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
            /// This recorder at all points that the engine and its hosts come to, before all other hooks.
            ///
            /// It is asked there whatever they answer, and sees no answers; [`Self::watch`] does.
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
    fn everywhere_is_at_every_point() {
        let hooks = HookDispatcher::builder().register(HookRecorder::new().everywhere()).build();
        let missing: Vec<_> = HookPoint::ALL.iter().filter(|point| !hooks.has_hooks_at(**point)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
