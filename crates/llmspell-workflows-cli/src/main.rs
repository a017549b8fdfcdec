//! `spellflow`, the command line of llmspell-workflows.
//!
//! [`cli`] defines the arguments, `commands` has one file per command, and [`app`] contains the
//! state shared by all commands: the [configuration](config), the [`output`] and the store. A
//! command returns the process's [`Exit`] code or a [`Failure`], which is reported in one place.

mod app;
mod cli;
mod commands;
mod completion;
mod config;
mod difference;
#[cfg(test)]
mod docs;
mod escape;
mod exit;
mod failure;
mod folders;
mod graph;
mod host;
mod logs;
mod outline;
mod output;
#[cfg(test)]
mod reference;
mod replace;
mod report;
mod screen;
mod show;
mod source;
mod sub_workflows;
mod table;
mod templates;
mod watch;
mod width;
mod workflow_test;

use std::process::ExitCode;

pub(crate) use {app::App, exit::Exit, failure::Failure};

fn main() -> ExitCode {
    cli::main().into()
}
