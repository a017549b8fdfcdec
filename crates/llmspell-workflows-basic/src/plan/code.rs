use std::sync::Arc;

use serde_json::Value;

use super::{ActivityPlan, Body, Node, Plan, Recovery, Role};
use crate::{
    Engine, StepId,
    activity::Activity,
    engine::Run,
    expr::Template,
    model::{ActivityName, Definition, Delay, OnError, Step, StepKind},
    plan::Length,
    workflow::BasicWorkflow,
};

impl Plan {
    /// Creates a plan for a workflow written in code, which is its root step.
    ///
    /// The definition contains the workflow's name and metadata.
    pub(crate) fn code(engine: &Engine, workflow: Arc<dyn BasicWorkflow>) -> Self {
        let metadata = workflow.metadata();
        let definition = Definition {
            version: metadata.version,
            description: metadata.description,
            author: metadata.author,
            tags: metadata.tags,
            required_tools: metadata.required_tools,
            ..Definition::new(workflow.name(), StepKind::Sequence(Vec::new()))
        };
        let step = Arc::new(Step::new("main", definition.body.clone()));
        let root = Arc::new(Node {
            number: Some(0),
            slice: engine.stack().slice(&step),
            is_root: true,
            role: Role::Root,
            ..Node::bare(StepId::system("main"), step, Body::Code(workflow))
        });
        Self {
            definition: Arc::new(definition),
            nodes: vec![root.clone()],
            root,
            finally: None,
            trigger: None,
            variables: indexmap::IndexMap::new(),
            environments: std::collections::HashMap::new(),
            migrations: std::collections::BTreeMap::new(),
            conditions: std::collections::HashMap::new(),
            fields_read: std::collections::BTreeMap::new(),
            hash: std::sync::OnceLock::new(),
            warnings: Vec::new(),
        }
    }
}

impl Node {
    /// Creates a node without settings or interceptors.
    pub(crate) fn bare(id: StepId, step: Arc<Step>, body: Body) -> Self {
        Self {
            number: None,
            id,
            step,
            slice: Arc::from([]),
            name: None,
            condition: None,
            timeout: None,
            total_timeout: None,
            recovery: Recovery::Fail,
            undo: None,
            body,
            outputs: None,
            reads_start: false,
            is_root: false,
            role: Role::Member,
            is_plain: true,
            in_task: false,
        }
    }

    /// Creates a step called by code.
    pub(crate) fn code_step(run: &Run, id: StepId, step: Step, activity: Arc<dyn Activity>) -> Self {
        let fixed = |delay: &Option<Delay>| match delay {
            Some(Delay::Fixed(duration)) => Some(Length::Fixed(*duration)),
            Some(Delay::Expression(_)) | None => None,
        };
        let (timeout, total_timeout) = (fixed(&step.timeout), fixed(&step.total_timeout));
        let recovery = if step.on_error == OnError::Continue { Recovery::Continue } else { Recovery::Fail };
        let name = ActivityName::new("code", step.id.clone());
        let params = Template::parse(&Value::Null).expect("null contains no expressions");
        let slice = run.engine().stack().slice(&step);
        let body = Body::Activity(ActivityPlan { name, activity: Some(activity), params });
        Self { slice, timeout, total_timeout, recovery, ..Self::bare(id, Arc::new(step), body) }
    }
}
