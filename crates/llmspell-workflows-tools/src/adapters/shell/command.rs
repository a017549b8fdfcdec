use std::path::PathBuf;

use llmspell_workflows_basic::activity::ParamProblem;
use serde_json::{Value, json};

use super::program::{check_program, check_variables, resolve};
use crate::{Access, Policy, Sandbox, ToolError, ToolErrorClass};

/// A process to start.
#[derive(Debug)]
pub(super) struct Command {
    /// The program's name in the step.
    pub(super) program: String,
    /// The file to start; if unset, the operating system looks up the program.
    pub(super) file: Option<PathBuf>,
    pub(super) arguments: Vec<String>,
    /// Whether the last argument is a command line for `sh`.
    pub(super) is_command_line: bool,
    pub(super) directory: PathBuf,
    pub(super) stdin: Option<String>,
    pub(super) environment: Vec<(String, String)>,
    /// The variables not inherited by the process.
    pub(super) withheld: Vec<String>,
    pub(super) allow_failure: bool,
}

/// Returns the schema of the parameters.
pub(super) fn schema() -> Value {
    let scalar = json!(["string", "number", "boolean"]);
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "command": {"type": "string", "minLength": 1},
            "argv": {"type": "array", "minItems": 1, "items": {"type": scalar}},
            "cwd": {"type": "string", "minLength": 1},
            "stdin": {},
            "env": {
                "type": "object",
                "propertyNames": {"pattern": "^[^=\\u0000]+$"},
                "additionalProperties": {"type": scalar},
            },
            "allow_failure": {"type": "boolean"},
            "unsafe_shell": {"type": "boolean"},
        },
        "oneOf": [{"required": ["command"]}, {"required": ["argv"]}],
    })
}

/// Reports a program that the policy does not allow, if its name is known before the run.
pub(super) fn program_problem(params: &Value, policy: &Policy, dynamic: &dyn Fn(&str) -> bool) -> Option<ParamProblem> {
    let (pointer, program) = match params.get("argv") {
        Some(argv) => ("/argv/0", argv.get(0)?.as_str()?),
        None => ("/command", params.get("command").map(|_| "sh")?),
    };
    let is_dynamic = params.get("argv").is_some() && ["", "/argv", "/argv/0"].into_iter().any(dynamic);
    let error = (!is_dynamic).then(|| check_program(program, policy).err())??;
    Some(ParamProblem::from(error).at(pointer))
}

/// Reports variables that the policy does not allow, if their names are known before the run.
pub(super) fn variable_problem(params: &Value, policy: &Policy) -> Option<ParamProblem> {
    let names = params.get("env")?.as_object()?.keys().map(String::as_str);
    let error = check_variables(names, policy).err()?;
    Some(ParamProblem::from(error).at("/env"))
}

impl Command {
    /// Reads `parameters`, which match [`schema`].
    pub(super) fn new(parameters: &Value, policy: &Policy, sandbox: &Sandbox) -> Result<Self, ToolError> {
        let (program, arguments) = match parameters.get("argv").and_then(Value::as_array).map(Vec::as_slice) {
            Some([program, arguments @ ..]) => (text(program), arguments.iter().map(text).collect()),
            _ => ("sh".to_owned(), vec!["-c".to_owned(), text(&parameters["command"])]),
        };
        let file = resolve(&program, policy)?;
        let directory = parameters.get("cwd").and_then(Value::as_str).unwrap_or(".");
        let target = sandbox.locate(directory, Access::Read).map_err(|error| match error.code {
            "invalid_path" => ToolError { message: format!("invalid `cwd`: {}", error.message), ..error },
            _ => error,
        })?;
        let directory = target.real_path()?;
        let is_directory = target.dir().metadata(target.relative()).is_ok_and(|metadata| metadata.is_dir());
        if !is_directory {
            let message = format!("cannot start a process in `{}`: it is not a directory", target.path());
            return Err(ToolError::new(ToolErrorClass::Validation, "not_a_folder", message));
        }
        let environment = || parameters.get("env").and_then(Value::as_object).into_iter().flatten();
        check_variables(environment().map(|(name, _)| name.as_str()), policy)?;
        Ok(Self {
            program,
            file,
            arguments,
            is_command_line: parameters.get("argv").is_none(),
            directory,
            stdin: parameters.get("stdin").filter(|value| !value.is_null()).map(text),
            environment: environment().map(|(name, value)| (name.clone(), text(value))).collect(),
            withheld: policy.secret_variables.clone(),
            allow_failure: parameters.get("allow_failure").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

/// Returns a string unchanged, and any other value as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
