//! Named limits across several executors of one home, which represent several processes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use llmspell_workflows_advanced::Executor;
use llmspell_workflows_basic::{
    Engine, EngineBuilder, RunStatus,
    activity::{Activities, function},
    model::{Definition, Parallel, Step},
};
use serde_json::json;

use crate::lab::{Lab, finished, start};

/// Counts how many steps execute at once.
#[derive(Clone, Default)]
struct Counter(Arc<(AtomicUsize, AtomicUsize)>);

impl Counter {
    fn engine(&self) -> EngineBuilder {
        let counter = self.clone();
        let mut activities = Activities::new();
        activities.register(
            "function",
            "count",
            function(move |_| {
                let counter = counter.clone();
                async move {
                    let (now, most) = &*counter.0;
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    // Long enough for steps of other executors to begin if the limit does not block
                    // them.
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(json!(null))
                }
            }),
        );
        Engine::builder().activities(activities)
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A workflow of six parallel steps with the limit `api`, declared with the value `holders`.
fn limited(name: &str, holders: Option<u32>) -> Definition {
    let steps = (0..6).map(|number| Step::function(format!("s{number}"), "count", json!({})).with_limit("api"));
    let mut definition = Definition::sequence(name, [Parallel::new(steps).into_step("block")]);
    definition.concurrency.extend(holders.map(|holders| ("api".to_owned(), holders)));
    definition
}

/// Runs each definition in its own executor, all at once.
async fn run_all(executors: Vec<Executor>, definitions: Vec<Definition>) {
    let runs = executors.into_iter().zip(definitions).map(|(executor, definition)| {
        tokio::spawn(async move {
            let run = start(&executor, definition).await;
            assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_limit_applies_across_all_executors_of_a_home() {
    let of_definition = |names: [&str; 2], holders: [u32; 2]| {
        names.into_iter().zip(holders).map(|(name, holders)| limited(name, Some(holders))).collect::<Vec<_>>()
    };
    let of_engine = vec![limited("one", None), limited("two", None)];
    let cases = [
        ("one definition", of_definition(["one", "one"], [2, 2]), None, 2),
        ("two definitions", of_definition(["one", "two"], [2, 2]), None, 4),
        ("two versions of a definition", of_definition(["one", "one"], [1, 3]), None, 3),
        ("the engine", of_engine, Some(2), 2),
    ];
    for (name, definitions, declared, most) in cases {
        let (lab, counter) = (Lab::new(), Counter::default());
        let engine = || match declared {
            Some(holders) => counter.engine().concurrency("api", holders),
            None => counter.engine(),
        };
        let executors = definitions.iter().map(|_| Executor::new(lab.home(), engine())).collect();
        run_all(executors, definitions).await;
        assert!(counter.most() <= most, "{name}: {} steps at once", counter.most());
    }
}
