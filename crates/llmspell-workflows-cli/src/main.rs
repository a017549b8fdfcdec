//! `spellflow`, the command line of llmspell-workflows.
//!
//! [`cli`] says what can be typed, `commands` has one file per command, [`app`] holds what they share: the
//! [configuration](config), the [`output`], the engine. A command returns the process's [`Exit`] or a
//! [`Failure`], which is shown in one place.

mod app;
mod cli;
mod commands;
mod config;
mod difference;
#[cfg(test)]
mod docs;
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
mod workflow_test;

use std::process::ExitCode;

pub(crate) use {app::App, exit::Exit, failure::Failure};

fn main() -> ExitCode {
    cli::main().into()
}
