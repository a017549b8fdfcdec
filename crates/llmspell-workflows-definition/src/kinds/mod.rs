//! The step types of the dialect, each in a file: its fields, how it is read, and how it is printed.
//!
//! The schema, completion and the advice in messages come from the same rows.

use llmspell_workflows_basic::model::StepKind;

use crate::{
    dialect::{Field, Shape, field},
    print::Fields as Printed,
    reader::{Fields, Reader, Scope},
};

/// Declares for each file the step types it describes and the kind of the model that it prints.
macro_rules! kinds {
    ($($file:ident: $($row:ident),+ $(=> $kind:ident $(($data:ident))?)?;)+) => {
        $(mod $file;)+

        /// All step types of the specification, in the order in which they are listed.
        pub(crate) const KINDS: &[Kind] = &[$($($file::$row),+),+];

        /// Prints the fields of a step of this kind, beside those of any step.
        pub(crate) fn print(kind: &StepKind) -> Printed {
            let mut out = Printed::default();
            match kind {
                $($(StepKind::$kind $(($data))? => $file::print($($data,)? &mut out),)?)+
            }
            out
        }
    };
}

kinds! {
    activity: TOOL, AGENT, PERSONA, FUNCTION => Activity(call);
    shell: SHELL;
    http: HTTP;
    git: GIT;
    sequence: SEQUENCE => Sequence(steps);
    conditional: CONDITIONAL => Conditional(block);
    switch: SWITCH => Switch(block);
    route: ROUTE => Route(route);
    parallel: PARALLEL, FORK_JOIN => Parallel(block);
    loops: LOOP => Loop(block);
    set: SET => Set(values);
    sleep: SLEEP => Sleep(duration);
    wait_for_event: WAIT_FOR_EVENT => WaitForEvent(wait);
    validate: VALIDATE => Validate(check);
    workflow: WORKFLOW => Workflow(sub);
    later: APPROVAL, EMIT, STATE_MACHINE, STREAM;
}

pub(crate) use activity::call;
pub(crate) use loops::iteration_errors;

/// A step type.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) doc: &'static str,
    /// Fields that identify a step without `type` as one of these.
    pub(crate) markers: &'static [&'static str],
    /// Whether its markers count only where no other type's do.
    pub(crate) yields: bool,
    /// Its fields beside those of any step.
    pub(crate) fields: &'static [Field],
    /// The field that has the name of its activity.
    pub(crate) activity_field: Option<&'static str>,
    /// Reads a step of this type; `None` for a type of the specification that this version does not have.
    pub(crate) read: Option<Read>,
}

/// Reads what a step does from its fields; `None` where it could not be read, which is reported.
pub(crate) type Read =
    for<'n, 's> fn(&mut Reader<'_>, &'static Kind, &Fields<'n, 's>, &mut Scope<'n, 's>, &str) -> Option<StepKind>;

/// The step type called `name`.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name || kind.aliases.contains(&name))
}

impl Kind {
    const fn new(name: &'static str, doc: &'static str, read: Read, fields: &'static [Field]) -> Self {
        Self { name, aliases: &[], doc, markers: &[], yields: false, fields, activity_field: None, read: Some(read) }
    }

    const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn told_by(mut self, markers: &'static [&'static str]) -> Self {
        self.markers = markers;
        self
    }

    const fn with_activity_in(mut self, field: &'static str) -> Self {
        self.activity_field = Some(field);
        self
    }

    const fn yielding(mut self) -> Self {
        self.yields = true;
        self
    }

    /// A type that is refused by name.
    const fn later(name: &'static str, what: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            doc: what,
            markers: &[],
            yields: false,
            fields: &[],
            activity_field: None,
            read: None,
        }
    }

    /// Whether the fields of `params` are those of the step itself, and checked as such.
    #[cfg(test)]
    pub(crate) fn checks_params(&self) -> bool {
        self.fields.iter().any(|field| field.name == "params" && field.shape == PARAM_OBJECT.shape && !field.required)
    }

    /// Whether it has a field of this name itself, beside that of any step.
    pub(crate) fn has_own(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// The field under which any step's condition is written, where the type has a `condition` of another meaning.
    pub(crate) fn condition_field(&self) -> &'static str {
        if self.has_own("condition") { "only_if" } else { "condition" }
    }
}

/// The steps of a block, in order.
const STEPS: Field = field("steps", Shape::StepsById, "The steps, in order.").required();

/// The input of an activity, where it is any JSON.
const PARAMS: Field = field("params", Shape::Any, "The input of the activity; its texts may hold references.").or(&[
    "with",
    "config",
    "parameters",
]);

/// The input of an activity whose parameters are fields of the step too.
const PARAM_OBJECT: Field =
    field("params", Shape::Object, "The same fields, in a mapping of their own.").or(&["with", "config", "parameters"]);

const ENV: Field = field("env", Shape::Env, "Environment variables of the process.");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use llmspell_workflows_basic::model::Step;
    use llmspell_workflows_testing::generate;

    use super::*;

    /// Types that generated definitions do not hold: they need a server, a process, a signal or another definition, or
    /// are another notation for one that is held.
    const NOT_GENERATED: &[&str] =
        &["agent", "persona-request", "shell", "http", "git-operation", "wait_for_event", "workflow", "fork-join"];

    #[test]
    fn generated_definitions_hold_every_other_step_type() {
        let mut held = BTreeSet::new();
        for seed in 0..200 {
            let root = Step::new("main", generate::from_seed(seed).body);
            let mut left = vec![&root];
            while let Some(step) = left.pop() {
                held.insert(step.kind.as_str().to_owned());
                left.extend(step.children());
            }
        }
        let known = KINDS.iter().filter(|kind| kind.read.is_some()).map(|kind| kind.name);
        let expected: BTreeSet<_> = known.filter(|name| !NOT_GENERATED.contains(name)).map(str::to_owned).collect();
        assert_eq!(held, expected);
    }

    #[test]
    fn the_name_of_a_kind_in_the_model_is_a_step_type() {
        for seed in 0..50 {
            let root = Step::new("main", generate::from_seed(seed).body);
            assert!(kind(root.kind.as_str()).is_some(), "{}", root.kind.as_str());
        }
    }
}
