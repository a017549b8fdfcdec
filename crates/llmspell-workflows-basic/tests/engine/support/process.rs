//! Processes that crash at a boundary of their journal and are restarted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::{
    Clock, Driven, Engine, Finished, RunOptions, StepError, WorkflowInput,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    engine::{Call, Position, Resume, Timers, Wake},
    model::Definition,
};
use llmspell_workflows_testing::generate;
use serde_json::{Value, json};

use super::{AnySchema, Journal, Records};

/// How many times each activity was performed, by path and attempt.
pub(crate) type Effects = Arc<Mutex<BTreeMap<String, u32>>>;

pub(crate) fn activities(effects: &Effects) -> Activities {
    let mut activities = Activities::new();
    let note = effects.clone();
    let count = move |context: &ActivityContext| {
        let key = format!("{}#{}", context.path(), context.attempt());
        *note.lock().unwrap().entry(key).or_default() += 1;
    };
    let counted = count.clone();
    activities.register(
        "function",
        "echo",
        function(move |context| {
            counted(&context);
            async move { Ok(context.input().clone()) }
        }),
    );
    let counted = count.clone();
    activities.register(
        "function",
        "add",
        function(move |context| {
            counted(&context);
            async move {
                let n = context.input()["n"].as_i64().unwrap_or(0) + 1;
                Ok(ActivityOutput::from(json!(n)).with_state(context.input()["key"].as_str().unwrap(), json!(n)))
            }
        }),
    );
    let counted = count.clone();
    activities.register(
        "function",
        "forever",
        function(move |context: ActivityContext| {
            counted(&context);
            async move {
                context.cancelled().await;
                Err::<Value, _>(StepError::transient("stopped", "stopped"))
            }
        }),
    );
    for (kind, name) in [("function", "probe"), ("tool", "probe_tool")] {
        let counted = count.clone();
        let activity = function(move |context: ActivityContext| {
            counted(&context);
            async move { generate::probe(context.input(), context.attempt()) }
        });
        activities.register(kind, name, activity);
    }
    // `flaky` fails until its attempt or the generation of its block reaches `succeed_at`.
    activities.register(
        "function",
        "flaky",
        function(move |context: ActivityContext| {
            count(&context);
            async move {
                let path = context.path().to_path();
                let block = path.segments()[path.segments().len() - 2].generation;
                let tries = block.max(context.attempt());
                if i64::from(tries) < context.input()["succeed_at"].as_i64().unwrap() {
                    return Err(StepError::transient("flaky", format!("try {tries} fails")));
                }
                Ok(json!({"tries": tries}))
            }
        }),
    );
    activities
}

/// A clock that advances only when a parked run is woken. A wait parks the run, as with durable timers.
#[derive(Clone)]
pub(crate) struct ManualClock(pub(crate) Arc<Mutex<jiff::Timestamp>>);

impl Clock for ManualClock {
    fn now(&self) -> jiff::Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, _time: jiff::Timestamp) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[async_trait::async_trait]
impl Timers for ManualClock {
    async fn until(&self, _call: &Call, wake_at: jiff::Timestamp) -> Wake {
        if wake_at <= self.now() { Wake::Due } else { Wake::Park }
    }
}

/// How a process ended.
pub(crate) enum ProcessEnd {
    Done(Box<Finished>),
    Parked,
    Crashed,
}

/// Runs one process until the run ends or parks, or the process crashes.
pub(crate) fn process(
    definition: &Definition,
    time: &ManualClock,
    records: &Arc<Mutex<Records>>,
    effects: &Effects,
    journal: &Journal,
) -> ProcessEnd {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let engine = Engine::builder()
        .activities(activities(effects))
        .interceptor(Position::Journal, journal.clone())
        .clock(time.clone())
        .timers(time.clone())
        .schemas(AnySchema)
        .build();
    runtime.block_on(async {
        let plan = engine.prepare(definition.clone()).unwrap_or_else(|invalid| panic!("{invalid}"));
        let recorded: Vec<_> = records.lock().unwrap().paths();
        let resume = Some(Resume::new(uuid::Uuid::nil(), time.now()).with_recorded(&recorded));
        let options = RunOptions { resume, ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::new(json!({"items": [1, 2, 3]})), &options).unwrap();
        tokio::select! {
            biased;
            driven = engine.drive(&run) => match driven {
                Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => ProcessEnd::Done(finished),
                Driven::Parked(wait) => {
                    *time.0.lock().unwrap() = wait.wake_at.expect("the run waits only for times");
                    ProcessEnd::Parked
                }
            },
            () = journal.crashed() => ProcessEnd::Crashed,
        }
    })
}

/// Runs a definition with a crash at boundary `crash_at`, and restarts the process until the run ends.
pub(crate) fn run(definition: &Definition, crash_at: Option<u64>) -> (Finished, BTreeMap<String, u32>, bool) {
    let (records, effects) = (Arc::default(), Effects::default());
    let time = ManualClock(Arc::new(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
    let mut journal = Journal::new(&records, crash_at);
    let mut crashed = false;
    let mut recorded = Vec::new();
    for _ in 0..1_000 {
        let ended = process(definition, &time, &records, &effects, &journal);
        for (key, count) in effects.lock().unwrap().iter().filter(|(_, count)| **count > 1) {
            assert!(!recorded.contains(key), "{key} was recorded before the crash and performed {count} times");
        }
        match ended {
            ProcessEnd::Done(finished) => return (*finished, effects.lock().unwrap().clone(), crashed),
            ProcessEnd::Parked => {}
            ProcessEnd::Crashed => {
                crashed = true;
                journal = Journal::new(&records, None);
                // A leaf that has ended must not be attempted again.
                let done = records.lock().unwrap();
                let all = done.outcomes.keys().map(|path| format!("{path}#1"));
                recorded = all.filter(|key| effects.lock().unwrap().contains_key(key)).collect();
            }
        }
    }
    panic!("the run does not end");
}

/// Crashes runs at every boundary, one boundary per run, and checks that each run resumes with the same result.
pub(crate) fn crash_everywhere(name: &str, definition: &Definition) {
    let boundaries = crashes(name, definition, true);
    assert!(boundaries > 3, "{name}: only {boundaries} boundaries");
}

/// Like [`crash_everywhere`], for a definition that may fail or have few boundaries.
pub(crate) fn crash_generated(name: &str, definition: &Definition) {
    crashes(name, definition, false);
}

fn crashes(name: &str, definition: &Definition, completes: bool) -> u64 {
    let (expected, effects, _) = run(definition, None);
    assert!(!completes || expected.error.is_none(), "{name}: {:?}", expected.error);
    let mut boundaries = 0;
    for crash_at in 0.. {
        let (finished, resumed_effects, crashed) = run(definition, Some(crash_at));
        assert_eq!(finished.output, expected.output, "{name}: output after a crash at boundary {crash_at}");
        assert_eq!(finished.error, expected.error, "{name}: error after a crash at boundary {crash_at}");
        assert_eq!(
            finished.state_changes, expected.state_changes,
            "{name}: state after a crash at boundary {crash_at}"
        );
        let keys = |effects: &BTreeMap<String, u32>| effects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&resumed_effects), keys(&effects), "{name}: effects after a crash at boundary {crash_at}");
        let again: u32 = resumed_effects.values().map(|count| count - 1).sum();
        assert!(
            !completes || again <= 4,
            "{name}: {again} leaves ran again after a crash at {crash_at}: {resumed_effects:?}"
        );
        if !crashed {
            break;
        }
        boundaries = crash_at + 1;
    }
    println!("{name}: {boundaries} crashes");
    boundaries
}
