use llmspell_workflows_basic::model::StepKind;
use serde_json::{Map, Value};

use super::{ENV, Kind, PARAM_OBJECT, activity::call};
use crate::{
    dialect::{Shape, field},
    reader::{Fields, Reader, Scope},
};

pub(super) const SHELL: Kind = Kind::new("shell", "Runs a command. The output is {stdout, stderr, exit_code}.", read, &[
        field("command", Shape::Text, "A command line for `sh -c`."),
        field("argv", Shape::Items, "A program and its arguments, without a shell."),
        field("cwd", Shape::Text, "The working directory."),
        field("stdin", Shape::Any, "What the process reads."),
        field("allow_failure", Shape::Bool, "Whether another exit code than 0 is a result like any other."),
        ENV,
        PARAM_OBJECT,
    ])
    .told_by(&["command", "argv"]);

/// The parameters of a `shell` step.
const PARAMETERS: &[&str] = &["command", "argv", "cwd", "stdin", "allow_failure", "env"];

fn read(
    reader: &mut Reader<'_>,
    kind: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
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
                self.error("conflicting_fields", fields.at, fields.head, "the step has both `command` and `argv`")
                    .help("`command` is a line for `sh -c`, `argv` a program and its arguments; keep one");
            }
            (false, false) => {
                self.error("missing_field", fields.at, fields.head, "the step lacks `command`")
                    .help("add `command`, a line for `sh -c`, or `argv`, a program and its arguments");
            }
            _ => {}
        }
    }
}
