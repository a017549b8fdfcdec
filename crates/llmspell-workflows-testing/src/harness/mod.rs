//! Tests of your own workflows: scripted activities, time that passes at once, and assertions that show the whole run.
//!
//! A workflow whose payment service is down for a while:
//!
//! ```
//! use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
//!
//! let order = Definition::sequence("order", [
//!     Step::tool("charge", "payments", json!({"amount": "{{ amount }}"}))
//!         .with_retry(Retry { jitter: 0.0, ..Retry::attempts(3).with_initial_delay(Duration::from_secs(10)) }),
//!     Step::tool("ship", "warehouse", json!({"receipt": "{{ charge.receipt }}"})),
//! ]);
//! let ended = WorkflowTest::new(order)
//!     .input(json!({"amount": 12}))
//!     .tool("payments", Script::fails(2, "unavailable").then(json!({"receipt": "r-7"})))
//!     .tool("warehouse", Script::answers(json!("on its way")))
//!     .run();
//!
//! ended.completed_with(&json!("on its way"));
//! ended.ran(&["charge", "ship"]);
//! assert_eq!(ended.calls("warehouse"), [json!({"receipt": "r-7"})]);
//! // Ten seconds, then twenty: none of them in the test.
//! assert_eq!(ended.took(), Duration::from_secs(30));
//! ```
//!
//! One that waits for a person, and does not wait for ever:
//!
//! ```
//! use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
//!
//! let wait = WaitForEvent { event: "approved".into(), on_timeout: OnTimeout::Continue, ..WaitForEvent::default() };
//! let review = Definition::sequence("review", [
//!     Step::new("approval", StepKind::WaitForEvent(wait)).with_timeout(Duration::from_secs(3 * 24 * 3600)),
//!     Step::function("publish", "publish", json!("{{ approval.data.by }}")).when("!approval.timed_out"),
//! ]);
//! let test = WorkflowTest::new(review).function("publish", Script::answers(json!("published")));
//!
//! let approved = test.clone().signal("approved", json!({"by": "Ada"})).run();
//! approved.completed_with(&json!("published"));
//! assert_eq!(approved.calls("publish"), [json!("Ada")]);
//!
//! let ignored = test.run();
//! ignored.skipped("publish", "condition_false");
//! assert_eq!(ignored.took(), Duration::from_secs(3 * 24 * 3600));
//! ```
//!
//! One that is undone when it fails, wherever its process crashes:
//!
//! ```
//! use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
//!
//! let trip = Definition::sequence("trip", [
//!     Step::tool("flight", "book", json!({"what": "flight"}))
//!         .with_compensation(Step::tool("undo", "cancel", json!({"booking": "{{ output.booking }}"}))),
//!     Step::tool("hotel", "book_hotel", json!({})),
//! ]);
//! let test = WorkflowTest::new(trip)
//!     .tool("book", Script::answers(json!({"booking": "f-1"})))
//!     .tool("book_hotel", Script::fails_for_good("sold_out"))
//!     .tool("cancel", Script::answers(json!(null)));
//!
//! let ended = test.clone().run();
//! ended.failed_with("sold_out");
//! assert_eq!(ended.status(), RunStatus::Compensated);
//! assert_eq!(ended.calls("cancel"), [json!({"booking": "f-1"})]);
//!
//! // Every boundary at which a process can die, with the journal in memory, after a kill and after a power loss.
//! assert!(test.crash_everywhere().crashes > 50);
//! ```

mod ended;
mod script;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Driven, Engine, EngineBuilder, RunOptions, WorkflowInput,
    activity::{Activities, ActivityContext, function},
    engine::Signal,
    model::{ActivityName, Definition},
    sync::lock,
};
use serde_json::{Value, json};

pub use ended::Ended;
pub use script::Script;

use crate::{
    Build,
    clock::SimClock,
    crash::{CrashReport, CrashTest, Journal, MemoryJournal},
    double::Double,
};

/// What most tests of workflows use.
pub mod prelude {
    pub use std::time::Duration;

    pub use llmspell_workflows_basic::{RunStatus, engine::Position, model::*};
    pub use serde_json::{Value, json};
}

/// A workflow, its input, and what its activities answer.
#[derive(Clone)]
pub struct WorkflowTest {
    definition: Definition,
    input: Value,
    scripts: BTreeMap<ActivityName, Script>,
    signals: Vec<(String, Value)>,
    build: Build,
}

/// What an activity was called with: its name, and the input.
type Calls = Arc<Mutex<Vec<(ActivityName, Value)>>>;

impl WorkflowTest {
    /// A test of `definition`.
    #[must_use]
    pub fn new(definition: Definition) -> Self {
        Self {
            definition,
            input: Value::Null,
            scripts: BTreeMap::new(),
            signals: Vec::new(),
            build: Arc::new(|engine| engine),
        }
    }

    /// Starts it with `input`.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }

    /// The tool `name` does what `script` says.
    #[must_use]
    pub fn tool(self, name: &str, script: Script) -> Self {
        self.activity("tool", name, script)
    }

    /// The function `name` does what `script` says.
    #[must_use]
    pub fn function(self, name: &str, script: Script) -> Self {
        self.activity("function", name, script)
    }

    /// The activity `name` of `kind` does what `script` says.
    #[must_use]
    pub fn activity(mut self, kind: &str, name: &str, script: Script) -> Self {
        self.scripts.insert(ActivityName::new(kind, name), script);
        self
    }

    /// Builds the engine with what `build` adds: hooks, events, limits, secrets.
    #[must_use]
    pub fn engine(mut self, build: impl Fn(EngineBuilder) -> EngineBuilder + Send + Sync + 'static) -> Self {
        self.build = Arc::new(build);
        self
    }

    /// Sends the run the event `name` with `data`, for the first step that waits for it.
    #[must_use]
    pub fn signal(mut self, name: &str, data: Value) -> Self {
        self.signals.push((name.to_owned(), data));
        self
    }

    /// Runs it to its end. Time passes at once wherever all of it waits.
    ///
    /// # Panics
    /// The definition or its input is wrong, or it waits for an event that nobody sends; the message says so.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> Ended {
        let (clock, calls) = (SimClock::new(Timestamp::UNIX_EPOCH), Calls::default());
        let mut activities = Activities::new();
        for (name, script) in &self.scripts {
            let (script, calls, called) = (script.clone(), calls.clone(), name.clone());
            let perform = function(move |context: ActivityContext| {
                lock(&calls).push((called.clone(), context.input().clone()));
                let answer = script.answer(&context);
                async move { answer }
            });
            activities.register(&*name.kind, &*name.name, perform);
        }
        let engine = (self.build)(Engine::builder().activities(activities).clock(clock.clone())).build();
        let plan = engine.prepare(self.definition.clone()).unwrap_or_else(|invalid| panic!("{invalid}"));
        let input = WorkflowInput::new(self.input.clone());
        let run = engine.start(&plan, input, &RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        for (number, (name, data)) in (1..).zip(&self.signals) {
            run.deliver(Signal { number, name: name.clone(), data: data.clone() });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let driven = runtime.block_on(async {
            let mut driven = std::pin::pin!(engine.drive(&run));
            loop {
                tokio::select! {
                    biased;
                    driven = &mut driven => break driven,
                    () = run.until_waiting() => match run.next_wake() {
                        Some(wake) => {
                            let active = run.until_active();
                            clock.set(wake.max(run.now()));
                            active.await;
                        }
                        // Nothing of it begins again, so it parks.
                        None => {
                            run.park();
                            break driven.await;
                        }
                    },
                }
            }
        });
        let calls = lock(&calls).clone();
        match driven {
            Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => Ended::new(*finished, calls),
            Driven::Parked(_) => {
                panic!("the run waits for an event that nobody sends:\n{}", ended::story(&run.steps()))
            }
        }
    }

    /// Crashes it at every boundary and goes on, and compares with a run that nothing disturbs.
    ///
    /// # Panics
    /// A crash made a difference; the message says which.
    #[track_caller]
    pub fn crash_everywhere(&self) -> CrashReport {
        self.crash_test().crash_everywhere().unwrap_or_else(|difference| panic!("{difference}"))
    }

    /// What it costs to make a run of it durable. Nothing is measured, all is counted, so a bound holds on any machine.
    ///
    /// ```
    /// use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
    ///
    /// let each = Loop::items(json!("{{ items }}"), [Step::function("one", "check", json!("{{ loop.item }}"))]);
    /// let test = WorkflowTest::new(Definition::sequence("check", [each.into_step("each")]))
    ///     .input(json!({"items": [1, 2, 3]}))
    ///     .function("check", Script::answers(json!(true)));
    ///
    /// let overhead = test.overhead();
    /// // The start, and each completion of the leaf; the loop and its choices are written along with these.
    /// assert_eq!(overhead.syncs, 4);
    /// assert!(overhead.bytes < 3 * 500, "{overhead:?}");
    /// ```
    ///
    /// # Panics
    /// The definition or its input is wrong, or it waits for an event that nobody sends.
    #[must_use]
    #[track_caller]
    pub fn overhead(&self) -> Overhead {
        let kept = Arc::new(MemoryJournal::new());
        let double = Double::journal(kept.clone());
        let journal: Arc<dyn Journal> = Arc::new(double.clone());
        self.crash_test().run_on(&journal).unwrap_or_else(|error| panic!("{error}"));
        let records: Vec<_> = journal.runs().into_iter().flat_map(|run| kept.kept(run)).collect();
        let bytes = records.iter().map(|record| json!(record).to_string().len()).sum();
        Overhead { records: records.len(), bytes, writes: double.count("write"), syncs: double.count("sync") }
    }

    fn crash_test(&self) -> CrashTest {
        let build = self.build.clone();
        let test = CrashTest::new(self.definition.clone(), self.input.clone()).engine(move |engine| build(engine));
        let test = self.signals.iter().fold(test, |test, (name, data)| test.signal(name, data.clone()));
        self.scripts.iter().fold(test, |test, (name, script)| {
            let script = script.clone();
            test.activity(&name.kind, &name.name, move |context| {
                let answer = script.answer(&context);
                async move { answer.map(Into::into) }
            })
        })
    }
}

/// What it costs to make a run durable, beside what its activities do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overhead {
    /// How many records the journal keeps of it.
    pub records: usize,
    /// How long they are together, as JSON.
    pub bytes: usize,
    /// How often the journal was written without a sync.
    pub writes: u64,
    /// How often the run waited for a sync; several runs at once share some of them.
    pub syncs: u64,
}
