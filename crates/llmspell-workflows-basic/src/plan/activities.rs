use std::sync::Arc;

use serde_json::Value;

use super::{ActivityPlan, Builder, names::join};
use crate::{
    Problem, ProblemLocation,
    activity::Activity,
    expr::Template,
    model::{ActivityCall, ActivityName},
};

impl Builder<'_> {
    pub(crate) fn activity(&mut self, call: &ActivityCall, path: &str) -> ActivityPlan {
        let params = self.template(&call.params, path, "params");
        let activity = self.check_activity(&call.activity, &ProblemLocation::new(path, "activity"));
        if let Some(activity) = &activity {
            self.check_params(&**activity, &call.params, &params, path, "params");
        }
        ActivityPlan { name: call.activity.clone(), activity, params }
    }

    /// Reports problems in the parameters stored in `field`, from which `template` was created.
    pub(crate) fn check_params(
        &mut self,
        activity: &dyn Activity,
        params: &Value,
        template: &Template,
        path: &str,
        field: &str,
    ) {
        // A part is dynamic if it is a string with references.
        let dynamic: Vec<String> = template.references().iter().map(|found| found.pointer.to_owned()).collect();
        let is_dynamic = |pointer: &str| dynamic.iter().any(|other| other == pointer);
        for problem in activity.check(params, &is_dynamic) {
            let place =
                ProblemLocation { span: problem.span, ..ProblemLocation::new(path, join(field, &problem.pointer)) };
            let found = match problem.is_warning {
                true => Problem::warning(problem.code, place, problem.message),
                false => Problem::error(problem.code, place, problem.message),
            };
            self.problems.push(match problem.help {
                Some(help) => found.with_help(help),
                None => found,
            });
        }
    }

    /// Returns the activity `name`; an unknown activity is reported as a problem at `place`.
    pub(crate) fn check_activity(&mut self, name: &ActivityName, place: &ProblemLocation) -> Option<Arc<dyn Activity>> {
        let activities = self.engine.activities();
        let found = activities.find(name);
        if found.is_none() {
            let code = if name.kind == "tool" { "unknown_tool" } else { "unknown_activity" };
            let message = match name.name.as_str() {
                "" => format!("no activity is registered for steps of type `{}`", name.kind),
                called => format!("unknown {} `{called}`", name.kind),
            };
            let problem = if activities.may_be_missing(&name.kind) {
                Problem::warning(code, place.clone(), message)
            } else {
                Problem::error(code, place.clone(), message)
            };
            let known = activities.names(&name.kind);
            self.problems.push(problem.with_known(&name.name, known.iter().map(String::as_str)));
        }
        found
    }
}
