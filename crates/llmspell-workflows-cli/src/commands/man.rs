use std::{fs, path::PathBuf};

use clap::Args;

use crate::{App, Exit, Failure};

/// Prints the manual page, or writes one page per command.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow man | man -l -\n  \
        spellflow man --to ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write a page for each command into this folder.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl Man {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let Some(folder) = self.to else {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(crate::cli::command()).render(&mut page);
            rendered.expect("writing to a Vec cannot fail");
            app.output().text(&String::from_utf8_lossy(&page));
            return Ok(Exit::Ok);
        };
        fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
        let written = clap_mangen::generate_to(crate::cli::command(), &folder);
        written.map_err(|error| Failure::file("write manual pages to", &folder, &error))?;
        app.output().note(&format!("wrote the manual pages to {}", folder.display()));
        Ok(Exit::Ok)
    }
}
