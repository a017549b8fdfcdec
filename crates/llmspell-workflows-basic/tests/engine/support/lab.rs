use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use llmspell_workflows_basic::{
    Engine, EngineBuilder, Finished, StepError, WorkflowInput,
    activity::{Activities, Activity, ActivityContext, ActivityOutput, function},
    engine::StepStatus,
    model::{ActivityName, Definition, Step},
};
use serde_json::{Value, json};

use super::PausedClock;

/// A set of test activities, and a record of their calls.
#[derive(Clone)]
pub(crate) struct Lab {
    activities: Activities,
    live: Arc<Live>,
}

#[derive(Default)]
struct Live {
    now: AtomicUsize,
    most: AtomicUsize,
    started: Mutex<Vec<String>>,
}

/// Counts a running activity until it ends or is dropped.
struct Guard(Arc<Live>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lab {
    /// Creates a lab with the activities `echo`, `fail`, `panic`, `hang`, `ignore`, `late`, `slow` and `put`; the
    /// functions that create steps describe them.
    pub(crate) fn new() -> Self {
        let mut lab = Self { activities: Activities::new(), live: Arc::default() };
        lab.register("echo", |context| async move { Ok(context.input().clone().into()) });
        lab.register("fail", |context| async move { Err(error(context.input())) });
        lab.register("panic", |_| async move { panic!("boom") });
        lab.register("hang", |context| async move {
            context.cancelled().await;
            Err(StepError::transient("stopped", "stopped"))
        });
        lab.register("ignore", |_| std::future::pending());
        lab.register("late", |context| async move {
            context.cancelled().await;
            Ok(ActivityOutput::from(json!("late")).with_state("late", json!(true)))
        });
        lab.register("slow", |context| async move {
            tokio::select! {
                () = context.cancelled() => return Err(StepError::transient("stopped", "stopped")),
                () = tokio::time::sleep(Duration::from_millis(context.input()["ms"].as_u64().unwrap())) => {}
            }
            let input = context.input();
            if input["fails"] == true { Err(error(input)) } else { Ok(input["value"].clone().into()) }
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

    /// Adds the function `name` and counts its calls.
    pub(crate) fn register<F, Fut>(&mut self, name: &str, perform: F) -> &mut Self
    where
        F: Fn(ActivityContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActivityOutput, StepError>> + Send + 'static,
    {
        let counted = self.counted(perform);
        self.activities.register("function", name, counted);
        self
    }

    /// Adds the tool `name` and counts its calls.
    pub(crate) fn register_tool<F, Fut>(&mut self, name: &str, perform: F) -> &mut Self
    where
        F: Fn(ActivityContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActivityOutput, StepError>> + Send + 'static,
    {
        let counted = self.counted(perform);
        self.activities.register("tool", name, counted);
        self
    }

    /// Creates an activity whose calls are counted.
    pub(crate) fn counted<F, Fut>(&self, perform: F) -> impl Activity + 'static
    where
        F: Fn(ActivityContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActivityOutput, StepError>> + Send + 'static,
    {
        let live = self.live.clone();
        function(move |context: ActivityContext| {
            live.started.lock().unwrap().push(format!("{}#{}", context.path(), context.attempt()));
            let now = live.now.fetch_add(1, Ordering::SeqCst) + 1;
            live.most.fetch_max(now, Ordering::SeqCst);
            let guard = Guard(live.clone());
            let performed = perform(context);
            async move {
                let _guard = guard;
                performed.await
            }
        })
    }

    /// Returns the function `name`.
    pub(crate) fn activity(&self, name: &str) -> Arc<dyn Activity> {
        self.activities.find(&ActivityName::new("function", name)).unwrap()
    }

    /// Returns the number of running activities.
    pub(crate) fn live(&self) -> usize {
        self.live.now.load(Ordering::SeqCst)
    }

    /// Returns the highest number of activities that ran at once.
    pub(crate) fn most(&self) -> usize {
        self.live.most.load(Ordering::SeqCst)
    }

    /// Returns the path and attempt of each started activity, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        self.live.started.lock().unwrap().clone()
    }

    /// Returns an engine builder with these activities and the runtime's clock.
    pub(crate) fn engine(&self) -> EngineBuilder {
        Engine::builder().activities(self.activities.clone()).clock(PausedClock::new())
    }

    /// Runs `definition` on a new engine.
    pub(crate) async fn run(&self, definition: Definition) -> Finished {
        let input = WorkflowInput::new(json!({"items": [1, 2, 3], "yes": true}));
        let finished = self.engine().build().run(definition, input).await;
        finished.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs a list of steps.
    pub(crate) async fn steps(&self, steps: impl IntoIterator<Item = Step>) -> Finished {
        self.run(Definition::sequence("test", steps)).await
    }
}

fn error(input: &Value) -> StepError {
    let code = input["code"].as_str().unwrap_or("boom").to_owned();
    let error = StepError::transient(code, "it failed");
    if input["details"].is_null() { error } else { error.with_details(input["details"].clone()) }
}

/// Creates a step that returns `value`.
pub(crate) fn echo(id: &str, value: Value) -> Step {
    Step::function(id, "echo", value)
}

/// Creates a step that sets `key` in the state.
pub(crate) fn put(id: &str, key: &str, value: Value) -> Step {
    Step::function(id, "put", json!({key: value}))
}

/// Creates a step that fails with the code `boom` and the class `transient`.
pub(crate) fn fail(id: &str) -> Step {
    Step::function(id, "fail", json!({}))
}

/// Creates a step that runs until it is cancelled.
pub(crate) fn hang(id: &str) -> Step {
    Step::function(id, "hang", json!(null))
}

/// Creates a step that takes `ms` milliseconds and returns its id.
pub(crate) fn slow(id: &str, ms: u64) -> Step {
    Step::function(id, "slow", json!({"ms": ms, "value": id}))
}

/// Returns the ids of all leaves that ended with `status`, in start order.
pub(crate) fn ids(finished: &Finished, status: StepStatus) -> Vec<String> {
    let leaves = finished.steps.iter().filter(|record| record.is_leaf && record.status == status);
    leaves.map(|record| record.path.id().unwrap().to_string()).collect()
}
