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
            Command::Show { name } => show(app, &tools, find(&tools, &name)?),
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

pub(super) fn show(app: &App, tools: &Registry, spec: &ToolSpec) {
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
    text += &format!("\nAs a step\n{}", example(spec, &example_parameters(tools, spec)));
    output.text(&text);
}

/// Returns the path, type and description of each field of `schema`, including nested fields.
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

/// Returns an example step with these parameters.
fn example(spec: &ToolSpec, parameters: &Map<String, Value>) -> String {
    let mut text = format!("  - id: {0}\n    type: tool\n    tool: {0}\n", spec.name);
    if !parameters.is_empty() {
        text += "    params:\n";
        parameters.iter().for_each(|(name, value)| text += &format!("      {name}: {value}\n"));
    }
    text
}

/// Returns the minimal parameters that a tool's schema accepts. A parameter's value is its
/// first choice, or a template.
fn example_parameters(tools: &Registry, spec: &ToolSpec) -> Map<String, Value> {
    let properties = spec.parameters["properties"].as_object().cloned().unwrap_or_default();
    let value =
        |name: &str| properties[name]["enum"].get(0).cloned().unwrap_or_else(|| json!(format!("{{{{ {name} }}}}")));
    let required = spec.parameters["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut parameters: Map<String, Value> = required.map(|name| (name.to_owned(), value(name))).collect();
    let violations = |parameters: &Map<String, Value>| {
        let is_template = |pointer: &str| {
            let value = pointer.strip_prefix('/').and_then(|name| parameters.get(name)).and_then(Value::as_str);
            value.is_some_and(|text| text.starts_with("{{"))
        };
        let found = tools.check_parameters(spec.name, &json!(parameters), &is_template);
        found.map_or(usize::MAX, |violations| violations.len())
    };
    // Some parameters are required only in combination with others, so each parameter is tried.
    loop {
        let left = violations(&parameters);
        let with = |name: &String| {
            let mut tried = parameters.clone();
            tried.insert(name.clone(), value(name));
            (violations(&tried), tried)
        };
        let best =
            properties.keys().filter(|name| !parameters.contains_key(*name)).map(with).min_by_key(|(left, _)| *left);
        match best {
            Some((fewer, tried)) if fewer < left => parameters = tried,
            _ => return parameters,
        }
    }
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
    // Limits the wait for tasks that are still running.
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

#[cfg(test)]
mod tests {
    use llmspell_workflows_tools::{Policy, standard};

    use super::*;

    #[test]
    fn every_example_is_valid_for_its_tool() {
        let tools = standard(Policy::default().into()).unwrap();
        for spec in tools.specs() {
            let parameters = example_parameters(&tools, spec);
            let is_template = |pointer: &str| {
                let value = json!(parameters).pointer(pointer).cloned().unwrap_or_default();
                value.as_str().is_some_and(|text| text.starts_with("{{"))
            };
            let violations = tools.check_parameters(spec.name, &json!(parameters), &is_template).unwrap();
            assert!(violations.is_empty(), "{} with {parameters:?}: {violations:?}", spec.name);
        }
    }

    #[test]
    fn examples_have_the_parameters_of_their_operation() {
        let tools = standard(Policy::default().into()).unwrap();
        for (tool, expected) in [
            ("file_operations", json!({"operation": "read", "path": "{{ path }}"})),
            ("json_processor", json!({"operation": "query", "query": "{{ query }}", "input": "{{ input }}"})),
            ("text_summarizer", json!({"input": "{{ input }}"})),
        ] {
            let spec = tools.find(tool).unwrap().spec();
            assert_eq!(json!(example_parameters(&tools, spec)), expected);
        }
    }
}
