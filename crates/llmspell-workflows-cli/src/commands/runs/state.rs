use clap::Args;
use llmspell_workflows_advanced::Executor;
use llmspell_workflows_basic::state::differences;
use serde_json::{Value, json};

use crate::{App, Exit, Failure, difference, host, report::past_steps, show};
use llmspell_workflows_definition::value_to_yaml;

/// Shows the current state of a run, or its state after a step.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs state @last\n  spellflow runs state 0199c1 --at 'each[2]/count'")]
pub(super) struct State {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// Show the state after the step at this path (or unique path suffix).
    #[arg(long, value_name = "PATH")]
    at: Option<String>,
}

/// Compares two runs, or two steps of one run.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs diff 0199c1 @last\n  \
    spellflow runs diff @last --from 'each[0]/count' --to 'each[1]/count'")]
pub(super) struct Diff {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// The other run.
    #[arg(required_unless_present = "from")]
    other: Option<String>,
    /// Compare the output of the step at this path (or unique path suffix), and the state after it.
    #[arg(long, value_name = "PATH", requires = "to", conflicts_with = "other")]
    from: Option<String>,
    /// The path (or unique path suffix) of the step to compare with.
    #[arg(long, value_name = "PATH", requires = "from")]
    to: Option<String>,
}

impl State {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let known = app.wait(app.home().find(&self.run))?;
        let state = app.wait(executor(app)?.state(&known, self.at.as_deref()))?;
        let output = app.output();
        if output.is_text() {
            output.text(&show::value(&state));
        } else {
            output.payload(&state);
        }
        Ok(Exit::Ok)
    }
}

impl Diff {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let executor = executor(app)?;
        let (old, new) = match (&self.other, &self.from, &self.to) {
            (Some(other), ..) => (run_content(app, &executor, &self.run)?, run_content(app, &executor, other)?),
            (None, Some(from), Some(to)) => {
                (step_content(app, &executor, &self.run, from)?, step_content(app, &executor, &self.run, to)?)
            }
            _ => return Err(Failure::usage("name a second run, or use `--from` and `--to`")),
        };
        let output = app.output();
        if !output.is_text() {
            output.payload(&json!({"differences": differences(&old, &new)}));
        } else if old == new {
            output.note("no differences");
        } else {
            output.text(&difference::diff_texts(&value_to_yaml(&old), &value_to_yaml(&new)));
        }
        Ok(Exit::Ok)
    }
}

/// Returns the comparable content of a run: everything but times and ids.
fn run_content(app: &App, executor: &Executor, run: &str) -> Result<Value, Failure> {
    let home = app.home();
    let known = app.wait(home.find(run))?;
    let history = app.wait(home.history(&known))?;
    let state = app.wait(executor.state(&known, None))?;
    let steps = past_steps(&known, &history).map(|step| {
        let mut shown = json!({"status": step.status});
        if let Some(output) = step.output {
            shown["output"] = output.read().into_owned();
        }
        if let Some(error) = &step.error {
            shown["error"] = json!({"code": error.code, "message": error.message});
        }
        (step.path, shown)
    });
    let steps: serde_json::Map<String, Value> = steps.collect();
    Ok(json!({
        "workflow": known.summary.workflow, "version": known.summary.version, "status": known.status().as_str(),
        "input": history.started.input, "state": state, "steps": steps,
    }))
}

/// Returns the output of a step and the state after it.
fn step_content(app: &App, executor: &Executor, run: &str, path: &str) -> Result<Value, Failure> {
    let home = app.home();
    let known = app.wait(home.find(run))?;
    let path = app.wait(executor.find_step(&known, path))?;
    let history = app.wait(home.history(&known))?;
    let output = past_steps(&known, &history).find(|step| step.path == path).and_then(|step| step.output.cloned());
    let state = app.wait(executor.state(&known, Some(&path)))?;
    Ok(json!({"output": output, "state": state}))
}

/// Creates an executor, which knows the order and nesting of steps.
pub(super) fn executor(app: &App) -> Result<Executor, Failure> {
    Ok(Executor::new(app.home(), host::engine(app.config()?.settings())?))
}
