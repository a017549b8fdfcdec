use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use llmspell_workflows_basic::{
    Clock, Engine, EngineBuilder, RunOptions, StepError, WorkflowInput,
    activity::{Activities, function},
    engine::Position,
    model::Definition,
};
use llmspell_workflows_tools::Registry;
use serde::Serialize;
use serde_json::Value;

use super::{
    Case, File, IdleClock, Mismatch, Mocks, Script, TestChildren, Watch,
    drive::drive,
    mismatches,
    script::after,
    steps::{Role, known_steps},
    unused_answers,
};
use crate::Failure;

/// The time that a case has to stop its activities after its `timeout`.
const STOP: Duration = Duration::from_secs(6);

/// The stack size of a case's thread, the same as that of a typical main thread.
const STACK_BYTES: usize = 8 << 20;

/// The result of a case.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CaseReport {
    pub(crate) name: String,
    pub(crate) passed: bool,
    pub(crate) duration_ms: u64,
    /// The reason why the run could not start or did not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    pub(crate) mismatches: Vec<Mismatch>,
    /// The locations of the mocks that were called, or whose number of calls is stated in the
    /// expectations.
    #[serde(skip)]
    used_mocks: Vec<String>,
}

/// Options shared by all cases of a file.
pub(crate) struct Options<'o> {
    pub(crate) tools: Arc<Registry>,
    pub(crate) allows_real: bool,
    /// Creates an engine with all activities; called for each case.
    pub(crate) engine: &'o dyn Fn() -> Result<EngineBuilder, Failure>,
}

/// Returns placeholders for activities that exist only as mocks, so that the definition can be
/// validated and run. Mocking a whole sub-workflow also mocks the activities inside it.
pub(crate) fn placeholders(file: &File, definition: &Definition, engine: &Engine, tools: &Registry) -> Activities {
    let steps = known_steps(definition);
    let mocks = || file.mocks.iter().chain(file.cases.iter().flat_map(|case| &case.mocks));
    let mocked: Vec<_> =
        steps.iter().filter(|step| mocks().any(|mock| step.is_mocked_by(&mock.target, tools))).collect();
    let mut activities = Activities::new();
    for step in &steps {
        let Role::Call(name) = &step.role else { continue };
        let is_mocked = || mocked.iter().any(|mocked| mocked.path == step.path || mocked.runs(step));
        if engine.activities().find(name).is_none() && is_mocked() {
            let shown = name.to_string();
            // The placeholder is called only with `--allow-real`, by a case that does not mock the
            // activity.
            let missing = function(move |_| {
                let error = StepError::configuration("unknown_activity", format!("unknown activity `{shown}`"));
                async move { Err::<Value, _>(error) }
            });
            activities.register(name.kind.clone(), name.name.clone(), missing);
        }
    }
    activities
}

/// Returns the mocks of `file` that no case used; `reports` contains the reports of all cases.
pub(crate) fn unused_mocks(file: &File, reports: &[CaseReport]) -> Vec<Mismatch> {
    let is_used = |at: &String| reports.iter().any(|report| report.used_mocks.contains(at));
    file.mocks.iter().filter(|mock| !is_used(&mock.at)).filter_map(|mock| unused_answers(mock, 0)).collect()
}

/// Runs `case` of `file` in a separate engine.
pub(crate) fn run(file: &File, case: &Case, definition: &Arc<Definition>, options: &Options<'_>) -> CaseReport {
    let began = Instant::now();
    let result = run_case(file, case, definition, options);
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (error, mismatches, used_mocks) = match result {
        Ok((mismatches, used)) => (None, mismatches, used),
        Err(error) => (Some(error), Vec::new(), Vec::new()),
    };
    let passed = error.is_none() && mismatches.is_empty();
    CaseReport { name: case.name.clone(), passed, duration_ms, error, mismatches, used_mocks }
}

/// The differences of a case, and the locations of the mocks used.
type CaseResult = Result<(Vec<Mismatch>, Vec<String>), String>;

/// Runs the case in a separate thread, so that an activity that blocks its thread cannot block the
/// test.
fn run_case(file: &File, case: &Case, definition: &Arc<Definition>, options: &Options<'_>) -> CaseResult {
    let (clock, watch) = (IdleClock::default(), Watch::default());
    let (mocks, tools) = (case.mocks.clone(), options.tools.clone());
    let mocks = Mocks::new(mocks, tools, options.allows_real, clock.clone(), watch.clone());
    let pairs = |entries: &std::collections::BTreeMap<String, String>| entries.clone().into_iter();
    let engine = (options.engine)()
        .map_err(|failure| failure.message)?
        .dispatch(mocks.clone())
        .children(TestChildren { mocks: mocks.clone(), watch: watch.clone() })
        .interceptor(Position::Trace, watch.clone())
        .clock(clock.clone())
        .env(pairs(&file.env))
        .secrets(pairs(&file.secrets))
        .build();
    crate::host::check_sockets().map_err(|failure| failure.to_string())?;
    let (sender, result) = mpsc::channel();
    let runner =
        Runner { case: case.clone(), engine, definition: definition.clone(), clock, watch: watch.clone(), mocks };
    let thread = thread::Builder::new().name("test case".to_owned()).stack_size(STACK_BYTES);
    let thread = thread.spawn(move || {
        // The receiver is gone if the case took too long.
        let _ = sender.send(runner.run());
    });
    let thread = thread.map_err(|error| format!("could not start a thread: {error}"))?;
    match result.recv_timeout(case.timeout.saturating_add(STOP)) {
        Ok(result) => result,
        // The thread is abandoned; the process exits without waiting for it.
        Err(mpsc::RecvTimeoutError::Timeout) => Err(timed_out(case, &watch)),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Err("the case ended without a result".to_owned()),
        },
    }
}

fn timed_out(case: &Case, watch: &Watch) -> String {
    let timeout = jiff::SignedDuration::try_from(case.timeout).unwrap_or(jiff::SignedDuration::MAX);
    let running = watch.running();
    let running = match running.is_empty() {
        true => String::new(),
        false => format!("; still running: {}", running.join(", ")),
    };
    format!("the case took longer than its `timeout` of {timeout:#}{running}; mock the slow steps, or raise `timeout`")
}

/// The data that a case's thread needs.
struct Runner {
    case: Case,
    engine: Engine,
    definition: Arc<Definition>,
    clock: IdleClock,
    watch: Watch,
    mocks: Mocks,
}

impl Runner {
    fn run(self) -> CaseResult {
        // The runtime has a single thread, so the clock can detect when the runtime is idle.
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let clock = self.clock.clone();
        let builder = builder.enable_all().on_thread_park(move || clock.runtime_parks());
        let runtime = builder.build().map_err(|error| error.to_string())?;
        let result = runtime.block_on(self.run_in_runtime());
        // An activity may still block a thread of the runtime.
        runtime.shutdown_background();
        self.watch.clear();
        result
    }

    async fn run_in_runtime(&self) -> CaseResult {
        let Self { case, engine, definition, clock, watch, mocks } = self;
        let plan = engine.prepare(definition.clone()).map_err(|invalid| invalid.to_string())?;
        let options = RunOptions { environment: case.environment.clone(), ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::new(case.input.clone()), &options);
        let run = run.map_err(|error| error.to_string())?;
        watch.root_begins(&run);
        let start = clock.now();
        let mut script = Script::new(&case.messages, start);
        let stop_at = case.stop_after.map(|delay| after(start, delay));
        let ended = {
            let mut ended = std::pin::pin!(drive(engine, &run, &mut script, (clock, watch), stop_at));
            match tokio::time::timeout(case.timeout, &mut ended).await {
                Ok(ended) => ended,
                Err(_) => {
                    let error = timed_out(case, watch);
                    run.shut_down();
                    // Gives activities the time to stop in an orderly way.
                    let _ = tokio::time::timeout(STOP, ended).await;
                    return Err(error);
                }
            }
        };
        let mut differences = mismatches(case, &ended, mocks);
        differences.extend(script.mismatches(watch, clock.now()));
        let is_used = |key: &str, calls: u64| calls > 0 || case.expect.calls.iter().any(|(counted, _)| counted == key);
        let used = mocks.all().filter(|(mock, calls)| is_used(&mock.key, *calls)).map(|(mock, _)| mock.at.clone());
        Ok((differences, used.collect()))
    }
}
