use clap::{Args, builder::PossibleValuesParser};

use crate::{App, Exit, Failure, completion};

/// Prints a shell completion script, which also completes runs, steps, tools and workflow files.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow completions bash > ~/.local/share/bash-completion/completions/spellflow\n  \
        spellflow completions fish > ~/.config/fish/completions/spellflow.fish\n  \
        spellflow completions zsh > ~/.zfunc/_spellflow")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_parser = PossibleValuesParser::new(completion::shells()))]
    shell: String,
}

impl Completions {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let unknown = || Failure::usage(format!("no completion script is available for `{}`", self.shell));
        app.output().text(&completion::script(&self.shell).ok_or_else(unknown)?);
        Ok(Exit::Ok)
    }
}
