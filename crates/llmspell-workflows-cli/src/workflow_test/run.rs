use std::{sync::Arc, time::Instant};

use llmspell_workflows_basic::{
    Driven, Engine, EngineBuilder, Problem, ProblemLocation, RunOptions, StepError, WorkflowInput,
    activity::{Activities, function},
    model::{ActivityName, Definition},
};
use llmspell_workflows_tools::Registry;
use serde::Serialize;
use serde_json::Value;

use super::{Case, File, IdleClock, Mismatch, Mocks, format::Target, mismatches};
use crate::{
    Failure,
    outline::{self, Block, Entry, Known},
};

/// The result of a case.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CaseReport {
    pub(crate) name: String,
    pub(crate) passed: bool,
    pub(crate) duration_ms: u64,
    /// Why the run could not start, or did not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    pub(crate) mismatches: Vec<Mismatch>,
}

/// Options that all cases of a file share.
pub(crate) struct Options<'o> {
    pub(crate) tools: Arc<Registry>,
    pub(crate) allows_real: bool,
    /// Creates an engine with all activities; called for each case.
    pub(crate) engine: &'o dyn Fn() -> Result<EngineBuilder, Failure>,
}

/// Checks the mocks and expectations of `file` against the workflow.
pub(crate) fn problems(file: &File, definition: &Definition, tools: &Registry) -> Vec<Problem> {
    let leaves = leaves(definition);
    let mut paths: Vec<&str> = leaves.iter().map(|leaf| leaf.path.as_str()).collect();
    let all = all_entries(definition);
    let mut problems = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for mock in file.cases.iter().flat_map(|case| &case.mocks) {
        if seen.contains(&mock.at.as_str()) {
            continue;
        }
        seen.push(&mock.at);
        if leaves.iter().any(|leaf| leaf.is_matched_by(&mock.target, tools)) {
            continue;
        }
        let message = format!("`{}` does not match any step that calls an activity", mock.key);
        let names: Vec<_> = leaves.iter().flat_map(|leaf| [leaf.id.clone(), leaf.name.to_string()]).collect();
        let problem = Problem::error("unknown_step", ProblemLocation::new("", &*mock.at), message);
        problems.push(problem.with_known(&mock.key, names.iter().map(String::as_str)));
    }
    paths.extend(all.iter().map(|entry| entry.path.as_str()));
    for case in &file.cases {
        let steps = case.expect.steps.iter().map(|(pattern, _)| (pattern, format!("steps/{pattern}")));
        let order = case.expect.order.iter().enumerate().map(|(n, pattern)| (pattern, format!("order/{n}")));
        for (pattern, at) in steps.chain(order) {
            if !paths.iter().any(|path| pattern.may_match(path)) {
                let place = ProblemLocation::new("", format!("{}/expect/{at}", case.at));
                let problem = Problem::error("unknown_step", place, format!("no step matches `{pattern}`"));
                problems.push(problem.with_known(&pattern.to_string(), all.iter().map(|entry| entry.id.as_str())));
            }
        }
    }
    problems
}

/// A step that calls an activity.
struct Leaf {
    id: String,
    path: String,
    name: ActivityName,
}

impl Leaf {
    fn is_matched_by(&self, target: &Target, tools: &Registry) -> bool {
        target.matches(&self.name, tools, |pattern| pattern.may_match(&self.path))
    }
}

fn leaves(definition: &Definition) -> Vec<Leaf> {
    let leaf = |entry: Entry| Some(Leaf { name: entry.call?, id: entry.id, path: entry.path });
    all_entries(definition).into_iter().filter_map(leaf).collect()
}

fn all_entries(definition: &Definition) -> Vec<Entry> {
    let known = Known { waits: Default::default(), decide: &|_| None };
    let mut entries = Vec::new();
    let mut left: Vec<Block> = outline::build(definition, &known);
    while let Some(block) = left.pop() {
        for mut entry in block.steps {
            left.append(&mut entry.blocks);
            entries.push(entry);
        }
    }
    entries.sort_by(|one, two| one.path.cmp(&two.path));
    entries
}

/// Returns placeholders for activities that exist only as mocks, so that the definition can be validated and run.
pub(crate) fn placeholders(file: &File, definition: &Definition, engine: &Engine, tools: &Registry) -> Activities {
    let mut activities = Activities::new();
    for leaf in leaves(definition) {
        let is_mocked =
            || file.cases.iter().flat_map(|case| &case.mocks).any(|mock| leaf.is_matched_by(&mock.target, tools));
        if engine.activities().find(&leaf.name).is_none() && is_mocked() {
            let name = leaf.name.to_string();
            // The placeholder is called only with `--allow-real`, by a case that does not mock the activity.
            let missing = function(move |_| {
                let error = StepError::configuration("unknown_activity", format!("no activity `{name}`"));
                async move { Err::<Value, _>(error) }
            });
            activities.register(leaf.name.kind, leaf.name.name, missing);
        }
    }
    activities
}

/// Runs `case` of `file` in its own engine.
pub(crate) fn run(file: &File, case: &Case, definition: &Arc<Definition>, options: &Options<'_>) -> CaseReport {
    let began = Instant::now();
    let result = run_case(file, case, definition, options);
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (error, mismatches) = match result {
        Ok(mismatches) => (None, mismatches),
        Err(error) => (Some(error), Vec::new()),
    };
    let passed = error.is_none() && mismatches.is_empty();
    CaseReport { name: case.name.clone(), passed, duration_ms, error, mismatches }
}

fn run_case(
    file: &File,
    case: &Case,
    definition: &Arc<Definition>,
    options: &Options<'_>,
) -> Result<Vec<Mismatch>, String> {
    let clock = IdleClock::default();
    let mocks = Mocks::new(case.mocks.clone(), options.tools.clone(), options.allows_real, clock.clone());
    let pairs = |entries: &std::collections::BTreeMap<String, String>| entries.clone().into_iter();
    let engine = (options.engine)()
        .map_err(|failure| failure.message)?
        .dispatch(mocks.clone())
        .clock(clock.clone())
        .env(pairs(&file.env))
        .secrets(pairs(&file.secrets))
        .build();
    crate::host::check_sockets().map_err(|failure| failure.to_string())?;
    // The runtime has a single thread, so the clock can detect when the runtime is idle.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime =
        builder.enable_all().on_thread_park(move || clock.skip()).build().map_err(|error| error.to_string())?;
    let finished = runtime.block_on(async {
        let plan = engine.prepare(definition.clone()).map_err(|invalid| invalid.to_string())?;
        let run_options = RunOptions { environment: case.environment.clone(), ..RunOptions::default() };
        let started = engine.start(&plan, WorkflowInput::new(case.input.clone()), &run_options);
        match engine.drive(&started.map_err(|error| error.to_string())?).await {
            Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => Ok(finished),
            Driven::Parked(_) => Err("the run waits for an event, which a test cannot send".to_owned()),
        }
    })?;
    Ok(mismatches(&case.expect, &finished, &mocks))
}
