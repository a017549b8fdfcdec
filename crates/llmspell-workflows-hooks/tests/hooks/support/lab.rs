use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_basic::{
    Engine, EngineBuilder, Finished, StepError, WorkflowInput,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    engine::Position,
    model::{Definition, Step},
};
use llmspell_workflows_hooks::{
    HookContext, HookDispatcher, HookDispatcherBuilder, HookLayer, Point, Registration, hook_fn,
};
use llmspell_workflows_testing::clock::PausedClock;
use serde_json::{Value, json};

/// Activities for tests, with a log of their starts.
#[derive(Clone)]
pub(crate) struct Lab {
    activities: Activities,
    started: Arc<Mutex<Vec<String>>>,
}

/// A finished run and the activities that it started.
pub(crate) struct LabRun {
    pub(crate) finished: Finished,
    pub(crate) started: Vec<String>,
}

impl Lab {
    /// Creates `echo`, `fail`, `flaky`, `hang`, `slow` and `put`, each as a function, a tool and an agent.
    pub(crate) fn new() -> Self {
        let mut lab = Self { activities: Activities::new(), started: Arc::default() };
        lab.register("echo", |context| async move { Ok(context.input().clone().into()) });
        lab.register("fail", |_| async move { Err(StepError::transient("boom", "the step failed")) });
        // Fails in the first generation of a step.
        lab.register("flaky", |context| async move {
            match context.path().generation() {
                1 => Err(StepError::transient("boom", "the step failed")),
                generation => Ok(json!(generation).into()),
            }
        });
        lab.register("hang", |context| async move {
            context.cancelled().await;
            Err(StepError::transient("stopped", "the step was stopped"))
        });
        lab.register("slow", |context| async move {
            tokio::time::sleep(Duration::from_millis(context.input()["ms"].as_u64().unwrap())).await;
            Ok(context.input()["value"].clone().into())
        });
        lab.register("put", |context| async move {
            let mut output = ActivityOutput::from(context.input().clone());
            for (key, value) in context.input().as_object().unwrap() {
                output = output.with_state(key, value.clone());
            }
            Ok(output)
        });
        lab
    }

    pub(crate) fn register<F, Fut>(&mut self, name: &str, perform: F)
    where
        F: Fn(ActivityContext) -> Fut + Send + Sync + Clone + 'static,
        Fut: Future<Output = Result<ActivityOutput, StepError>> + Send + 'static,
    {
        for kind in ["function", "tool", "persona-request"] {
            let (started, perform) = (self.started.clone(), perform.clone());
            let activity = function(move |context: ActivityContext| {
                started.lock().unwrap().push(format!("{}#{}", context.path(), context.attempt()));
                perform(context)
            });
            self.activities.register(kind, name, activity);
        }
    }

    /// Returns the path and the attempt of each activity that has started, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        self.started.lock().unwrap().clone()
    }

    /// Returns an engine builder with these activities and the runtime's paused clock.
    pub(crate) fn engine(&self) -> EngineBuilder {
        Engine::builder().activities(self.activities.clone()).clock(PausedClock::new())
    }

    /// Runs `definition` with these hooks.
    pub(crate) async fn run(&self, definition: Definition, hooks: HookDispatcherBuilder) -> LabRun {
        let layer = HookLayer::new(Arc::new(hooks.build()));
        let engine = self.engine().interceptor(Position::Hooks, layer).build();
        let finished = engine.run(definition, WorkflowInput::default()).await;
        LabRun { finished: finished.unwrap_or_else(|error| panic!("{error}")), started: self.started() }
    }
}

/// Creates a hook that always gives `answer`.
pub(crate) fn fixed<P: Point>(point: P, answer: P::Answer) -> Registration
where
    P::Answer: Clone + Sync,
{
    let answers = move |_: HookContext| {
        let answer = answer.clone();
        async move { Ok(answer) }
    };
    Registration::new("fixed").at(point, hook_fn(answers))
}

/// Runs `steps` with a hook at `point` that always gives `answer`.
pub(crate) async fn with<P: Point>(steps: impl IntoIterator<Item = Step>, point: P, answer: P::Answer) -> LabRun
where
    P::Answer: Clone + Sync,
{
    let hooks = HookDispatcher::builder().register(fixed(point, answer));
    Lab::new().run(Definition::sequence("test", steps), hooks).await
}

pub(crate) fn output(ran: &LabRun) -> Value {
    assert_eq!(ran.finished.error, None);
    (*ran.finished.output).clone()
}

pub(crate) fn code(ran: &LabRun) -> &str {
    &ran.finished.error.as_ref().expect("the run fails").code
}

/// Returns how long the run took, in seconds.
pub(crate) fn seconds(ran: &LabRun) -> i64 {
    ran.finished.ended_at.duration_since(ran.finished.started_at).as_secs()
}

/// Creates a step that returns `value`.
pub(crate) fn echo(id: &str, value: Value) -> Step {
    Step::function(id, "echo", value)
}

/// Creates a step that sets `key` in the state.
pub(crate) fn put(id: &str, key: &str, value: Value) -> Step {
    Step::function(id, "put", json!({key: value}))
}

/// Creates a step that fails with the code `boom`.
pub(crate) fn fail(id: &str) -> Step {
    Step::function(id, "fail", json!({}))
}

/// Creates a step that takes `ms` milliseconds and then returns its id.
pub(crate) fn slow(id: &str, ms: u64) -> Step {
    Step::function(id, "slow", json!({"ms": ms, "value": id}))
}
