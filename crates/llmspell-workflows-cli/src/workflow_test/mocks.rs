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

use super::{Answer, IdleClock, Mock, Mocked, format::Target};

/// Answers instead of activities, and lets those through that may do their real work.
#[derive(Clone)]
pub(super) struct Mocks {
    mocks: Arc<Vec<(Mocked, AtomicUsize)>>,
    tools: Arc<Registry>,
    allows_real: bool,
    clock: IdleClock,
}

impl Target {
    /// Whether the step at `path` that calls `name` is meant; tools are known by their aliases too.
    pub(super) fn matches(
        &self,
        name: &ActivityName,
        tools: &Registry,
        is_path: impl Fn(&super::Pattern) -> bool,
    ) -> bool {
        match self {
            Self::Step(pattern) => is_path(pattern),
            Self::Activity { kind, name: called } => {
                *kind == name.kind
                    && (called.is_empty() || canonical(tools, name, called) == canonical(tools, name, &name.name))
            }
        }
    }
}

/// The name under which the tools know `called`; of anything but a tool the name itself.
fn canonical<'n>(tools: &'n Registry, of: &ActivityName, called: &'n str) -> &'n str {
    match of.kind.as_str() {
        "tool" => tools.get(called).map_or(called, |tool| tool.spec().name),
        _ => called,
    }
}

impl Mocks {
    pub(super) fn new(mocks: Vec<Mocked>, tools: Arc<Registry>, allows_real: bool, clock: IdleClock) -> Self {
        let mocks = mocks.into_iter().map(|mock| (mock, AtomicUsize::new(0))).collect();
        Self { mocks: Arc::new(mocks), tools, allows_real, clock }
    }

    /// How often the steps of the mock `key` were called; none where there is no such mock.
    pub(super) fn calls(&self, key: &str) -> Option<u64> {
        let (_, calls) = self.mocks.iter().find(|(mock, _)| mock.key == key)?;
        Some(calls.load(Ordering::SeqCst) as u64)
    }

    /// The mock for a call, with the number of the call, counted from 0: a path goes before an activity.
    fn find(&self, name: &ActivityName, path: &StepPath) -> Option<(&Mocked, usize)> {
        let of_step = |mock: &Mocked| matches!(mock.target, Target::Step(_));
        let matching = || {
            self.mocks
                .iter()
                .filter(|(mock, _)| mock.target.matches(name, &self.tools, |pattern| pattern.matches(path)))
        };
        let (mock, calls) = matching().find(|(mock, _)| of_step(mock)).or_else(|| matching().next())?;
        Some((mock, calls.fetch_add(1, Ordering::SeqCst)))
    }

    fn is_safe(&self, name: &ActivityName) -> bool {
        let spec = (name.kind == "tool").then(|| self.tools.get(&name.name)).flatten().map(|tool| tool.spec());
        spec.is_some_and(|spec| spec.security_level == SecurityLevel::Safe && spec.permissions.is_empty())
    }

    /// The work itself, where it is allowed.
    fn real(&self, call: LeafCall, asked_for: bool) -> BoxFuture<'static, Result<ActivityOutput, StepError>> {
        let LeafCall { name, activity, context } = call;
        let is_allowed = self.allows_real || (asked_for && self.is_safe(&name));
        if !is_allowed {
            return Box::pin(async move { Err(not_mocked(&name, asked_for)) });
        }
        let busy = self.clock.busy();
        Box::pin(async move {
            let _busy = busy;
            match activity {
                Some(activity) => activity.perform(context).await,
                None => Err(StepError::configuration("unknown_activity", format!("nothing answers for `{name}`"))),
            }
        })
    }
}

fn not_mocked(name: &ActivityName, asked_for: bool) -> StepError {
    let why = match asked_for {
        true => format!("`{name}` does more than compute, so `real: true` is not enough"),
        false => format!("nothing is mocked for `{name}`"),
    };
    let help = "add a mock for it or for its step, or run the tests with `--allow-real`";
    StepError::configuration("not_mocked", format!("{why}: {help}"))
}

impl Dispatch for Mocks {
    fn perform(&self, call: LeafCall) -> BoxFuture<'static, Result<ActivityOutput, StepError>> {
        let path = call.context.path().to_path();
        let Some((mocked, number)) = self.find(&call.name, &path) else { return self.real(call, false) };
        let answer = match &mocked.mock {
            Mock::Real => return self.real(call, true),
            Mock::Always(answer) => answer.clone(),
            Mock::Each(answers) => match answers.get(number) {
                Some(answer) => answer.clone(),
                None => Answer::Error(Box::new(used_up(&mocked.key, answers.len()))),
            },
        };
        let LeafCall { name, activity, context } = call;
        Box::pin(async move {
            // A mock takes the parameters that the activity would take, so it cannot hide a wrong call.
            let problems = activity.map(|activity| activity.check(context.input(), &|_| false)).unwrap_or_default();
            if let Some(problem) = problems.first() {
                let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                let message = format!("{}: {}{help}", problem.pointer.trim_start_matches('/'), problem.message);
                return Err(StepError::validation("invalid_parameters", message));
            }
            match name.kind.as_str() {
                "persona-request" => Persona(Fixed(answer)).perform(context).await,
                _ => Fixed(answer).perform(context).await,
            }
        })
    }
}

fn used_up(key: &str, answers: usize) -> StepError {
    let message = format!("the mock `{key}` has {answers} answers, and this is call {}", answers + 1);
    StepError::configuration("mock_used_up", message)
}

/// One answer of a mock.
struct Fixed(Answer);

#[async_trait]
impl Activity for Fixed {
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
