//! The examples in `examples/README.md` behave as described there; each runs in its own folder.

mod agent_loop;
mod api_fan_out;
mod build_pipeline;
mod invoice_wait;
mod order_saga;
mod orders_etl;
pub(crate) mod page;
mod sub_workflows;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{CommandOutput, Sandbox, without_settings};

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").canonicalize().unwrap()
}

/// Creates a sandbox with the example `name`, in which its commands work when pasted.
fn sandbox_with(name: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    copy(&examples().join(name), &sandbox.path("examples").join(name));
    sandbox
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

/// Runs `line` in a shell with `spellflow` in its `PATH`.
pub(crate) fn shell(sandbox: &Sandbox, line: &str) -> CommandOutput {
    let program = Path::new(env!("CARGO_BIN_EXE_spellflow")).parent().unwrap().to_owned();
    let paths = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let paths = env::join_paths([program].into_iter().chain(paths)).unwrap();
    let mut command = without_settings(Command::new("sh"), &sandbox.path(""));
    command.args(["-c", line]).env("PATH", paths).env("HOME", sandbox.path("home")).env_remove("XDG_CONFIG_HOME");
    CommandOutput::new(command.stdin(Stdio::null()).output().unwrap())
}

/// Runs the commands shown on the page for the example `name`, and compares their output with the
/// page.
fn check_readme(sandbox: &Sandbox, name: &str) {
    check_readme_with(sandbox, name, |command| command);
}

/// Like [`check_readme`], but changes each command first.
fn check_readme_with(sandbox: &Sandbox, name: &str, change: impl Fn(String) -> String) {
    for shown in page::commands(&examples().join("README.md"), name) {
        let ended = shell(sandbox, &change(shown.command.clone()));
        shown.check(&ended.stdout, &ended.stderr);
    }
}
