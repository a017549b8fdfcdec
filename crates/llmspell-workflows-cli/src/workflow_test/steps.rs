use llmspell_workflows_basic::{
    Limits,
    model::{ActivityName, Definition, OnError, Step, StepKind},
};

/// A step of a workflow or of one of its sub-workflows.
#[derive(Debug)]
pub(super) struct KnownStep {
    pub(super) id: String,
    /// The path, without iterations and generations; of a step of a sub-workflow, it begins with the path of the step
    /// that runs the sub-workflow.
    pub(super) path: String,
    pub(super) role: Role,
}

impl KnownStep {
    /// Returns whether this step runs the sub-workflow that contains `other`.
    pub(super) fn runs(&self, other: &Self) -> bool {
        let inside = other.path.strip_prefix(&self.path);
        matches!(self.role, Role::Workflow(_)) && inside.is_some_and(|rest| rest.starts_with("/main/"))
    }
}

/// What a test can do with a step.
#[derive(Debug, PartialEq)]
pub(super) enum Role {
    /// The step calls this activity, which can be mocked.
    Call(ActivityName),
    /// The step runs the sub-workflow with this name, which can be mocked.
    Workflow(String),
    /// The step waits for the event with this name, which can be sent; the name may contain references.
    Wait(String),
    Other,
}

/// Returns all steps of `definition` and its sub-workflows, sorted by path.
pub(super) fn known_steps(definition: &Definition) -> Vec<KnownStep> {
    let mut walk = Walk { steps: Vec::new() };
    walk.definition(definition, "", Limits::default().sub_workflow_depth_max);
    walk.steps.sort_by(|one, two| one.path.cmp(&two.path));
    walk.steps
}

struct Walk {
    steps: Vec<KnownStep>,
}

impl Walk {
    /// Adds the steps of `definition`, which the step at `around` runs; `depth` sub-workflows may be inside.
    fn definition(&mut self, definition: &Definition, around: &str, depth: u32) {
        let main = format!("{around}/main");
        let root = Step::new("main", definition.body.clone());
        self.step(&root, main.clone(), definition, depth);
        if definition.body.list().is_some() {
            // The list itself is not a step.
            self.steps.retain(|step| step.path != main);
        }
        for (name, steps) in [("$on_error", &definition.on_error), ("$finally", &definition.finally)] {
            steps.iter().for_each(|step| self.step(step, format!("{main}/{name}/{}", step.id), definition, depth));
        }
    }

    fn step(&mut self, step: &Step, path: String, of: &Definition, depth: u32) {
        for group in step.kind.groups() {
            let list = group.segment.as_deref().map_or_else(|| path.clone(), |segment| format!("{path}/{segment}"));
            group.steps.iter().for_each(|step| self.step(step, format!("{list}/{}", step.id), of, depth));
        }
        if let OnError::Steps(steps) = &step.on_error {
            steps.iter().for_each(|step| self.step(step, format!("{path}/$on_error/{}", step.id), of, depth));
        }
        if let Some(undo) = &step.compensate {
            self.step(undo, format!("{path}/$undo"), of, depth);
        }
        let role = match &step.kind {
            StepKind::Workflow(sub) => {
                if let Some(inner) = of.workflows.get(&sub.workflow).filter(|_| depth > 0) {
                    self.definition(inner, &path, depth - 1);
                }
                Role::Workflow(sub.workflow.clone())
            }
            StepKind::WaitForEvent(wait) => Role::Wait(wait.event.clone()),
            kind => kind.activity().cloned().map_or(Role::Other, Role::Call),
        };
        self.steps.push(KnownStep { id: step.id.clone(), path, role });
    }
}
