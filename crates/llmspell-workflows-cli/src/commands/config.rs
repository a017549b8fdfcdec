use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::{App, Exit, Failure, output::Paint};

/// Shows the configuration.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow config show\n  \
        spellflow config show --origin -o json")]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists every setting that has a value.
    Show {
        /// Show where each value comes from: a flag, a variable, a file or the default.
        #[arg(long)]
        origin: bool,
    },
}

impl Config {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let Command::Show { origin } = self.command;
        let config = app.config()?;
        if app.output().is_text() {
            app.output().text(&text(app, config, origin));
        } else {
            let shown = config.shown().map(|(key, value, from)| {
                let value = if origin { json!({"value": value, "origin": from.to_string()}) } else { value };
                (key.to_owned(), value)
            });
            app.output().payload(&Value::Object(shown.collect::<Map<_, _>>()));
        }
        Ok(Exit::Ok)
    }
}

/// Renders the settings as lines for `spellflow.toml`.
fn text(app: &App, config: &crate::config::Config, with_origin: bool) -> String {
    let mut text = String::new();
    for (key, value, origin) in config.shown() {
        text += &format!("{key} = {value}");
        if with_origin {
            text += &app.output().on_out(Paint::Dim, &format!("  # {origin}"));
        }
        text.push('\n');
    }
    text
}
