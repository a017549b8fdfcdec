use std::{sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use llmspell_workflows_basic::StepError;
use llmspell_workflows_tools::{Registry, ToolContext, ToolSpec};
use serde_json::{Map, Value, json};

use super::inputs::Inputs;
use crate::{App, Exit, Failure, host, output::Paint};

/// Lists the tools that workflows can call, shows one, or calls one.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow tools list\n  \
        spellflow tools show text_summarizer\n  \
        spellflow tools call sentiment_analyzer --input input='Not bad at all!'")]
pub(crate) struct Tools {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists every tool with its category, security level and required permissions.
    List,
    /// Shows what a tool does, its parameters and its result.
    Show {
        /// The name or an alias of the tool.
        name: String,
    },
    /// Calls a tool, under the configured policy.
    Call {
        /// The name or an alias of the tool.
        name: String,
        #[command(flatten)]
        inputs: Inputs,
    },
}

impl Tools {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let tools = host::tools(app.config()?.settings())?;
        match self.command {
            Command::List => list(app, &tools),
            Command::Show { name } => show(app, find(&tools, &name)?),
            Command::Call { name, inputs } => return call(app, &tools, &name, &inputs),
        }
        Ok(Exit::Ok)
    }
}

fn find<'t>(tools: &'t Registry, name: &str) -> Result<&'t ToolSpec, Failure> {
    let found = tools.find(name).map(|tool| tool.spec());
    found.map_err(|error| Failure {
        help: error.help.or(Some("`spellflow tools list` lists all tools".to_owned())),
        ..Failure::new(Exit::NotFound, error.code, error.message)
    })
}

fn data(spec: &ToolSpec) -> Value {
    json!({
        "name": spec.name,
        "aliases": spec.aliases,
        "description": spec.description,
        "category": spec.category,
        "security_level": spec.security_level,
        "permissions": spec.permissions,
    })
}

fn word(value: impl serde::Serialize) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
}

fn permissions(spec: &ToolSpec) -> String {
    let words: Vec<_> = spec.permissions.iter().map(word).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

fn list(app: &App, tools: &Registry) {
    if !app.output().is_text() {
        return app.output().payload(&tools.specs().map(data).collect::<Vec<_>>());
    }
    let head = ["TOOL", "CATEGORY", "SECURITY", "PERMISSIONS"].map(str::to_owned);
    let rows = tools
        .specs()
        .map(|spec| [spec.name.to_owned(), word(spec.category), word(spec.security_level), permissions(spec)]);
    app.output().text(&crate::table::table([head].into_iter().chain(rows)));
}

pub(super) fn show(app: &App, spec: &ToolSpec) {
    if !app.output().is_text() {
        let mut shown = data(spec);
        shown["parameters"] = spec.parameters.clone();
        shown["result"] = spec.result.clone();
        return app.output().payload(&shown);
    }
    let output = app.output();
    let mut text = format!("{}\n  {}\n\n", output.on_out(Paint::Bold, spec.name), spec.description);
    let aliases = if spec.aliases.is_empty() { "-".to_owned() } else { spec.aliases.join(", ") };
    for (label, value) in [
        ("aliases", aliases),
        ("category", word(spec.category)),
        ("security", word(spec.security_level)),
        ("permissions", permissions(spec)),
    ] {
        text += &format!("  {label:<12} {value}\n");
    }
    text += "\nParameters\n";
    text += &crate::table::table(fields(&spec.parameters, "", true));
    text += "\nResult\n";
    text += &crate::table::table(fields(&spec.result, "", false));
    text += &format!("\nAs a step\n{}", example(spec));
    output.text(&text);
}

/// Returns a row for each field of `schema` and of the objects in it: path, type and description.
fn fields(schema: &Value, path: &str, are_parameters: bool) -> Vec<[String; 3]> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let rows = |(name, schema): (&String, &Value)| {
        let is_required = are_parameters && required.iter().any(|other| other == name);
        let mut about = vec![schema["description"].as_str().unwrap_or_default().to_owned()];
        about.extend(is_required.then(|| "(required)".to_owned()));
        about.extend(schema.get("default").map(|default| format!("(default {default})")));
        let about = about.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let path = format!("{path}{name}");
        let row = [format!("  {path}"), kind(schema), about];
        let inner = fields(schema, &format!("{path}."), are_parameters);
        let items = fields(&schema["items"], &format!("{path}[]."), are_parameters);
        [vec![row], inner, items].concat()
    };
    properties.iter().flat_map(rows).collect()
}

fn kind(schema: &Value) -> String {
    let words = |values: &[Value]| {
        values.iter().map(|value| value.as_str().map_or(value.to_string(), str::to_owned)).collect::<Vec<_>>().join("|")
    };
    match (&schema["enum"], &schema["type"]) {
        (Value::Array(values), _) => words(values),
        (_, Value::Array(kinds)) => words(kinds),
        (_, Value::String(kind)) => kind.clone(),
        _ => "any".to_owned(),
    }
}

/// Returns an example step with the required parameters.
fn example(spec: &ToolSpec) -> String {
    let required = spec.parameters["required"].as_array().cloned().unwrap_or_default();
    let params: Map<String, Value> = required
        .iter()
        .filter_map(Value::as_str)
        .map(|name| {
            let schema = &spec.parameters["properties"][name];
            let first = schema["enum"].get(0).cloned();
            (name.to_owned(), first.unwrap_or_else(|| json!(format!("{{{{ {name} }}}}"))))
        })
        .collect();
    let mut text = format!("  - id: {0}\n    type: tool\n    tool: {0}\n", spec.name);
    if !params.is_empty() {
        text += "    params:\n";
        params.iter().for_each(|(name, value)| text += &format!("      {name}: {value}\n"));
    }
    text
}

fn call(app: &App, tools: &Arc<Registry>, name: &str, inputs: &Inputs) -> Result<Exit, Failure> {
    let spec = find(tools, name)?;
    let parameters = match inputs.read("".as_ref())? {
        Value::Null => json!({}),
        given => given,
    };
    let runtime = host::runtime()?;
    let context = ToolContext::default();
    let interrupted = context.cancellation.clone();
    let result = runtime.block_on(async {
        let call = tools.call(spec.name, parameters, &context);
        tokio::pin!(call);
        tokio::select! {
            // Polled first, so that Ctrl-C is handled from the start of the call.
            biased;
            _ = tokio::signal::ctrl_c() => {
                interrupted.cancel();
                None
            }
            result = &mut call => Some(result),
        }
    });
    // Does not wait for tasks that are still running.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match result {
        None => Err(Failure::new(Exit::Interrupted, "interrupted", "the call was interrupted")),
        Some(Ok(result)) => {
            match app.output().is_text() {
                true => app.output().text(&crate::show::value(&result)),
                false => app.output().payload(&result),
            }
            Ok(Exit::Ok)
        }
        Some(Err(error)) => {
            let exit = if error.code == "invalid_parameters" { Exit::Usage } else { Exit::Failed };
            let help = error.help.clone();
            let step = StepError::from(llmspell_workflows_tools::ToolError { help: None, ..error });
            Err(Failure {
                retryable: step.retryable,
                help: help.or(Some(format!("`spellflow tools show {}` lists its parameters", spec.name))
                    .filter(|_| exit == Exit::Usage)),
                ..Failure::new(exit, step.code, step.message)
            })
        }
    }
}
