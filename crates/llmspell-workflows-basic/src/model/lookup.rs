//! Finds steps of a definition by their paths.

use std::sync::Arc;

use super::{Definition, OnError, Pattern, Step, StepKind, Steps};
use crate::{Segment, StepPath};

/// A location in a definition: a step, or a list that is not a step.
enum Place<'d> {
    Root(&'d Definition),
    Step(&'d Step),
    List(Vec<&'d Arc<Step>>),
}

impl Definition {
    /// Returns the step at `path` in a run of the definition. The root, and lists such as `then` and `$finally`, are not
    /// steps; steps of sub-workflows are in their own definitions.
    #[must_use]
    pub fn step_at(&self, path: &StepPath) -> Option<&Step> {
        let (_, rest) = path.segments().split_first()?;
        let place = rest.iter().try_fold(Place::Root(self), |place, segment| place.inside(segment))?;
        match place {
            Place::Step(step) => Some(step),
            Place::Root(_) | Place::List(_) => None,
        }
    }
}

impl Definition {
    /// Returns the steps that always run unless the run fails first: they have no condition and no
    /// dependencies, and their enclosing blocks always run them. Steps of sub-workflows are not
    /// included.
    #[must_use]
    pub fn certain_steps(&self) -> Vec<&Step> {
        let mut found = Vec::new();
        if self.trigger.is_none() {
            collect_certain(&self.body, &mut found);
        }
        collect_list(&self.finally, &mut found);
        found
    }
}

fn collect_certain<'d>(kind: &'d StepKind, found: &mut Vec<&'d Step>) {
    if matches!(kind.pattern(), Pattern::List | Pattern::Parallel) {
        kind.groups().into_iter().for_each(|group| collect_list(group.steps, found));
    }
}

fn collect_list<'d>(steps: impl IntoIterator<Item = &'d Arc<Step>>, found: &mut Vec<&'d Step>) {
    for step in steps.into_iter().filter(|step| step.condition.is_none() && step.dependencies.is_empty()) {
        found.push(step);
        collect_certain(&step.kind, found);
    }
}

impl<'d> Place<'d> {
    fn list(steps: &'d Steps) -> Self {
        Self::List(steps.iter().collect())
    }

    fn inside(self, segment: &Segment) -> Option<Self> {
        let id = segment.id.as_str();
        let (kind, handlers): (&'d StepKind, Option<&'d Steps>) = match self {
            Self::List(steps) => return steps.into_iter().find(|step| step.id == id).map(|step| Self::Step(step)),
            Self::Root(definition) if id == "$finally" => return Some(Self::list(&definition.finally)),
            Self::Root(definition) => (&definition.body, Some(&definition.on_error)),
            Self::Step(step) if id == "$undo" => return step.compensate.as_deref().map(Self::Step),
            Self::Step(step) => match &step.on_error {
                OnError::Steps(steps) => (&step.kind, Some(steps)),
                OnError::Fail | OnError::Continue => (&step.kind, None),
            },
        };
        if id == "$on_error" {
            return handlers.map(Self::list);
        }
        let numbered = segment.iteration.map(|number| format!("{id}[{number}]"));
        for group in kind.groups() {
            match &group.segment {
                Some(name) if *name == id || Some(name.as_ref()) == numbered.as_deref() => {
                    return Some(Self::List(group.steps));
                }
                Some(_) => {}
                None => {
                    if let Some(step) = group.steps.into_iter().find(|step| step.id == id) {
                        return Some(Self::Step(step));
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Conditional, Loop};

    #[test]
    fn steps_are_found_in_every_kind_of_list() {
        let leaf = |id: &str| Step::function(id, "f", json!(null));
        let mut undone = leaf("undone");
        undone.compensate = Some(leaf("reverse").into());
        let mut definition = Definition::sequence(
            "d",
            [
                leaf("a"),
                Conditional::new("c", [leaf("t")], [leaf("e")]).into_step("choice"),
                Loop::items(json!([1]), [leaf("work")]).into_step("each"),
                leaf("fails").with_on_error(OnError::Steps(vec![leaf("handle").into()])),
                undone,
            ],
        );
        definition.finally = vec![leaf("last").into()];
        definition.on_error = vec![leaf("fix").into()];
        for (path, id) in [
            ("/main/a~2", Some("a")),
            ("/main/choice/then/t", Some("t")),
            ("/main/choice/else/e", Some("e")),
            ("/main/each[7]/work", Some("work")),
            ("/main/each", Some("each")),
            ("/main/fails/$on_error/handle", Some("handle")),
            ("/main/undone/$undo", Some("reverse")),
            ("/main/$finally/last", Some("last")),
            ("/main/$on_error/fix", Some("fix")),
            ("/main/choice/then", None),
            ("/main", None),
        ] {
            assert_eq!(definition.step_at(&path.parse().unwrap()).map(|step| step.id.as_str()), id, "{path}");
        }
    }
}
