//! `spellflow plan`: shows what a run would do.

mod facts;
mod needs;

use std::path::PathBuf;

use clap::Args;
use llmspell_workflows_basic::{Engine, Plan as Prepared, RunOptions, WorkflowInput};
use serde_json::{Value, json};

use super::inputs::Inputs;
use crate::{
    App, Exit, Failure, host,
    outline::{self, Block, Branches, Known},
    output::Paint,
    report::shell_word,
    source::Source,
    table::table,
};
use facts::Facts;
use needs::{Field, Requirements};

/// Shows what a run would do, without executing it.
///
/// Shows the tree of steps with conditions, retries, timeouts and dependencies, the tools with their permissions, and
/// the inputs that are still missing. Conditions that depend only on the input are evaluated.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow plan flow.yaml\n  \
        spellflow plan flow.yaml --input name=Ada\n  \
        spellflow plan flow.yaml -o json")]
pub(crate) struct Plan {
    /// The definition, YAML or JSON; `-` is standard input.
    file: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// The environment whose variables are used.
    #[arg(short, long = "env", value_name = "NAME")]
    environment: Option<String>,
}

impl Plan {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let settings = app.config()?.settings();
        let engine = host::engine(settings)?.build();
        let document = Source::read(&self.file)?.check(&engine)?;
        let warnings = document.diagnostics();
        if !warnings.is_empty() {
            app.output().note(app.output().on_err_rendered(&warnings).trim_end());
        }
        let plan = engine.prepare(document.definition)?;
        let definition = plan.definition();
        let configured = settings.environment.clone().filter(|_| !definition.environments.is_empty());
        let environment = self.environment.clone().or(configured);

        let given = self.inputs.read(&self.file)?;
        let fields = needs::fields(&plan, &given);
        let is_complete = fields.iter().all(|field| !field.is_missing);
        if is_complete || needs::has_invalid(&definition.inputs, &given) {
            check_start(&engine, &plan, &given, environment.clone())?;
        }
        let facts = if is_complete { Facts::new(definition, &given, environment.as_deref()) } else { Facts::default() };
        let decide = |condition: &str| facts.decide(condition);
        let blocks = outline::build(definition, &Known { waits: plan.waits(), decide: &decide });
        let tools = host::tools(settings)?;
        let needs = Requirements::new(&blocks, &tools, settings, &plan);
        let trigger_holds = definition.trigger.as_ref().and_then(|trigger| facts.decide(trigger));
        self.show(app, &plan, trigger_holds, &blocks, &fields, &needs);
        Ok(Exit::Ok)
    }

    fn show(
        &self,
        app: &App,
        plan: &Prepared,
        trigger_holds: Option<bool>,
        blocks: &[Block],
        fields: &[Field],
        needs: &Requirements,
    ) {
        let definition = plan.definition();
        if !app.output().is_text() {
            let missing: Vec<_> = fields.iter().filter(|field| field.is_missing).map(|field| &field.name).collect();
            return app.output().payload(&json!({
                "workflow": definition.name,
                "version": definition.version,
                "hash": definition.hash(),
                "trigger": definition.trigger,
                "trigger_holds": trigger_holds,
                "total_timeout": definition.total_timeout,
                "inputs": fields,
                "missing_inputs": missing,
                "tools": needs.tools,
                "activities": needs.others,
                "secrets": needs.secrets,
                "env": definition.env,
                "blocks": blocks,
            }));
        }
        let output = app.output();
        let heading = |text: &str| format!("\n{}\n", output.on_out(Paint::Bold, text));
        let mut title = outline::title(definition);
        if let Some(trigger) = &definition.trigger {
            title += &format!(" · only if {trigger}{}", outline::holds(trigger_holds));
        }
        if let Some(timeout) = &definition.total_timeout {
            title += &format!(" · timeout {timeout}");
        }
        let mut text = outline::text(&title, blocks, Branches::Lines);
        if !fields.is_empty() {
            text += &heading("Inputs");
            text += &table(fields.iter().map(Field::row));
        }
        if !needs.tools.is_empty() {
            text += &heading("Tools");
            text += &table(needs.tool_rows());
        }
        if !needs.others.is_empty() {
            text += &heading("Other activities");
            text += &table(needs.other_rows());
        }
        if !needs.secrets.is_empty() {
            text += &heading("Secrets");
            text += &table(needs.secret_rows());
        }
        output.text(&text);
        let missing = fields.iter().filter(|field| field.is_missing);
        let missing = missing.map(|field| format!("{}{}…", field.name, field.sign()));
        let given = self.inputs.given().map(shell_word);
        let inputs: String = given.chain(missing).map(|input| format!(" --input {input}")).collect();
        let environment = self.environment.iter().map(|name| format!(" --env {}", shell_word(name)));
        let file = shell_word(&self.file.display().to_string());
        output.note(&format!("nothing was run; next: spellflow run {file}{inputs}{}", environment.collect::<String>()));
    }
}

/// Starts a run without driving it, so that invalid inputs produce the same errors as `run`.
fn check_start(
    engine: &Engine,
    plan: &std::sync::Arc<Prepared>,
    given: &Value,
    environment: Option<String>,
) -> Result<(), Failure> {
    let options = RunOptions { environment, ..RunOptions::default() };
    engine.start(plan, WorkflowInput::new(given.clone()), &options).map_err(super::run::input::refused)?;
    Ok(())
}
