use serde_json::{Map, Value};

use super::{ActivityPlan, Body, Builder, Length, ValidatePlan, WaitPlan, names::join};
use crate::{
    Place, Problem,
    model::{ActivityCall, ActivityName, Delay, Validate, WaitForEvent},
};

impl Builder<'_> {
    pub(super) fn activity(&mut self, call: &ActivityCall, path: &str) -> ActivityPlan {
        let params = self.template(&call.params, path, "params");
        let activity = self.check_activity(&call.activity, &Place::new(path, "activity"));
        if let Some(activity) = &activity {
            // A part is dynamic if it, or something around it, is a text with references.
            let dynamic: Vec<String> = params.references().iter().map(|found| found.pointer.to_owned()).collect();
            let is_dynamic = |pointer: &str| dynamic.iter().any(|other| other == pointer);
            for problem in activity.check(&call.params, &is_dynamic) {
                let place = Place::new(path, join("params", &problem.pointer));
                let found = Problem::error("wrong_parameters", place, problem.message);
                self.problems.push(match problem.help {
                    Some(help) => found.with_help(help),
                    None => found,
                });
            }
        }
        ActivityPlan { name: call.activity.clone(), activity, params }
    }

    /// The activity `name`; an unknown one is a problem at `place`.
    pub(super) fn check_activity(
        &mut self,
        name: &ActivityName,
        place: &Place,
    ) -> Option<std::sync::Arc<dyn crate::activity::Activity>> {
        let activities = self.engine.activities();
        let found = activities.find(name);
        if found.is_none() {
            let code = if name.kind == "tool" { "unknown_tool" } else { "unknown_activity" };
            let message = match name.name.as_str() {
                "" => format!("nothing is registered that runs steps of type `{}`", name.kind),
                called => format!("no {} is called `{called}`", name.kind),
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

    pub(super) fn set(&mut self, values: &Map<String, Value>, path: &str) -> Body {
        let templates = values.iter().map(|(key, value)| {
            let field = format!("set/{key}");
            if key.is_empty() || key.starts_with('$') {
                let message =
                    format!("`{key}` cannot be a key of the state: one is not empty and does not start with `$`");
                self.problems.push(Problem::error("invalid_state_key", Place::new(path, &*field), message));
            }
            (key.clone(), self.template(value, path, &field))
        });
        Body::Set(templates.collect())
    }

    pub(super) fn sleep(&mut self, delay: &Delay, path: &str) -> Body {
        Body::Sleep(self.length(Some(delay), path, "duration").unwrap_or(Length::Fixed(std::time::Duration::ZERO)))
    }

    pub(super) fn wait_for_event(&mut self, wait: &WaitForEvent, path: &str) -> Body {
        if wait.event.is_empty() {
            self.error("missing_event", Place::new(path, "event"), "it does not say which event it waits for");
        }
        let event = self.template(&Value::from(&*wait.event), path, "event");
        let filter = wait.filter.as_ref().map(|filter| {
            self.with_binding("event", |builder| builder.expression(filter, &Place::new(path, "filter")))
        });
        Body::WaitForEvent(WaitPlan { event, filter, on_timeout: wait.on_timeout })
    }

    pub(super) fn validate(&mut self, validate: &Validate, path: &str) -> Body {
        let Validate { data, schema, validator, assertions, mode, transform } = validate;
        let data = self.template(data, path, "data");
        if schema.is_some() && self.engine.schemas().is_none() {
            let message = "this engine has nothing that checks JSON Schemas";
            self.error("no_schema_check", Place::new(path, "schema"), message);
        }
        if let (Some(schema), Some(check)) = (schema, self.engine.schemas())
            && let Err(message) = check.check(schema, &Value::Null)
        {
            self.error("invalid_schema", Place::new(path, "schema"), message);
        }
        if schema.is_none() && validator.is_none() && assertions.is_empty() {
            let message = "a validate step needs a `schema`, a `validator` or `assertions`";
            self.error("nothing_to_check", Place::new(path, ""), message);
        }
        let nothing = ActivityCall { activity: ActivityName::new("", ""), params: Value::Null };
        let validator = validator.as_ref().map(|name| {
            let activity = self.check_activity(name, &Place::new(path, "validator"));
            let params = self.template(&nothing.params, path, "validator");
            ActivityPlan { name: name.clone(), activity, params }
        });
        let (assertions, transform) = self.with_binding("data", |builder| {
            let assertions = assertions.iter().enumerate();
            let assertions = assertions
                .map(|(n, text)| builder.expression(text, &Place::new(path, format!("assertions/{n}"))))
                .collect();
            (assertions, transform.as_ref().map(|value| builder.template(value, path, "transform")))
        });
        Body::Validate(ValidatePlan { data, schema: schema.clone(), validator, assertions, mode: *mode, transform })
    }
}
