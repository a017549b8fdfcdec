//! The shapes of the names in scope, as far as they are known before a run.

use super::{Builder, in_scope::Names, names::ROOTS};
use crate::{
    Problem, ProblemLocation,
    expr::{Key, Reference},
    model::{
        Aggregation, Branch, Definition, ErrorMode, InputType, OnError, Parallel, ParallelOutput, Pattern, Step,
        StepKind, Steps,
    },
    nearest,
    shape::Shape,
};

/// Other names for the whole output of a step; fields of the output take precedence.
pub(crate) const OUTPUT_ALIASES: [&str; 3] = ["output", "result", "results"];

/// The fields of `loop`, apart from `parent`.
pub(crate) const LOOP_FIELDS: [&str; 4] = ["item", "index", "is_first", "is_last"];

impl Names {
    /// Returns the shape of `loop` inside `depth` loops.
    fn loop_shape(depth: usize) -> Shape {
        let fields = LOOP_FIELDS.map(|name| (name, if name == "item" { Shape::Any } else { Shape::Scalar }));
        let parent = (depth > 1).then(|| ("parent", Self::loop_shape(depth - 1)));
        Shape::object(fields.into_iter().chain(parent))
    }
}

/// Returns the shape of an error.
pub(crate) fn error_shape() -> Shape {
    let fields = ["class", "code", "message", "path", "attempt", "retryable"].map(|name| (name, Shape::Scalar));
    Shape::object(fields.into_iter().chain([("cause", Shape::Any), ("details", Shape::Any)]))
}

/// Returns the shape of an event.
pub(crate) fn event_shape() -> Shape {
    Shape::object([("name", Shape::Scalar), ("data", Shape::Any), ("timed_out", Shape::Scalar)])
}

impl Builder<'_> {
    /// Returns the shape of the value of a name with a fixed meaning.
    pub(super) fn root_shape(&self, name: &str) -> Shape {
        match name {
            "loop" => Names::loop_shape(self.names.loops),
            "run" => Shape::flat(["id", "started_at"]),
            "workflow" => {
                let fields = ["name", "version", "id"].map(|name| (name, Shape::Scalar));
                Shape::object(fields.into_iter().chain([("input", self.input_shape())]))
            }
            "input" | "task" if !self.names.bindings.contains(&"input") => self.input_shape(),
            "error" => error_shape(),
            "event" => event_shape(),
            _ => Shape::Any,
        }
    }

    /// Returns the shape of the input. If inputs are declared, the shape has no other fields.
    fn input_shape(&self) -> Shape {
        let inputs = &self.definition.inputs;
        if inputs.is_empty() {
            return Shape::Any;
        }
        let shape = |kind: Option<InputType>| match kind {
            Some(InputType::String | InputType::Integer | InputType::Number | InputType::Boolean) => Shape::Scalar,
            Some(InputType::Array) => Shape::List(Box::default()),
            Some(InputType::Object) | None => Shape::Any,
        };
        Shape::object(inputs.iter().map(|(name, spec)| (name.clone(), shape(spec.kind))))
    }

    /// Returns the shape of a declared input; the shapes of variables and conditions are unknown.
    pub(super) fn input_field_shape(&self, name: &str) -> Shape {
        match self.input_shape() {
            Shape::Object(mut fields) => fields.remove(name).unwrap_or_default(),
            _ => Shape::Any,
        }
    }

    /// Calls `build` for the `while` of a loop with these steps.
    pub(crate) fn before<T>(&mut self, steps: &Steps, build: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.names.later.replace(steps.clone());
        let built = build(self);
        self.names.later = outer;
        built
    }

    /// Returns whether `id` is a step of the loop whose `while` is being checked.
    pub(super) fn is_later(&self, id: &str) -> bool {
        self.names.later.iter().flatten().any(|step| step.id == id)
    }

    pub(super) fn not_yet(&mut self, id: &str, reference: &Reference, place: &ProblemLocation) {
        let severity = if reference.optional { Problem::warning } else { Problem::error };
        let message = format!("`while` cannot refer to `{id}`: it is tested before the steps of each iteration run");
        let help = "use `until`, which is tested after each iteration, or set a state key in the loop";
        self.problems.push(severity("unknown_reference", place.clone(), message).with_help(help));
    }

    /// Reports steps of a list whose ids are also other names in scope.
    pub(crate) fn shadowing(&mut self, steps: &Steps, path: &str) {
        let definition = self.definition.clone();
        for step in steps {
            let id = step.id.as_str();
            let other = match () {
                () if ROOTS.contains(&id) => "a reserved name",
                () if definition.inputs.contains_key(id) => "an input",
                () if definition.variables.contains_key(id) => "a variable",
                () if definition.conditions.contains_key(id) => "a condition",
                () if self.names.ids().any(|outer| outer == id) => "a step of an enclosing list",
                () => continue,
            };
            let place = ProblemLocation::new(format!("{path}/{id}"), "id");
            let problem = Problem::error("shadowed_name", place, format!("`{id}` is also {other}"));
            self.problems.push(problem.with_help("give the step another id"));
        }
    }

    /// Reports declared names that equal another name, because an expression would
    /// silently use one of the two.
    pub(super) fn declared_names(&mut self, definition: &Definition) {
        let (inputs, variables) = (&definition.inputs, &definition.variables);
        let declared =
            inputs.keys().map(|name| ("inputs", name)).chain(variables.keys().map(|name| ("variables", name)));
        for (field, name) in declared.chain(definition.conditions.keys().map(|name| ("conditions", name))) {
            let other = match field {
                // `task` means the input's field of this name if it exists, and
                // `event` exists only in filters.
                _ if ROOTS.contains(&name.as_str()) && !(field == "inputs" && ["task", "event"].contains(&&**name)) => {
                    "a reserved name"
                }
                "variables" | "conditions" if inputs.contains_key(name) => "an input",
                "conditions" if variables.contains_key(name) => "a variable",
                _ => continue,
            };
            let place = ProblemLocation::new("", format!("{field}/{name}"));
            let problem = Problem::error("shadowed_name", place, format!("`{name}` is also {other}"));
            self.problems.push(problem.with_help("choose another name"));
        }
    }

    /// Returns the shape of the output of `step`. Its failure handler may replace this output.
    pub(super) fn output_shape(&self, step: &Step) -> Shape {
        if let Some((given, shape)) = &self.given
            && std::ptr::eq(&**given, step)
        {
            return shape.clone();
        }
        let own = self.own_shape(step);
        match &step.on_error {
            OnError::Steps(handler) => own.or(self.list_shape(handler)),
            OnError::Fail | OnError::Continue => own,
        }
    }

    /// Returns the shape of the output of `step` if its failure handler does not replace it.
    pub(super) fn own_shape(&self, step: &Step) -> Shape {
        match &step.kind {
            StepKind::Activity(call) => {
                let activity = self.engine.activities().find(&call.activity);
                activity.map(|activity| activity.output()).unwrap_or_default()
            }
            // A `set` step without values represents a step that could not be read.
            StepKind::Set(values) if !values.is_empty() && values.keys().all(|key| !key.contains(['.', '['])) => {
                Shape::object(values.keys().map(|key| (key.clone(), Shape::Any)))
            }
            StepKind::Workflow(sub) => {
                let outputs = self.definition.workflows.get(&sub.workflow).and_then(|inner| inner.outputs.as_ref());
                match outputs.and_then(|outputs| outputs.as_object()) {
                    Some(fields) => Shape::object(fields.keys().map(|name| (name.clone(), Shape::Any))),
                    None => Shape::Any,
                }
            }
            StepKind::Parallel(parallel) => self.parallel_shape(parallel),
            StepKind::Sequence(steps) => self.list_shape(steps),
            StepKind::Loop(each) => {
                let fields = step.kind.traits().output.unwrap_or_default().iter();
                let shape = |name: &&'static str| match *name {
                    "results" => Shape::List(Box::new(self.list_shape(&each.steps))),
                    "errors" => {
                        Shape::List(Box::new(Shape::object([("index", Shape::Scalar), ("error", error_shape())])))
                    }
                    _ => Shape::Scalar,
                };
                Shape::object(fields.map(|name| (*name, shape(name))))
            }
            kind => match kind.traits().output {
                Some(fields) => Shape::object(fields.iter().map(|name| (*name, Shape::Any))),
                None if kind.pattern() == Pattern::Choice => {
                    let groups = kind.groups().into_iter().filter(|group| !group.steps.is_empty());
                    groups.map(|group| self.list_shape(group.steps)).reduce(Shape::or).unwrap_or_default()
                }
                None => Shape::Any,
            },
        }
    }

    fn parallel_shape(&self, parallel: &Parallel) -> Shape {
        let branches = || parallel.branches.iter().map(|branch| &branch.step);
        let shapes = || branches().map(|step| self.output_shape(step));
        match (parallel.output, &parallel.aggregation) {
            (ParallelOutput::ByBranch, _) => Shape::object(parallel.branches.iter().map(|branch| {
                let shape = self.output_shape(&branch.step);
                // The result of a failed or cancelled branch is its error.
                let failed = || Shape::object([("error", error_shape())]);
                (branch.step.id.clone(), if may_fail(parallel, branch) { shape.or(failed()) } else { shape })
            })),
            (ParallelOutput::Values, Aggregation::First) => shapes().reduce(Shape::or).unwrap_or_default(),
            (ParallelOutput::Values, Aggregation::All | Aggregation::AtLeast(_) | Aggregation::Majority) => {
                Shape::Tuple(shapes().collect())
            }
            (ParallelOutput::Values, Aggregation::Custom(_)) => Shape::Any,
        }
    }

    /// Returns the shape of a list's output, which is its last step's output if that step is
    /// certain to complete.
    pub(super) fn list_shape<S: AsRef<Step>>(&self, steps: impl IntoIterator<Item = S>) -> Shape {
        match steps.into_iter().last() {
            Some(last) if is_certain(last.as_ref()) => self.output_shape(last.as_ref()),
            _ => Shape::Any,
        }
    }

    /// Checks the keys of `steps.ID…`, or of `ID…` if `is_bare`, against the output of the step.
    pub(super) fn check_step_keys(
        &mut self,
        step: &Step,
        is_bare: bool,
        reference: &Reference,
        place: &ProblemLocation,
    ) {
        let output = self.output_shape(step);
        let skip = usize::from(!is_bare);
        let alias = reference.keys.get(skip).and_then(|key| match key {
            Key::Name(name) if OUTPUT_ALIASES.contains(&&**name) => Some(name),
            _ => None,
        });
        match (is_bare, alias) {
            (true, Some(alias)) if output.check(&[Key::Name(alias.clone())]).is_err() => {
                self.check_keys(&output, skip + 1, reference, place);
            }
            (true, _) => self.check_keys(&output, skip, reference, place),
            (false, _) => {
                let aliases = OUTPUT_ALIASES.map(|name| (name, output.clone()));
                let fields = aliases.into_iter().chain([("status", Shape::Scalar), ("error", error_shape())]);
                self.check_keys(&Shape::object(fields), skip, reference, place);
            }
        }
    }

    /// Checks the keys of a reference after the first `skip` against the known shape of the value.
    pub(super) fn check_keys(&mut self, shape: &Shape, skip: usize, reference: &Reference, place: &ProblemLocation) {
        let keys = reference.keys.get(skip..).unwrap_or_default();
        let Err(missing) = shape.check(keys) else { return };
        let mut owner = reference.name.clone();
        for key in &reference.keys[..skip + missing.position] {
            match key {
                Key::Name(name) => owner += &format!(".{name}"),
                Key::Index(index) => owner += &format!("[{index}]"),
            }
        }
        let message = format!("`{owner}` has no field `{}`", missing.name);
        let known = missing.known.iter().map(String::as_str);
        let help = match nearest(&missing.name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if missing.is_list => format!("`{owner}` is a list; write `{owner}[0]` for its first item"),
            None if missing.known.is_empty() => format!("`{owner}` is not an object"),
            None => format!("its fields are: {}", known.collect::<Vec<_>>().join(", ")),
        };
        let severity = if reference.optional { Problem::warning } else { Problem::error };
        self.missing.push((missing.name, self.problems.len()));
        self.problems.push(severity("unknown_field", place.clone(), message).with_help(help));
    }
}

/// Returns whether a step that is reached always completes unless its list fails.
fn is_certain(step: &Step) -> bool {
    step.condition.is_none() && step.dependencies.is_empty() && step.on_error != OnError::Continue
}

/// Returns whether a parallel block can complete even though this branch failed
/// without handling the failure.
pub(super) fn may_fail(parallel: &Parallel, branch: &Branch) -> bool {
    let may_any = parallel.aggregation != Aggregation::All || parallel.error_mode == ErrorMode::BestEffort;
    may_any && !branch.required
}
