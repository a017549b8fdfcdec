//! The examples of `examples/README.md` do what that page says, as processes in a folder of their own.

mod agent_loop;
mod api_fan_out;
mod build_pipeline;
mod invoice_wait;
mod order_saga;
mod orders_etl;
mod page;
mod sub_workflows;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Ended, Place, without_settings};

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").canonicalize().unwrap()
}

/// A folder with the example `name` in it, in which its commands work as a reader pastes them.
fn place_with(name: &str) -> Place {
    let place = Place::new();
    copy(&examples().join(name), &place.path("examples").join(name));
    place
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Runs `line` in a shell that finds `spellflow`.
fn shell(place: &Place, line: &str) -> Ended {
    let program = Path::new(env!("CARGO_BIN_EXE_spellflow")).parent().unwrap().to_owned();
    let paths = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let paths = env::join_paths([program].into_iter().chain(paths)).unwrap();
    let mut command = without_settings(Command::new("sh"), &place.path(""));
    command.args(["-c", line]).env("PATH", paths).env("HOME", place.path("home")).env_remove("XDG_CONFIG_HOME");
    Ended::new(command.stdin(Stdio::null()).output().unwrap())
}

/// Runs the commands that the page shows for the example `name`, one after the other: each prints what the page says.
fn follow_the_page(place: &Place, name: &str) {
    follow(place, name, |command| command);
}

/// As [`follow_the_page`], each command with a change.
fn follow(place: &Place, name: &str, change: impl Fn(String) -> String) {
    for shown in page::commands(&examples().join("README.md"), name) {
        let ended = shell(place, &change(shown.command.clone()));
        shown.check(&ended.stdout, &ended.stderr);
    }
}
