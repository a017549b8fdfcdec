use super::{ActivityPlan, Builder, names::join};
use crate::{
    Problem, ProblemLocation,
    model::{ActivityCall, ActivityName},
};

impl Builder<'_> {
    pub(crate) fn activity(&mut self, call: &ActivityCall, path: &str) -> ActivityPlan {
        let params = self.template(&call.params, path, "params");
        let activity = self.check_activity(&call.activity, &ProblemLocation::new(path, "activity"));
        if let Some(activity) = &activity {
            // A part is dynamic if it is a string with references.
            let dynamic: Vec<String> = params.references().iter().map(|found| found.pointer.to_owned()).collect();
            let is_dynamic = |pointer: &str| dynamic.iter().any(|other| other == pointer);
            for problem in activity.check(&call.params, &is_dynamic) {
                let place = ProblemLocation::new(path, join("params", &problem.pointer));
                let found = Problem::error("wrong_parameters", place, problem.message);
                self.problems.push(match problem.help {
                    Some(help) => found.with_help(help),
                    None => found,
                });
            }
        }
        ActivityPlan { name: call.activity.clone(), activity, params }
    }

    /// Returns the activity `name`; an unknown activity is reported as a problem at `place`.
    pub(crate) fn check_activity(
        &mut self,
        name: &ActivityName,
        place: &ProblemLocation,
    ) -> Option<std::sync::Arc<dyn crate::activity::Activity>> {
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
