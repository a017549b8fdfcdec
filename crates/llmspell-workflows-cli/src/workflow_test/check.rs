use llmspell_workflows_basic::{Problem, ProblemLocation, model::Definition};
use llmspell_workflows_tools::Registry;

use super::{
    Answer, Content, File, Message, MockEntry, Pattern,
    children::activity_name,
    format::Target,
    steps::{KnownStep, Role, known_steps},
};

/// Checks the mocks, messages and expectations of `file` against `definition`, which contains its
/// sub-workflows.
pub(crate) fn problems(file: &File, definition: &Definition, tools: &Registry) -> Vec<Problem> {
    let steps = known_steps(definition);
    let mut problems = Vec::new();
    let own = file.cases.iter().flat_map(|case| case.mocks.iter().filter(|mock| mock.at.starts_with(&case.at)));
    problems.extend(file.mocks.iter().chain(own).filter_map(|mock| mock_problem(mock, &steps, tools)));
    for case in &file.cases {
        problems.extend(case.messages.iter().filter_map(|message| message_problem(message, &steps)));
        let expected = case.expect.steps.iter().map(|(pattern, _)| (pattern, format!("steps/{pattern}")));
        let order = case.expect.order.iter().enumerate().map(|(n, pattern)| (pattern, format!("order/{n}")));
        for (pattern, at) in expected.chain(order) {
            if !steps.iter().any(|step| pattern.may_match(&step.path)) {
                let place = ProblemLocation::new("", format!("{}/expect/{at}", case.at));
                let problem = Problem::error("unknown_step", place, format!("no step matches `{pattern}`"));
                problems.push(suggest(problem, pattern.as_str(), steps.iter(), &[]));
            }
        }
    }
    problems
}

impl KnownStep {
    /// Returns whether a mock for `target` applies to the step.
    pub(super) fn is_mocked_by(&self, target: &Target, tools: &Registry) -> bool {
        let is_path = |pattern: &Pattern| pattern.may_match(&self.path);
        match &self.role {
            Role::Call(name) => target.matches(name, tools, is_path),
            Role::Workflow(name) => target.matches(&activity_name(name), tools, is_path),
            Role::Wait(_) | Role::Other => false,
        }
    }

    /// Returns the key of a mock for the activity or sub-workflow that the step calls.
    fn called(&self) -> Option<String> {
        match &self.role {
            Role::Call(name) if name.name.is_empty() => Some(format!("{}:", name.kind)),
            Role::Call(name) => Some(name.to_string()),
            Role::Workflow(name) => Some(activity_name(name).to_string()),
            Role::Wait(_) | Role::Other => None,
        }
    }

    /// Returns the path meant by `key` if `key` omits `main`, the step list of each sub-workflow.
    fn inside_sub_workflow(&self, key: &str) -> Option<&str> {
        let mut parts = self.path.split('/').skip(2).filter(|part| *part != "main");
        let short = format!("/main/{}", parts.by_ref().collect::<Vec<_>>().join("/"));
        let (first, rest) = key.trim_start_matches('/').split_once('/')?;
        let is_meant = short != self.path && !rest.is_empty() && Pattern::new(key).may_match(&short);
        let start = if key.starts_with('/') { 0 } else { self.path.rfind(&format!("/{first}/"))? + 1 };
        is_meant.then(|| &self.path[start..])
    }

    fn event(&self) -> Option<&str> {
        match &self.role {
            Role::Wait(event) => Some(event),
            _ => None,
        }
    }
}

fn mock_problem(mock: &MockEntry, steps: &[KnownStep], tools: &Registry) -> Option<Problem> {
    let place = ProblemLocation::new("", &*mock.at);
    let mocked = || steps.iter().filter(|step| step.is_mocked_by(&mock.target, tools));
    if mocked().next().is_some() {
        let sets_state = |answer: &Answer| matches!(answer, Answer::Output { state, .. } if !state.is_empty());
        let is_sub_workflow = mocked().all(|step| matches!(step.role, Role::Workflow(_)));
        let message = "a sub-workflow does not change the state of its parent, so its mock cannot have `state`";
        return (is_sub_workflow && mock.mock.answers().iter().any(sets_state))
            .then(|| Problem::error("wrong_mock", place, message));
    }
    let named = match &mock.target {
        Target::Step(pattern) => steps.iter().find(|step| pattern.may_match(&step.path)),
        Target::Activity { .. } => None,
    };
    let code = "unknown_step";
    Some(match named.map(|step| &step.role) {
        Some(Role::Wait(event)) => {
            let message = format!("`{}` waits for an event, so it cannot be mocked", mock.key);
            let help = format!("send the event with `messages: [{{signal: {event}, data: …}}]`");
            Problem::error(code, place, message).with_help(help)
        }
        Some(_) => {
            let message =
                format!("`{}` calls neither an activity nor a sub-workflow, so it cannot be mocked", mock.key);
            Problem::error(code, place, message)
        }
        None => {
            let message = format!("`{}` matches no step that calls an activity or a sub-workflow", mock.key);
            let names: Vec<String> = steps.iter().filter_map(KnownStep::called).collect();
            let mocked = steps.iter().filter(|step| step.called().is_some());
            suggest(Problem::error(code, place, message), &mock.key, mocked, &names)
        }
    })
}

/// Suggests the step, or the name in `names`, that is most similar to `key`. A key with several
/// parts is compared with as many parts of each path.
fn suggest<'s>(problem: Problem, key: &str, steps: impl Iterator<Item = &'s KnownStep>, names: &[String]) -> Problem {
    let parts = key.trim_start_matches('/').split('/').count();
    let mut known: Vec<&str> = Vec::new();
    for step in steps {
        if step.id == key && step.path.ends_with("/$undo") {
            let undone = step.path.rsplitn(3, '/').take(2).collect::<Vec<_>>();
            let path = undone.into_iter().rev().collect::<Vec<_>>().join("/");
            return problem.with_help(format!("the compensation step has the path `{path}`"));
        }
        if let Some(path) = step.inside_sub_workflow(key) {
            return problem.with_help(format!("did you mean `{path}`?"));
        }
        let path = step.path.as_str();
        let start = path.rmatch_indices('/').nth(parts - 1).map_or(0, |(at, _)| at + 1);
        known.push(if key.starts_with('/') { path } else { &path[start..] });
    }
    known.extend(names.iter().map(String::as_str));
    known.sort_unstable();
    known.dedup();
    problem.with_known(key, known)
}

fn message_problem(message: &Message, steps: &[KnownStep]) -> Option<Problem> {
    let Content::Signal { name, .. } = &message.content else { return None };
    let events: Vec<&str> = steps.iter().filter_map(KnownStep::event).collect();
    let may_be = |event: &str| event == name || event.contains("{{") || event.contains("${");
    if events.iter().any(|event| may_be(event)) {
        return None;
    }
    let place = ProblemLocation::new("", format!("{}/signal", message.at));
    let text = match events.is_empty() {
        true => format!("no step of the workflow waits for an event, so none receives `{name}`"),
        false => format!("no step waits for the event `{name}`"),
    };
    Some(Problem::error("unknown_event", place, text).with_known(name, events))
}
