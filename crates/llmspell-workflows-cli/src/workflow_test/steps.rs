use llmspell_workflows_basic::{
    Limits,
    model::{ActivityName, Definition, OnError, Step, StepKind},
};

/// A step of a workflow or of one of its sub-workflows.
#[derive(Debug)]
pub(crate) struct KnownStep {
    pub(super) id: String,
    /// The path, without iterations and generations. In a sub-workflow, the path begins with the
    /// path of the `workflow` step.
    pub(crate) path: String,
    pub(crate) role: Role,
}

impl KnownStep {
    /// Returns whether this step runs the sub-workflow that contains `other`.
    pub(super) fn runs(&self, other: &Self) -> bool {
        let inside = other.path.strip_prefix(&self.path);
        matches!(self.role, Role::Workflow(_)) && inside.is_some_and(|rest| rest.starts_with("/main/"))
    }
}

/// How a test can affect a step.
#[derive(Debug, PartialEq)]
pub(crate) enum Role {
    /// The step calls this activity, which can be mocked.
    Call(ActivityName),
    /// The step runs the sub-workflow with this name, which can be mocked.
    Workflow(String),
    /// The step waits for the event with this name, which a test can send; the name may contain
    /// references.
    Wait(String),
    Other,
}

/// Returns all steps of `definition` and its sub-workflows, sorted by path.
pub(crate) fn known_steps(definition: &Definition) -> Vec<KnownStep> {
    let mut walk = Walk { steps: Vec::new() };
    walk.definition(definition, "", Limits::default().sub_workflow_depth_max);
    walk.steps.sort_by(|one, two| one.path.cmp(&two.path));
    walk.steps
}

struct Walk {
    steps: Vec<KnownStep>,
}

impl Walk {
    /// Adds the steps of `definition`, which the step at `around` runs, and the steps of up to
    /// `depth` levels of sub-workflows.
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

#[cfg(test)]
mod tests {
    use llmspell_workflows_basic::StepPath;

    use super::*;

    const EVERY_BLOCK: &str = "
name: d
workflows: {sub: {name: sub, steps: [{id: inner, event: go}]}}
steps:
  - {id: a, argv: [a], compensate: {id: undo, argv: [b]}, on_error: [{id: fix, argv: [c]}]}
  - {id: choice, type: conditional, condition: a, then_steps: [{id: t, argv: [t]}], else_steps: [{id: e, argv: [e]}]}
  - id: cases
    type: switch
    cases: [{when: a, steps: [{id: x, argv: [x]}]}]
    default: [{id: y, argv: [y]}]
  - {id: each, type: loop, items: [1], steps: [{id: work, workflow: sub}]}
  - {id: both, type: parallel, branches: [{id: one, argv: [f]}, {id: two, event: 'go-{{ a }}'}]}
  - {id: all, type: sequence, steps: [{id: last, type: sleep, duration: 1s}]}
on_error: [{id: alarm, argv: [g]}]
finally: [{id: clean, argv: [h]}]
";

    #[test]
    fn known_paths_resolve_to_their_steps() {
        let read = llmspell_workflows_definition::read(EVERY_BLOCK, "d.yaml", &Default::default());
        let definition = read.unwrap_or_else(|error| panic!("{error}")).definition;
        let steps = known_steps(&definition);
        let (inside, own): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.path.contains("work/main"));
        assert_eq!(inside.iter().map(|step| step.path.as_str()).collect::<Vec<_>>(), ["/main/each/work/main/inner"]);
        for step in &own {
            let path: StepPath = step.path.parse().unwrap();
            let found = definition.step_at(&path).map(|found| found.id.as_str());
            assert_eq!(found, Some(step.id.as_str()), "{}", step.path);
        }
        let ids: Vec<_> = own.iter().map(|step| step.id.as_str()).collect();
        for id in EVERY_BLOCK.split("{id: ").skip(1).filter_map(|text| text.split([',', '}']).next()) {
            assert!(ids.contains(&id) || id == "inner", "{id} is missing in {ids:?}");
        }
        let role = |id: &str| &steps.iter().find(|step| step.id == id).unwrap().role;
        assert_eq!(role("work"), &Role::Workflow("sub".to_owned()));
        assert_eq!(role("two"), &Role::Wait("go-{{ a }}".to_owned()));
        assert_eq!(role("last"), &Role::Other);
    }
}
