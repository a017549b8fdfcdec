use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use llmspell_workflows_advanced::{DurableEnd, DurableRun, Executor, FolderHome, Home, KnownRun, StartOptions};
use llmspell_workflows_basic::{
    Engine, EngineBuilder, Finished, StepError, WorkflowInput,
    activity::{Activities, ActivityContext, function},
    model::Definition,
};
use llmspell_workflows_testing::patterns;
use tempfile::TempDir;
use uuid::Uuid;

/// A home in a temporary folder, and a log of the executed steps.
pub(crate) struct Lab {
    pub(crate) folder: TempDir,
    pub(crate) performed: Arc<Performed>,
}

#[derive(Default)]
pub(crate) struct Performed {
    log: Mutex<Vec<String>>,
    /// The number of the execution that fails permanently; later executions succeed.
    fails: Mutex<Option<usize>>,
}

impl Performed {
    fn note(&self, context: &ActivityContext) -> Result<(), StepError> {
        let mut log = self.log.lock().unwrap();
        log.push(format!("{}#{}", context.path(), context.attempt()));
        let mut fails = self.fails.lock().unwrap();
        if *fails != Some(log.len() - 1) {
            return Ok(());
        }
        *fails = None;
        Err(StepError::configuration("injected", "this execution fails"))
    }

    /// Returns the executions so far, as `PATH#ATTEMPT`.
    pub(crate) fn all(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Returns the number of executions of each attempt.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.all().into_iter().for_each(|one| *counts.entry(one).or_default() += 1);
        counts
    }

    /// Clears the log. The execution with the number `fails`, counted from now on, will fail permanently.
    pub(crate) fn begin(&self, fails: Option<usize>) {
        self.log.lock().unwrap().clear();
        *self.fails.lock().unwrap() = fails;
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), performed: Arc::default() }
    }

    pub(crate) fn home(&self) -> Arc<dyn Home> {
        self.folder_home().into()
    }

    pub(crate) fn folder_home(&self) -> FolderHome {
        FolderHome::new(self.folder.path())
    }

    /// Returns an engine builder with the functions that the patterns call.
    pub(crate) fn engine(&self) -> EngineBuilder {
        let mut activities = Activities::new();
        for name in patterns::FUNCTIONS {
            let performed = self.performed.clone();
            let perform = function(move |context: ActivityContext| {
                let noted = performed.note(&context);
                async move {
                    noted?;
                    patterns::perform(name, context).await
                }
            });
            activities.register("function", name, perform);
        }
        Engine::builder().activities(activities)
    }

    /// Returns a new executor over the home, as in another process.
    pub(crate) fn executor(&self) -> Executor {
        Executor::new(self.home(), self.engine())
    }

    pub(crate) async fn known(&self, run: Uuid) -> KnownRun {
        self.home().find(&run.to_string()).await.unwrap()
    }
}

pub(crate) async fn start(executor: &Executor, definition: Definition) -> DurableRun {
    executor.start(definition, WorkflowInput::new(patterns::input()), StartOptions::default()).await.unwrap()
}

pub(crate) async fn finished(executor: &Executor, run: DurableRun) -> Finished {
    match executor.drive(run).await.unwrap() {
        DurableEnd::Finished(finished) => *finished,
        other => panic!("the run did not finish: {other:?}"),
    }
}
