use llmspell_workflows_basic::model::StepKind;
use serde_json::{Map, Value};

use super::{ENV, Kind, PARAM_OBJECT, activity::call};
use crate::{
    dialect::{Shape, field},
    reader::{Fields, Reader, Siblings},
};

pub(super) const SHELL: Kind = Kind::new(
    "shell",
    "Runs a command. The output is {stdout, stdout_type, stderr, stderr_type, exit_code}.",
    read,
    &[
        field("command", Shape::Text, "A command line for `sh -c`.")
            .elsewhere(&["cmd", "exec", "run", "script", "shell"]),
        field("argv", Shape::Items, "A program and its arguments, run without a shell.")
            .elsewhere(&["args", "arguments"]),
        field("cwd", Shape::Text, "The working directory.").elsewhere(&[
            "dir",
            "directory",
            "workdir",
            "working-directory",
            "working_directory",
        ]),
        field("stdin", Shape::Any, "The standard input of the process."),
        field("allow_failure", Shape::Bool, "Whether the step succeeds with a nonzero exit code.").elsewhere(&[
            "continue-on-error",
            "continue_on_error",
            "ignore_errors",
        ]),
        field("unsafe_shell", Shape::Bool, "Whether unquoted values are allowed in the command."),
        ENV,
        PARAM_OBJECT,
    ],
)
.inferred_from(&["command", "argv"]);

/// The parameters of a `shell` step.
const PARAMETERS: &[&str] = &["command", "argv", "cwd", "stdin", "allow_failure", "unsafe_shell", "env"];

fn read(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let mut params = reader.merged(fields, kind.fields)?;
    reader.check_shell(&params, fields);
    reader.add_env(&mut params);
    reader.mark(fields.at, "activity", fields.head);
    Some(call("shell", String::new(), Value::Object(params)))
}

impl Reader<'_> {
    fn check_shell(&mut self, params: &Map<String, Value>, fields: &Fields<'_, '_>) {
        let entries = fields.get("params").map(|entry| entry.value.entries()).unwrap_or_default();
        for entry in entries.iter().filter(|entry| !PARAMETERS.contains(&entry.key.as_ref())) {
            let help = self.suggest(&entry.key, PARAMETERS.iter().copied());
            let message = format!("`{}` is not a parameter of a `shell` step", entry.key);
            self.error("unknown_field", fields.at, entry.key_span, message).help = help;
        }
        match (params.contains_key("command"), params.contains_key("argv")) {
            (true, true) => {
                self.error("conflicting_fields", fields.at, fields.head, "`command` and `argv` are mutually exclusive")
                    .help("keep one: `command` is a line for `sh -c`, `argv` is a program and its arguments");
            }
            (false, false) if !fields.is_meant("command") && !fields.is_meant("argv") => {
                let message = "missing field `command` or `argv` in a `shell` step";
                self.error("missing_field", fields.at, fields.head, message)
                    .help("add `command`, a line for `sh -c`, or `argv`, a program and its arguments");
            }
            _ => {}
        }
    }
}
