use std::{fmt::Write as _, sync::Arc};

use serde_json::{Value, json};

use crate::{
    ProblemLocation, StepError,
    engine::{Call, Outcome, Scope, Violation, call_activity},
    expr::{Expr, Template},
    model::{ActivityCall, ActivityName, Validate, ValidateMode},
    plan::{ActivityPlan, Body, Builder, Leaf, Work},
};

/// A prepared step that checks data against a schema, a validator and assertions.
struct ValidatePlan {
    data: Template,
    schema: Option<Value>,
    validator: Option<ActivityPlan>,
    assertions: Vec<Expr>,
    mode: ValidateMode,
    transform: Option<Template>,
}

impl Builder<'_> {
    pub(crate) fn validate(&mut self, validate: &Validate, path: &str) -> Body {
        let Validate { data, schema, validator, assertions, mode, transform } = validate;
        let source = data;
        let data = self.template(source, path, "data");
        if schema.is_some() && self.engine.schemas().is_none() {
            let message = "this engine cannot check JSON Schemas";
            self.error("no_schema_check", ProblemLocation::new(path, "schema"), message);
        }
        if let (Some(schema), Some(check)) = (schema, self.engine.schemas())
            && let Err(message) = check.check(schema, &Value::Null)
        {
            self.error("invalid_schema", ProblemLocation::new(path, "schema"), message);
        }
        if schema.is_none() && validator.is_none() && assertions.is_empty() {
            let message = "a validate step needs a `schema`, a `validator` or `assertions`";
            self.error("nothing_to_check", ProblemLocation::new(path, ""), message);
        }
        let no_params = ActivityCall { activity: ActivityName::new("", ""), params: Value::Null };
        let validator = validator.as_ref().map(|name| {
            let activity = self.check_activity(name, &ProblemLocation::new(path, "validator"));
            if let Some(activity) = &activity {
                self.check_params(&**activity, source, &data, path, "data");
            }
            let params = self.template(&no_params.params, path, "validator");
            ActivityPlan { name: name.clone(), activity, params }
        });
        let (assertions, transform) = self.with_binding("data", |builder| {
            let assertions = assertions.iter().enumerate();
            let assertions = assertions
                .map(|(n, text)| builder.expression(text, &ProblemLocation::new(path, format!("assertions/{n}"))))
                .collect();
            (assertions, transform.as_ref().map(|value| builder.template(value, path, "transform")))
        });
        let plan = ValidatePlan { data, schema: schema.clone(), validator, assertions, mode: *mode, transform };
        Body::Leaf(Box::new(plan))
    }
}

impl Leaf for ValidatePlan {
    fn perform(&self, call: Call) -> Work<'_> {
        Work::Pending(Box::pin(validate(self, call)))
    }
}

/// Checks the data; all violations are reported together.
async fn validate(plan: &ValidatePlan, call: Call) -> Outcome {
    let data = match plan.data.render(&call.view()) {
        Ok(data) => data,
        Err(error) => return call.failed(error.into()),
    };
    let scope = Scope::names(call.context.scope.clone(), vec![("data", data.clone())]);
    let inner = call.seeing(Some(scope), call.context.state.clone());
    let mut violations = match schema_violations(&inner, plan, &data) {
        Ok(violations) => violations,
        Err(error) => return inner.failed(error),
    };
    match validator_violations(&inner, plan, &data).await {
        Ok(more) => violations.extend(more),
        Err(outcome) => return outcome,
    }
    match assertion_violations(&inner, plan) {
        Ok(more) => violations.extend(more),
        Err(error) => return inner.failed(error),
    }
    if !violations.is_empty() {
        let message = describe(&violations);
        if plan.mode == ValidateMode::Strict {
            let details: Vec<_> = violations.iter().map(|v| json!({"path": v.path, "message": v.message})).collect();
            let error =
                StepError::validation("validation_failed", message).with_details(json!({"violations": details}));
            return inner.failed(error);
        }
        inner.run().warn("validation_failed", inner.path(), message);
        return Outcome::completed(data);
    }
    match &plan.transform {
        None => Outcome::completed(data),
        Some(transform) => match transform.render(&inner.view()) {
            Ok(value) => Outcome::completed(value),
            Err(error) => inner.failed(error.into()),
        },
    }
}

fn schema_violations(call: &Call, plan: &ValidatePlan, data: &Value) -> Result<Vec<Violation>, StepError> {
    let (Some(schema), Some(check)) = (&plan.schema, call.run().engine().schemas()) else { return Ok(Vec::new()) };
    check.check(schema, data).map_err(|message| StepError::configuration("invalid_schema", message))
}

fn assertion_violations(call: &Call, plan: &ValidatePlan) -> Result<Vec<Violation>, StepError> {
    let mut violations = Vec::new();
    for assertion in &plan.assertions {
        if !assertion.test(&call.view())? {
            let message = format!("the assertion `{}` is false", assertion.source());
            violations.push(Violation { path: String::new(), message });
        }
    }
    Ok(violations)
}

/// Calls the user's validator, which returns a list of strings or `{path, message}` objects.
///
/// The list is empty if the data is valid.
async fn validator_violations(call: &Call, plan: &ValidatePlan, data: &Arc<Value>) -> Result<Vec<Violation>, Outcome> {
    let Some(validator) = &plan.validator else { return Ok(Vec::new()) };
    let answer = call_activity(call, validator, data.clone()).await?;
    let invalid_answer = || {
        let message = format!("the validator `{}` must return a list of errors, got {answer}", validator.name);
        call.failed(StepError::configuration("wrong_validator_answer", message))
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    answer
        .as_array()
        .ok_or_else(invalid_answer)?
        .iter()
        .map(|item| {
            let message = text(item).or_else(|| text(item.get("message")?)).ok_or_else(invalid_answer)?;
            Ok(Violation { path: item.get("path").and_then(text).unwrap_or_default(), message })
        })
        .collect()
}

fn describe(violations: &[Violation]) -> String {
    let mut text = format!("the data is invalid ({})", violations.len());
    for Violation { path, message } in violations {
        let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let _ = write!(text, "; {place}{message}");
    }
    text
}
