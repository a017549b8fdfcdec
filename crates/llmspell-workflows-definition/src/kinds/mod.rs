//! The step types of the dialect, each in its own file with its fields, its reader and its printer.
//!
//! The schema, completion and the suggestions in messages all use the table `KINDS`.

use llmspell_workflows_basic::model::StepKind;

use crate::{
    dialect::{Field, Shape, field},
    print::YamlMap,
    reader::{Fields, Reader, Siblings},
};

/// Declares each file's step types, and the model's step kind that the file prints.
macro_rules! kinds {
    ($($file:ident: $($row:ident),+ $(=> $kind:ident $(($data:ident))?)?;)+) => {
        $(mod $file;)+

        /// All step types of the specification, in the order used by the schema and in messages.
        pub(crate) const KINDS: &[Kind] = &[$($($file::$row),+),+];

        /// Prints the fields that are specific to `kind`.
        pub(crate) fn print(kind: &StepKind) -> YamlMap {
            let mut out = YamlMap::default();
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
    unsupported: APPROVAL, EMIT, STATE_MACHINE, STREAM;
}

pub(crate) use activity::call;
pub(crate) use loops::iteration_errors;

/// A step type.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    /// The description in the schema, or the alternative to an unsupported type.
    pub(crate) doc: &'static str,
    /// Fields that imply this type in a step without `type`.
    pub(crate) markers: &'static [&'static str],
    /// Whether the markers count only if no other type matches.
    pub(crate) is_fallback: bool,
    /// The fields that are specific to this type.
    pub(crate) fields: &'static [Field],
    /// The field that contains the name of the activity.
    pub(crate) activity_field: Option<&'static str>,
    /// Reads a step of this type; `None` for a type of the specification that this version does not support.
    pub(crate) read: Option<ReadFn>,
}

/// Reads the kind of a step from its fields; if that fails, reports an error and returns `None`.
pub(crate) type ReadFn =
    for<'n, 's> fn(&mut Reader<'_>, &'static Kind, &Fields<'n, 's>, &mut Siblings<'n, 's>, &str) -> Option<StepKind>;

/// Returns the step type with this name or alias.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name || kind.aliases.contains(&name))
}

impl Kind {
    const fn new(name: &'static str, doc: &'static str, read: ReadFn, fields: &'static [Field]) -> Self {
        Self {
            name,
            aliases: &[],
            doc,
            markers: &[],
            is_fallback: false,
            fields,
            activity_field: None,
            read: Some(read),
        }
    }

    const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn inferred_from(mut self, markers: &'static [&'static str]) -> Self {
        self.markers = markers;
        self
    }

    const fn with_activity_in(mut self, field: &'static str) -> Self {
        self.activity_field = Some(field);
        self
    }

    const fn fallback(mut self) -> Self {
        self.is_fallback = true;
        self
    }

    /// Creates a type that is rejected as unsupported, with `advice` as help.
    const fn unsupported(name: &'static str, advice: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            doc: advice,
            markers: &[],
            is_fallback: false,
            fields: &[],
            activity_field: None,
            read: None,
        }
    }

    /// Returns whether `params` accepts the step's own fields and is checked against them.
    #[cfg(test)]
    pub(crate) fn checks_params(&self) -> bool {
        self.fields.iter().any(|field| field.name == "params" && field.shape == PARAM_OBJECT.shape && !field.required)
    }

    /// Returns whether the type has its own field with this name.
    pub(crate) fn has_own(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// Returns the name of the field that decides whether the step runs; `condition` itself may have another meaning.
    pub(crate) fn condition_field(&self) -> &'static str {
        if self.has_own("condition") { "only_if" } else { "condition" }
    }
}

/// The steps of a block, in order.
const STEPS: Field = field("steps", Shape::StepsById, "The steps, in order.").required();

/// The input of an activity that accepts any JSON value.
const PARAMS: Field = field("params", Shape::Any, "The input of the activity; strings may contain references.")
    .or(&["with", "config", "parameters"])
    .elsewhere(&["args", "arguments", "input", "inputs"]);

/// The input of an activity whose parameters can also be written as fields of the step.
const PARAM_OBJECT: Field =
    field("params", Shape::Object, "The fields of the step as a nested mapping.").or(&["with", "config", "parameters"]);

const ENV: Field =
    field("env", Shape::Env, "Environment variables of the process.").elsewhere(&["environment", "variables"]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use llmspell_workflows_basic::model::Step;
    use llmspell_workflows_testing::generate;

    use super::*;

    /// Types that are never generated: they need a server, a process, a signal or a second definition, or they are
    /// an alternative notation for another type.
    const NOT_GENERATED: &[&str] =
        &["agent", "persona-request", "shell", "http", "git-operation", "wait_for_event", "workflow", "fork-join"];

    #[test]
    fn generated_definitions_cover_all_but_the_excluded_step_types() {
        let mut generated = BTreeSet::new();
        for seed in 0..200 {
            let root = Step::new("main", generate::from_seed(seed).body);
            let mut left = vec![&root];
            while let Some(step) = left.pop() {
                generated.insert(step.kind.as_str().to_owned());
                left.extend(step.children());
            }
        }
        let known = KINDS.iter().filter(|kind| kind.read.is_some()).map(|kind| kind.name);
        let expected: BTreeSet<_> = known.filter(|name| !NOT_GENERATED.contains(name)).map(str::to_owned).collect();
        assert_eq!(generated, expected);
    }

    #[test]
    fn every_generated_kind_is_a_step_type() {
        for seed in 0..50 {
            let root = Step::new("main", generate::from_seed(seed).body);
            assert!(kind(root.kind.as_str()).is_some(), "{}", root.kind.as_str());
        }
    }
}
