use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    ErrorClass, StepError,
    activity::{Activity, ActivityContext, ActivityOutput, ParamProblem, Provider, Shape},
};
use serde_json::Value;

use super::{paths, urls};
use crate::{Permission, Registry, ToolContext, ToolError, ToolErrorClass, Violation};

/// Provides the tools of a registry as activities, for steps of type `tool`.
///
/// The call's cancellation and idempotency key are passed to the tool. A tool's failure becomes the step's failure,
/// with the same class, code and details; the class determines whether a retry can help.
#[derive(Clone)]
pub struct Tools(Arc<LazyLock<Result<Arc<Registry>, ToolError>, CreateRegistry>>);

/// The function that creates the registry on first use.
type CreateRegistry = Box<dyn FnOnce() -> Result<Arc<Registry>, ToolError> + Send>;

impl Tools {
    /// Provides the tools of `registry`.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self::lazy(move || Ok(registry))
    }

    /// Provides the tools of the registry that `create` returns; `create` is called for the first
    /// definition that contains a `tool` step.
    ///
    /// If `create` fails, every `tool` step fails with that error.
    #[must_use]
    pub fn lazy(create: impl FnOnce() -> Result<Arc<Registry>, ToolError> + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(create))))
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tools").field(&LazyLock::get(&self.0)).finish()
    }
}

impl Provider for Tools {
    fn find(&self, name: &str) -> Option<Arc<dyn Activity>> {
        match &**self.0 {
            Ok(registry) => {
                let name = registry.get(name)?.spec().name;
                Some(Arc::new(ToolActivity { registry: registry.clone(), name }))
            }
            Err(error) => Some(Arc::new(UnavailableTool(error.clone()))),
        }
    }

    fn names(&self) -> Vec<String> {
        let specs = (**self.0).iter().flat_map(|registry| registry.specs());
        specs.flat_map(|spec| spec.aliases.iter().copied().chain([spec.name])).map(str::to_owned).collect()
    }
}

/// Stands in for every tool if the registry could not be created.
struct UnavailableTool(ToolError);

#[async_trait]
impl Activity for UnavailableTool {
    async fn perform(&self, _: ActivityContext) -> Result<ActivityOutput, StepError> {
        Err(self.0.clone().into())
    }

    fn check(&self, _: &Value, _: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
        vec![self.0.clone().into()]
    }
}

struct ToolActivity {
    registry: Arc<Registry>,
    name: &'static str,
}

#[async_trait]
impl Activity for ToolActivity {
    async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError> {
        let call =
            ToolContext { cancellation: context.cancellation(), idempotency_key: Some(context.idempotency_key()) };
        let result = self.registry.call(self.name, parameters(context.into_input()), &call).await;
        Ok(result?.into())
    }

    fn check(&self, params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
        let none = Value::Object(serde_json::Map::new());
        let given = if params.is_null() { &none } else { params };
        let mut problems: Vec<_> = match self.registry.check_parameters(self.name, given, dynamic) {
            Ok(violations) => violations.into_iter().map(ParamProblem::from).collect(),
            Err(error) => vec![error.into()],
        };
        let spec = self.registry.get(self.name).map(|tool| tool.spec());
        problems.extend(spec.into_iter().flat_map(|spec| urls::problems(&spec.parameters, params)));
        problems.extend(paths::problems(params));
        problems
    }

    fn output(&self) -> Shape {
        let spec = self.registry.specs().find(|spec| spec.name == self.name);
        spec.map(|spec| Shape::of_schema(&spec.result)).unwrap_or_default()
    }

    fn may_leave_leftovers(&self) -> bool {
        let tool = self.registry.get(self.name);
        tool.is_none_or(|tool| tool.spec().permissions.contains(&Permission::Processes))
    }
}

/// Returns the parameters to pass to a tool: an empty object if the step has none.
fn parameters(params: Value) -> Value {
    if params.is_null() { Value::Object(serde_json::Map::new()) } else { params }
}

impl From<Violation> for ParamProblem {
    fn from(violation: Violation) -> Self {
        let problem = Self::new(violation.pointer, violation.message);
        match violation.help {
            Some(help) => problem.with_help(help),
            None => problem,
        }
    }
}

impl From<ToolError> for ParamProblem {
    fn from(error: ToolError) -> Self {
        let problem = Self::new("", error.message);
        match error.help {
            Some(help) => problem.with_help(help),
            None => problem,
        }
    }
}

impl From<ToolErrorClass> for ErrorClass {
    fn from(class: ToolErrorClass) -> Self {
        match class {
            ToolErrorClass::Validation => Self::Validation,
            ToolErrorClass::Configuration => Self::Configuration,
            ToolErrorClass::Transient => Self::Transient,
            ToolErrorClass::Resource | ToolErrorClass::Limit => Self::Resource,
            ToolErrorClass::Timeout => Self::Timeout,
            ToolErrorClass::Cancelled => Self::Cancelled,
        }
    }
}

impl From<ToolError> for StepError {
    /// The suggested fix becomes part of the message.
    fn from(error: ToolError) -> Self {
        let step = Self::new(error.class.into(), error.code, error.to_string());
        let step = if error.class == ToolErrorClass::Limit { step.retryable(false) } else { step };
        match error.details {
            Some(details) => step.with_details(details),
            None => step,
        }
    }
}
