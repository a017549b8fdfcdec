//! A journal that is an interceptor like any other resumes every pattern after a crash at every boundary.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_basic::{
    Clock, Driven, Engine, Finished, RunOptions, StepError, WorkflowInput,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    engine::{Call, Position, Resume, Timers, Wake},
    model::*,
};
use serde_json::{Value, json};
use support::{Journal, Records};

/// How often each activity was performed, by idempotency key and attempt.
type Effects = Arc<Mutex<BTreeMap<String, u32>>>;

fn activities(effects: &Effects) -> Activities {
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
                Err::<Value, _>(StepError::transient("stopped", "it was stopped"))
            }
        }),
    );
    // Fails until the block around it has been entered for the `succeed_at`th time, or for so many attempts.
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

/// Time that stands still until a parked run is woken; waiting parks the run, as with durable timers.
#[derive(Clone)]
struct Time(Arc<Mutex<jiff::Timestamp>>);

impl Clock for Time {
    fn now(&self) -> jiff::Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, _time: jiff::Timestamp) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[async_trait::async_trait]
impl Timers for Time {
    async fn until(&self, _call: &Call, wake_at: jiff::Timestamp) -> Wake {
        if wake_at <= self.now() { Wake::Due } else { Wake::Park }
    }
}

/// How a process ended.
enum Ended {
    Done(Box<Finished>),
    Parked,
    Crashed,
}

/// One process: it runs until it ends, parks or crashes.
fn process(
    definition: &Definition,
    time: &Time,
    records: &Arc<Mutex<Records>>,
    effects: &Effects,
    journal: &Journal,
) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let engine = Engine::builder()
        .activities(activities(effects))
        .interceptor(Position::Journal, journal.clone())
        .clock(time.clone())
        .timers(time.clone())
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
                Driven::Done(finished) => Ended::Done(finished),
                Driven::Parked(wait) => {
                    *time.0.lock().unwrap() = wait.wake_at.expect("only times are waited for");
                    Ended::Parked
                }
            },
            () = journal.crashed() => Ended::Crashed,
        }
    })
}

/// Runs to the end, with a crash at boundary `crash_at`; processes are started again until the run has ended.
fn run(definition: &Definition, crash_at: Option<u64>) -> (Finished, BTreeMap<String, u32>, bool) {
    let (records, effects) = (Arc::default(), Effects::default());
    let time = Time(Arc::new(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
    let mut journal = Journal::new(&records, crash_at);
    let mut crashed = false;
    let mut recorded = Vec::new();
    for _ in 0..100 {
        let ended = process(definition, &time, &records, &effects, &journal);
        for (key, count) in effects.lock().unwrap().iter().filter(|(_, count)| **count > 1) {
            assert!(!recorded.contains(key), "{key} was recorded before the crash and performed {count} times");
        }
        match ended {
            Ended::Done(finished) => return (*finished, effects.lock().unwrap().clone(), crashed),
            Ended::Parked => {}
            Ended::Crashed => {
                crashed = true;
                journal = Journal::new(&records, None);
                // Of a leaf that has ended no attempt may follow.
                let done = records.lock().unwrap();
                let all = done.outcomes.keys().map(|path| format!("{path}#1"));
                recorded = all.filter(|key| effects.lock().unwrap().contains_key(key)).collect();
            }
        }
    }
    panic!("the run does not come to an end");
}

fn crash_everywhere(name: &str, definition: &Definition) {
    let (expected, effects, _) = run(definition, None);
    assert!(expected.error.is_none(), "{name}: {:?}", expected.error);
    let mut boundaries = 0;
    for crash_at in 0.. {
        let (finished, resumed_effects, crashed) = run(definition, Some(crash_at));
        assert_eq!(finished.output, expected.output, "{name}: output after a crash at boundary {crash_at}");
        assert_eq!(
            finished.state_changes, expected.state_changes,
            "{name}: state after a crash at boundary {crash_at}"
        );
        let keys = |effects: &BTreeMap<String, u32>| effects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&resumed_effects), keys(&effects), "{name}: effects after a crash at boundary {crash_at}");
        let again: u32 = resumed_effects.values().map(|count| count - 1).sum();
        assert!(again <= 4, "{name}: {again} leaves ran again after a crash at {crash_at}: {resumed_effects:?}");
        if !crashed {
            break;
        }
        boundaries = crash_at + 1;
    }
    assert!(boundaries > 3, "{name}: only {boundaries} boundaries");
    println!("{name}: {boundaries} crashes");
}

fn echo(id: &str, value: Value) -> Step {
    Step::function(id, "echo", value)
}

fn add(id: &str, key: &str, n: &str) -> Step {
    Step::function(id, "add", json!({"key": key, "n": n}))
}

fn sequence() -> Vec<Step> {
    vec![
        echo("a", json!("{{ items[0] }}")),
        add("b", "total", "{{ a }}"),
        echo("skipped", json!(1)).when("state.total > 5"),
        Step::sequence("inner", [add("c", "total", "{{ state.total }}"), echo("d", json!("{{ c }} of {{ b }}"))]),
    ]
}

fn graph() -> Step {
    Step::sequence(
        "graph",
        [
            echo("root", json!(1)),
            add("left", "left", "{{ root }}").after(["root"]),
            add("right", "right", "{{ root }}").after(["root"]),
            echo("never", json!(0)).after(["left"]).when("left > 100"),
            echo("after_never", json!(0)).after(["never"]),
            echo("join", json!("{{ state.left + state.right }}")).after(["left", "right"]),
        ],
    )
}

fn route() -> Step {
    Route::new(
        "draft",
        [
            add("draft", "drafts", "{{ state.drafts || 0 }}").then("check"),
            Step::sequence("check", [Step::function("look", "flaky", json!({"succeed_at": 2}))])
                .with_retry(Retry::attempts(3).with_backoff(Backoff::Immediate))
                .then_if("state.drafts < 3", "draft")
                .then("publish"),
            echo("publish", json!({"drafts": "{{ state.drafts }}"})),
        ],
    )
    .into_step("route")
}

fn each(parallel: bool) -> Step {
    let body = [
        add("plus", "sum", "{{ loop.item }}").when("loop.index != 1"),
        echo("note", json!("{{ loop.index }}:{{ loop.item }}")),
    ];
    if parallel {
        let body = [echo("one", json!("{{ loop.item }}")), echo("two", json!("{{ one * 10 }}"))];
        return Loop::items("{{ items }}", body).parallel(2).into_step("each_at_once");
    }
    Loop { until: Some("loop.item == 2".into()), ..Loop::items("{{ items }}", body) }.into_step("each")
}

fn parallel() -> Step {
    Parallel::new([
        Step::sequence("x", [add("set", "shared", "1"), echo("end", json!("x"))]),
        Step::sequence("y", [add("set", "shared", "5"), echo("end", json!("y"))]),
        echo("z", json!("z")),
    ])
    .with_on_conflict(OnConflict::First)
    .into_step("parallel")
}

fn race() -> Step {
    Parallel::new([
        Step::sequence("slow", [echo("begin", json!(1)), Step::function("hang", "forever", json!(null))]),
        Step::sequence("fast", [echo("begin", json!(2)), echo("end", json!("won"))]),
    ])
    .with_aggregation(Aggregation::First)
    .into_step("race")
}

fn retried() -> Step {
    Step::sequence(
        "block",
        [
            echo("before", json!("again")),
            Step::function("flaky", "flaky", json!({"succeed_at": 3})),
            Step::function("leaf", "flaky", json!({"succeed_at": 2})).with_retry(Retry::attempts(2)),
        ],
    )
    .with_retry(Retry::attempts(4).with_initial_delay(Duration::from_millis(1)))
}

fn handled() -> Step {
    Step::sequence(
        "handled",
        [
            Step::function("fails", "flaky", json!({"succeed_at": 99})).with_on_error(OnError::Continue),
            Step::function("mended", "flaky", json!({"succeed_at": 99}))
                .with_on_error(OnError::Steps(vec![Arc::new(echo("mend", json!("{{ error.code }}")))])),
            Step::new("wait", StepKind::Sleep(Delay::Fixed(Duration::from_millis(1))))
                .with_total_timeout(Duration::from_secs(60)),
            Conditional::new("mended == 'flaky'", [echo("yes", json!("yes"))], [echo("no", json!("no"))])
                .into_step("choice"),
            Step::new(
                "while",
                StepKind::Loop(Loop::new(
                    Over::While("(state.rounds || 0) < 3".into()),
                    [add("round", "rounds", "{{ state.rounds || 0 }}")],
                )),
            ),
        ],
    )
}

fn definition(steps: impl IntoIterator<Item = Step>) -> Definition {
    Definition::sequence("resumed", steps)
}

#[test]
fn each_pattern_resumes_after_a_crash_at_every_boundary() {
    crash_everywhere("sequence", &definition(sequence()));
    for step in [graph(), route(), each(false), each(true), parallel(), race(), retried(), handled()] {
        crash_everywhere(&step.id.clone(), &definition([echo("first", json!(0)), step, echo("last", json!("end"))]));
    }
}

#[test]
fn all_patterns_nested_in_each_other_resume() {
    let inside = |id: &str| Step::sequence(id, [graph(), race(), each(false), retried(), route()]);
    let nested =
        Parallel::new([inside("one"), Loop::items(json!([7, 8]), [inside("body"), each(true)]).into_step("two")])
            .with_on_conflict(OnConflict::Last)
            .into_step("nested");
    crash_everywhere("nested", &definition([nested, handled()]));
}
