use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Delay, OnError, Retry, StepKind, SubWorkflow, Transition, TriggerRule};

/// Steps in definition order, shared so that a definition is cheap to clone and to traverse.
pub type Steps = Vec<Arc<Step>>;

/// A node of a definition: its kind, and the settings shared by all kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The id of the step, unique among its siblings.
    pub id: String,
    /// A display name; may contain references such as `Setup {{variables.project}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The siblings that must end first. If any step of a list has dependencies, the list is a graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// An expression; if it is false, the step is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Whether the step runs, given the outcomes of its dependencies.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trigger_rule: TriggerRule,
    /// How often the step is retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Delay>,
    /// How long all attempts may take, including the delays between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout: Option<Delay>,
    /// The effect of the step's failure on the enclosing steps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_error: OnError,
    /// The named concurrency limits for which the step needs permits, declared by the engine or by the definition; only
    /// leaves can have limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// The step that undoes this one if the run fails permanently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<Arc<Step>>,
    /// Whether the step's effect must never happen twice. If it is unknown whether the effect has happened, the run
    /// becomes stuck.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_most_once: bool,
    /// In a route, the transitions to the next step; the first transition whose condition is true is taken. If there
    /// are none, the route ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Transition>,
    /// The kind of the step.
    pub kind: StepKind,
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The activity that a step calls: a kind and, if the kind has several activities, a name.
///
/// It is displayed as `KIND:NAME`, for example `tool:web_searcher`, or as `KIND` if the name is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActivityName {
    /// The step type: `tool`, `persona-request`, `function`, or a type from the step registry.
    pub kind: String,
    /// The name within the kind; empty if the kind has only one activity.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl ActivityName {
    /// Creates the name of the activity `name` of `kind`.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }
}

impl fmt::Display for ActivityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.kind),
            name => write!(f, "{}:{name}", self.kind),
        }
    }
}

/// A call of an activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityCall {
    /// The activity.
    #[serde(flatten)]
    pub activity: ActivityName,
    /// The input of the activity: JSON whose strings may contain references.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

impl Step {
    /// Returns the steps directly inside the step, in definition order.
    #[must_use]
    pub fn children(&self) -> Vec<&Step> {
        let mut steps: Vec<_> = self.kind.groups().into_iter().flat_map(|group| group.steps).collect();
        if let OnError::Steps(handler) = &self.on_error {
            steps.extend(handler);
        }
        steps.extend(&self.compensate);
        steps.into_iter().map(|step| &**step).collect()
    }

    /// Creates a step of `kind` with default settings.
    pub fn new(id: impl Into<String>, kind: StepKind) -> Self {
        Self {
            id: id.into(),
            name: None,
            dependencies: Vec::new(),
            condition: None,
            trigger_rule: TriggerRule::default(),
            retry: None,
            timeout: None,
            total_timeout: None,
            on_error: OnError::Fail,
            limits: Vec::new(),
            compensate: None,
            at_most_once: false,
            next: Vec::new(),
            kind,
        }
    }

    /// Creates a step that calls the activity `name` of `kind`.
    pub fn activity(id: impl Into<String>, kind: impl Into<String>, name: impl Into<String>, params: Value) -> Self {
        let activity = ActivityName::new(kind, name);
        Self::new(id, StepKind::Activity(ActivityCall { activity, params }))
    }

    /// Creates a step that calls the tool `tool`.
    pub fn tool(id: impl Into<String>, tool: impl Into<String>, params: Value) -> Self {
        Self::activity(id, "tool", tool, params)
    }

    /// Creates a step that calls the function registered as `name`.
    pub fn function(id: impl Into<String>, name: impl Into<String>, params: Value) -> Self {
        Self::activity(id, "function", name, params)
    }

    /// Creates a step that runs `steps` in order, or as a graph if any of them have dependencies.
    pub fn sequence(id: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(id, StepKind::Sequence(shared(steps)))
    }

    /// Creates a step that sets keys of the run's state.
    pub fn set(id: impl Into<String>, values: Map<String, Value>) -> Self {
        Self::new(id, StepKind::Set(values))
    }

    /// Adds the siblings `ids` as dependencies, which must end before this step begins.
    #[must_use]
    pub fn after<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.dependencies.extend(ids.into_iter().map(Into::into));
        self
    }

    /// Skips the step if `condition` is false.
    #[must_use]
    pub fn when(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    /// Sets how often the step is retried.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets how long one attempt may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// Sets how long all attempts may take, including the delays between them.
    #[must_use]
    pub fn with_total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = Some(timeout.into());
        self
    }

    /// Sets the effect of the step's failure on the enclosing steps.
    #[must_use]
    pub fn with_on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Sets the rule that decides whether the step runs, based on the outcomes of its dependencies.
    #[must_use]
    pub fn with_trigger_rule(mut self, rule: TriggerRule) -> Self {
        self.trigger_rule = rule;
        self
    }

    /// Sets the step that undoes this one if the run fails permanently; expressions in `undo` can
    /// use `input`, `output` and `certain`.
    #[must_use]
    pub fn with_compensation(mut self, undo: Step) -> Self {
        self.compensate = Some(Arc::new(undo));
        self
    }

    /// Ensures that the step's effect never happens twice.
    #[must_use]
    pub fn at_most_once(mut self) -> Self {
        self.at_most_once = true;
        self
    }

    /// Creates a step that runs the definition `workflow` as a sub-workflow.
    pub fn workflow(id: impl Into<String>, workflow: impl Into<String>, input: Value) -> Self {
        Self::new(id, StepKind::Workflow(SubWorkflow { workflow: workflow.into(), version: None, input }))
    }

    /// Makes the step hold a permit of the concurrency limit `name` while it runs.
    #[must_use]
    pub fn with_limit(mut self, name: impl Into<String>) -> Self {
        self.limits.push(name.into());
        self
    }

    /// Adds a transition of a route to the step `target`, taken if `condition` is true.
    #[must_use]
    pub fn then_if(mut self, condition: impl Into<String>, target: impl Into<String>) -> Self {
        self.next.push(Transition { condition: Some(condition.into()), target: Some(target.into()) });
        self
    }

    /// Adds a transition of a route to the step `target`, taken if no earlier transition was taken.
    #[must_use]
    pub fn then(mut self, target: impl Into<String>) -> Self {
        self.next.push(Transition { condition: None, target: Some(target.into()) });
        self
    }
}

/// Converts `steps` to a list of shared steps.
pub(crate) fn shared(steps: impl IntoIterator<Item = Step>) -> Steps {
    steps.into_iter().map(Arc::new).collect()
}
