//! Steps that start a process.

mod command;
mod group;
mod injection;
mod leftovers;
mod process;
mod program;
mod unfit;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    StepError,
    activity::{Activity, ActivityContext, ActivityOutput, ParamProblem, Shape},
};
use serde_json::Value;

use crate::{Policy, Sandbox, ToolError, Violation, violation::Schema};
use command::Command;
pub(super) use leftovers::Processes;

/// Runs a command line or a program, for steps of type `shell`.
///
/// The parameters are:
///
/// - `command`, a command line for `sh -c`, or `argv`, a program with its arguments;
/// - `cwd`, a directory within the policy's roots;
/// - `stdin`, a string passed unchanged, or any other value, passed as JSON;
/// - `env`, variables added to the environment inherited from this process, which excludes the
///   variables that contain secrets ([`Policy::secret_variables`]);
/// - `allow_failure`;
/// - `unsafe_shell`, which permits values to become part of the command line unchanged. Without
///   this setting, such values are problems in the definition.
///
/// The output is `{stdout, stdout_type, stderr, stderr_type, exit_code}`. UTF-8 output is a string
/// of type `text`; any other output is base64 with type `base64`, so no byte is lost. If a signal
/// terminated the process, the exit code is 128 plus the signal's number. Unless `allow_failure` is
/// set, a non-zero exit code fails the step, and the error includes the end of the process's
/// output.
///
/// The program (`sh` for a command line) must be listed in the policy's `programs`. The process
/// also receives `SPELLFLOW_RUN_ID`, `SPELLFLOW_STEP_PATH`, `SPELLFLOW_ATTEMPT` and
/// `SPELLFLOW_IDEMPOTENCY_KEY`. The process leads its own process group, which ends with the step:
/// leftover processes are asked to stop and then killed.
pub struct Shell {
    policy: Arc<Policy>,
    sandbox: Sandbox,
    /// The schema of the parameters, compiled when a definition first contains a `shell` step.
    schema: OnceLock<(Value, Result<Schema, ToolError>)>,
}

impl Shell {
    /// Creates the activity under `policy`.
    ///
    /// # Errors
    /// Fails if a root of `policy` cannot be opened.
    pub fn new(policy: Arc<Policy>) -> Result<Self, ToolError> {
        Ok(Self { sandbox: Sandbox::open(&policy)?, policy, schema: OnceLock::new() })
    }

    fn violations(&self, params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Result<Vec<Violation>, ToolError> {
        let (parameters, schema) = self.schema.get_or_init(|| {
            let parameters = command::schema();
            let schema = Schema::compile("shell", &parameters);
            (parameters, schema)
        });
        let schema = schema.as_ref().map_err(Clone::clone)?;
        Ok(schema.check(parameters, params, dynamic))
    }
}

#[async_trait]
impl Activity for Shell {
    async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError> {
        let input = context.input();
        let violations = self.violations(input, &|_| false)?;
        if !violations.is_empty() {
            return Err(crate::violation::to_error("shell", "parameters", "invalid_parameters", &violations).into());
        }
        let command = Command::new(input, &self.policy, &self.sandbox)?;
        Ok(process::run(command, &context, self.policy.output_bytes_max).await?.into())
    }

    fn check(&self, params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
        let mut problems: Vec<_> = match self.violations(params, dynamic) {
            Ok(violations) => violations.into_iter().map(ParamProblem::from).collect(),
            Err(error) => vec![error.into()],
        };
        problems.extend(command::program_problem(params, &self.policy, dynamic));
        problems.extend(command::variable_problem(params, &self.policy));
        problems.extend(injection::problems(params, dynamic));
        problems
    }

    fn output(&self) -> Shape {
        Shape::flat(process::OUTPUT_FIELDS)
    }
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("programs", &self.policy.programs).finish_non_exhaustive()
    }
}
