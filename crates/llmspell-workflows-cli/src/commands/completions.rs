use clap::Args;
use clap_complete::Shell;

use crate::{App, Exit, Failure};

/// Prints a shell completion script.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow completions bash > ~/.local/share/bash-completion/completions/spellflow\n  \
        spellflow completions fish > ~/.config/fish/completions/spellflow.fish\n  \
        spellflow completions zsh > ~/.zfunc/_spellflow")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut crate::cli::command(), "spellflow", &mut text);
        app.output().text(&String::from_utf8_lossy(&text));
        Ok(Exit::Ok)
    }
}
