//! Tests your own workflows with scripted activities, simulated time, and assertions that show the whole run.
//!
//! This test simulates a payment service that is temporarily down:
//!
//! ```
//! use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
//!
//! let order = Definition::sequence("order", [
//!     Step::tool("charge", "payments", json!({"amount": "{{ amount }}"}))
//!         .with_retry(Retry { jitter: 0.0, ..Retry::attempts(3).with_initial_delay(Duration::from_secs(10)) }),
//!     Step::tool("ship", "warehouse", json!({"receipt": "{{ charge.receipt }}"})),
//! ]);
//! let result = WorkflowTest::new(order)
//!     .input(json!({"amount": 12}))
//!     .tool("payments", Script::fails(2, "unavailable").then(json!({"receipt": "r-7"})))
//!     .tool("warehouse", Script::returns(json!("on its way")))
//!     .run();
//!
//! result.completed_with(&json!("on its way"));
//! result.ran(&["charge", "ship"]);
//! assert_eq!(result.calls("warehouse"), [json!({"receipt": "r-7"})]);
//! // The delays are ten and twenty seconds of simulated time.
//! assert_eq!(result.duration(), Duration::from_secs(30));
//! ```
//!
//! This test covers a workflow that waits for a person, with a timeout:
//!
//! ```
//! use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
//!
//! let wait = WaitForEvent { event: "approved".into(), on_timeout: OnTimeout::Continue, ..WaitForEvent::default() };
//! let review = Definition::sequence("review", [
//!     Step::new("approval", StepKind::WaitForEvent(wait)).with_timeout(Duration::from_secs(3 * 24 * 3600)),
//!     Step::function("publish", "publish", json!("{{ approval.data.by }}")).when("!approval.timed_out"),
//! ]);
//! let test = WorkflowTest::new(review).function("publish", Script::returns(json!("published")));
//!
//! let approved = test.clone().signal("approved", json!({"by": "Ada"})).run();
//! approved.completed_with(&json!("published"));
//! assert_eq!(approved.calls("publish"), [json!("Ada")]);
//!
//! let ignored = test.run();
//! ignored.skipped("publish", "condition_false");
//! assert_eq!(ignored.duration(), Duration::from_secs(3 * 24 * 3600));
//! ```
//!
//! This test covers a workflow that is undone when it fails, even if its process crashes at any point:
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
//!     .tool("book", Script::returns(json!({"booking": "f-1"})))
//!     .tool("book_hotel", Script::fails_permanently("sold_out"))
//!     .tool("cancel", Script::returns(json!(null)));
//!
//! let result = test.clone().run();
//! result.failed_with("sold_out");
//! assert_eq!(result.status(), RunStatus::Compensated);
//! assert_eq!(result.calls("cancel"), [json!({"booking": "f-1"})]);
//!
//! // The process crashes at every boundary: with an in-memory journal, by a kill, and by a power loss.
//! assert!(test.crash_everywhere().crashes > 50);
//! ```

mod run_result;
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

pub use run_result::RunResult;
pub use script::Script;

use crate::{
    ConfigureEngine,
    clock::SimClock,
    crash::{CrashReport, CrashTest, Journal, MemoryJournal},
    double::Double,
};

/// The items that most workflow tests use.
pub mod prelude {
    pub use std::time::Duration;

    pub use llmspell_workflows_basic::{RunStatus, engine::Position, model::*};
    pub use serde_json::{Value, json};
}

/// A test of a workflow: its input and the scripts of its activities.
#[derive(Clone)]
pub struct WorkflowTest {
    definition: Definition,
    input: Value,
    scripts: BTreeMap<ActivityName, Script>,
    signals: Vec<(String, Value)>,
    configure: ConfigureEngine,
}

/// The calls to activities, each with the activity's name and its input.
type Calls = Arc<Mutex<Vec<(ActivityName, Value)>>>;

impl WorkflowTest {
    /// Creates a test of `definition`.
    #[must_use]
    pub fn new(definition: Definition) -> Self {
        Self {
            definition,
            input: Value::Null,
            scripts: BTreeMap::new(),
            signals: Vec::new(),
            configure: Arc::new(|engine| engine),
        }
    }

    /// Sets the input of the run.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }

    /// Sets the script of the tool `name`.
    #[must_use]
    pub fn tool(self, name: &str, script: Script) -> Self {
        self.activity("tool", name, script)
    }

    /// Sets the script of the function `name`.
    #[must_use]
    pub fn function(self, name: &str, script: Script) -> Self {
        self.activity("function", name, script)
    }

    /// Sets the script of the activity `name` of `kind`.
    #[must_use]
    pub fn activity(mut self, kind: &str, name: &str, script: Script) -> Self {
        self.scripts.insert(ActivityName::new(kind, name), script);
        self
    }

    /// Configures the engine with `configure`, for example its hooks, events, limits or secrets.
    #[must_use]
    pub fn engine(mut self, configure: impl Fn(EngineBuilder) -> EngineBuilder + Send + Sync + 'static) -> Self {
        self.configure = Arc::new(configure);
        self
    }

    /// Sends the signal `name` with `data` to the run; the first step that waits for it receives it.
    #[must_use]
    pub fn signal(mut self, name: &str, data: Value) -> Self {
        self.signals.push((name.to_owned(), data));
        self
    }

    /// Runs the workflow to the end. When all branches wait, the simulated time advances immediately.
    ///
    /// # Panics
    /// Panics if the definition or its input is invalid, or if the run waits for a signal that is never sent.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> RunResult {
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
        let engine = (self.configure)(Engine::builder().activities(activities).clock(clock.clone())).build();
        let plan = engine.prepare(self.definition.clone()).unwrap_or_else(|invalid| panic!("{invalid}"));
        let input = WorkflowInput::new(self.input.clone());
        let run = engine.start(&plan, input, &RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        for (number, (name, data)) in (1..).zip(&self.signals) {
            run.deliver(Signal::new(number, name.clone(), data.clone()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
        let driven = runtime.block_on(async {
            let mut driven = std::pin::pin!(engine.drive(&run));
            loop {
                tokio::select! {
                    biased;
                    driven = &mut driven => break driven,
                    times = run.until_waiting() => match times.next_wake() {
                        Some(wake) => {
                            let active = run.until_active();
                            clock.set(wake.max(run.now()));
                            active.await;
                        }
                        // No branch can continue, so the run parks.
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
            Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => RunResult::new(*finished, calls),
            Driven::Parked(_) => {
                panic!("the run waits for a signal that is never sent:\n{}", run_result::format_steps(&run.steps()))
            }
        }
    }

    /// Crashes the workflow at every boundary, resumes it, and compares the result with an uninterrupted run.
    ///
    /// # Panics
    /// Panics if a crash changed the result; the message shows the difference.
    #[track_caller]
    pub fn crash_everywhere(&self) -> CrashReport {
        self.crash_test().crash_everywhere().unwrap_or_else(|difference| panic!("{difference}"))
    }

    /// Returns the overhead of making a run durable. The overhead is counted rather than measured, so its bounds hold
    /// on any machine.
    ///
    /// ```
    /// use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
    ///
    /// let each = Loop::items(json!("{{ items }}"), [Step::function("one", "check", json!("{{ loop.item }}"))]);
    /// let test = WorkflowTest::new(Definition::sequence("check", [each.into_step("each")]))
    ///     .input(json!({"items": [1, 2, 3]}))
    ///     .function("check", Script::returns(json!(true)));
    ///
    /// let overhead = test.overhead();
    /// // One for the start and one for each completion of the leaf; the records of the loop are written with them.
    /// assert_eq!(overhead.syncs, 4);
    /// assert!(overhead.bytes < 3 * 500, "{overhead:?}");
    /// ```
    ///
    /// # Panics
    /// Panics if the definition or its input is invalid, or if the run waits for a signal that is never sent.
    #[must_use]
    #[track_caller]
    pub fn overhead(&self) -> Overhead {
        let memory = Arc::new(MemoryJournal::new());
        let double = Double::journal(memory.clone());
        let journal: Arc<dyn Journal> = Arc::new(double.clone());
        self.crash_test().run_on(&journal).unwrap_or_else(|error| panic!("{error}"));
        let records: Vec<_> = journal.runs().into_iter().flat_map(|run| memory.kept(run)).collect();
        let bytes = records.iter().map(|record| json!(record).to_string().len()).sum();
        Overhead { records: records.len(), bytes, writes: double.count("write"), syncs: double.count("sync") }
    }

    fn crash_test(&self) -> CrashTest {
        let configure = self.configure.clone();
        let test = CrashTest::new(self.definition.clone(), self.input.clone()).engine(move |engine| configure(engine));
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

/// The overhead of making a run durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overhead {
    /// The number of records in the journal.
    pub records: usize,
    /// The total size of the records as JSON, in bytes.
    pub bytes: usize,
    /// The number of writes without a sync.
    pub writes: u64,
    /// The number of syncs that the run waited for; concurrent runs can share syncs.
    pub syncs: u64,
}
