use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use llmspell_workflows_basic::{
    StepError, StepPath,
    activity::{Activity, ActivityContext, ActivityOutput, Persona},
    engine::{Dispatch, LeafCall},
    model::ActivityName,
};
use llmspell_workflows_tools::{Registry, SecurityLevel};
use serde_json::Value;

use super::{Answer, IdleClock, Mock, MockEntry, Pattern, Watch, format::Target};

/// Answers calls with mocks, and passes allowed calls on to the real activities.
#[derive(Clone)]
pub(super) struct Mocks {
    mocks: Arc<Vec<(MockEntry, AtomicUsize)>>,
    tools: Arc<Registry>,
    allows_real: bool,
    clock: IdleClock,
    watch: Watch,
}

impl Target {
    /// Returns whether this target matches a step that calls `name`. Tools also match by alias;
    /// `is_path` returns whether a pattern matches the step's path.
    pub(super) fn matches(&self, name: &ActivityName, tools: &Registry, is_path: impl Fn(&Pattern) -> bool) -> bool {
        match self {
            Self::Step(pattern) => is_path(pattern),
            Self::Activity { kind, name: called } => {
                *kind == name.kind
                    && (called.is_empty() || canonical(tools, name, called) == canonical(tools, name, &name.name))
            }
        }
    }
}

/// Resolves a tool alias to the tool's name; returns other names unchanged.
fn canonical<'n>(tools: &'n Registry, of: &ActivityName, called: &'n str) -> &'n str {
    match of.kind.as_str() {
        "tool" => tools.get(called).map_or(called, |tool| tool.spec().name),
        _ => called,
    }
}

impl Mocks {
    pub(super) fn new(
        mocks: Vec<MockEntry>,
        tools: Arc<Registry>,
        allows_real: bool,
        clock: IdleClock,
        watch: Watch,
    ) -> Self {
        let mocks = mocks.into_iter().map(|mock| (mock, AtomicUsize::new(0))).collect();
        Self { mocks: Arc::new(mocks), tools, allows_real, clock, watch }
    }

    /// Returns all mocks, each with the number of times it was called.
    pub(super) fn all(&self) -> impl Iterator<Item = (&MockEntry, u64)> {
        self.mocks.iter().map(|(mock, calls)| (mock, calls.load(Ordering::SeqCst) as u64))
    }

    /// Returns how often the mock `key` was called, if that mock exists.
    pub(super) fn calls(&self, key: &str) -> Option<u64> {
        let (_, calls) = self.mocks.iter().find(|(mock, _)| mock.key == key)?;
        Some(calls.load(Ordering::SeqCst) as u64)
    }

    /// Returns the mock for a call and the number of the call, counted from 0. Mocks for a path
    /// take precedence.
    fn find(&self, name: &ActivityName, path: &StepPath) -> Option<(&MockEntry, usize)> {
        let of_step = |mock: &MockEntry| matches!(mock.target, Target::Step(_));
        let matching = || {
            self.mocks
                .iter()
                .filter(|(mock, _)| mock.target.matches(name, &self.tools, |pattern| pattern.matches(path)))
        };
        let (mock, calls) = matching().find(|(mock, _)| of_step(mock)).or_else(|| matching().next())?;
        Some((mock, calls.fetch_add(1, Ordering::SeqCst)))
    }

    /// Returns a mock's answer to a call of `name` at `path`, and counts the call. Returns
    /// `None` if there is no mock, or if the mock calls the real activity.
    pub(super) fn answer(&self, name: &ActivityName, path: &StepPath) -> Option<Answer> {
        let (mocked, number) = self.find(name, path)?;
        mocked.answer(number)
    }

    /// Returns whether a call is safe: a tool call that needs no permissions with these parameters
    /// has no effects.
    fn is_safe(&self, name: &ActivityName, parameters: &Value) -> bool {
        let tool = (name.kind == "tool").then(|| self.tools.get(&name.name)).flatten();
        tool.is_some_and(|tool| {
            let spec = tool.spec();
            let needs_none_here = !spec.permissions.is_empty() && spec.security_level != SecurityLevel::Privileged;
            (spec.security_level == SecurityLevel::Safe || needs_none_here) && tool.permissions(parameters).is_empty()
        })
    }

    /// Calls the real activity, if allowed.
    fn real(&self, call: LeafCall, is_requested: bool) -> BoxFuture<'static, Result<ActivityOutput, StepError>> {
        let LeafCall { name, activity, context } = call;
        let is_allowed = self.allows_real || (is_requested && self.is_safe(&name, context.input()));
        if !is_allowed {
            return Box::pin(async move { Err(not_mocked(&name, is_requested)) });
        }
        let busy = self.clock.busy();
        Box::pin(async move {
            let _busy = busy;
            match activity {
                Some(activity) => activity.perform(context).await,
                None => Err(StepError::configuration("unknown_activity", format!("unknown activity `{name}`"))),
            }
        })
    }
}

fn not_mocked(name: &ActivityName, is_requested: bool) -> StepError {
    let why = match is_requested {
        true => format!("`{name}` has effects or needs permissions, so `real: true` is not enough"),
        false => format!("`{name}` is not mocked"),
    };
    let help = "mock the activity or its step, or run the tests with `--allow-real`";
    StepError::configuration("not_mocked", format!("{why}: {help}"))
}

impl Dispatch for Mocks {
    fn perform(&self, call: LeafCall) -> BoxFuture<'static, Result<ActivityOutput, StepError>> {
        let path = self.watch.path(call.context.run_id(), &call.context.path().to_path());
        let Some((mocked, number)) = self.find(&call.name, &path) else { return self.real(call, false) };
        let Some(answer) = mocked.answer(number) else { return self.real(call, true) };
        let LeafCall { name, activity, context } = call;
        Box::pin(async move {
            // A mock checks parameters like the real activity, so it cannot hide an invalid call.
            let problems = activity.map(|activity| activity.check(context.input(), &|_| false)).unwrap_or_default();
            if let Some(problem) = problems.first() {
                let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                let message = format!("{}: {}{help}", problem.pointer.trim_start_matches('/'), problem.message);
                return Err(StepError::validation("invalid_parameters", message));
            }
            match name.kind.as_str() {
                "persona-request" => Persona(FixedAnswer(answer)).perform(context).await,
                _ => FixedAnswer(answer).perform(context).await,
            }
        })
    }
}

impl MockEntry {
    /// Returns the answer to call `number`, counted from 0; `None` if the mock calls the real activity.
    fn answer(&self, number: usize) -> Option<Answer> {
        Some(match &self.mock {
            Mock::Real => return None,
            Mock::Always(answer) => answer.clone(),
            Mock::Sequence(answers) => match answers.get(number) {
                Some(answer) => answer.clone(),
                None => Answer::Error(Box::new(exhausted(&self.key, answers.len(), number + 1))),
            },
        })
    }
}

fn exhausted(key: &str, answers: usize, call: usize) -> StepError {
    let answers = if answers == 1 { "1 answer".to_owned() } else { format!("{answers} answers") };
    let message = format!("the mock `{key}` has {answers}, but this is call {call}");
    StepError::configuration("mock_used_up", message)
}

/// An activity that returns a mock's answer.
struct FixedAnswer(Answer);

#[async_trait]
impl Activity for FixedAnswer {
    async fn perform(&self, _context: ActivityContext) -> Result<ActivityOutput, StepError> {
        match &self.0 {
            Answer::Error(error) => Err((**error).clone()),
            Answer::Output { output, state } => {
                let output = ActivityOutput::from(output.clone());
                Ok(state.iter().fold(output, |output, (key, value)| output.with_state(key, value.clone())))
            }
        }
    }
}
