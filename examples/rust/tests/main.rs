//! The Rust examples behave as described in `examples/README.md`; each runs in a separate process.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod axum_service;
#[path = "../../../crates/llmspell-workflows-cli/tests/cli/gallery/page.rs"]
mod page;
mod service;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Returns the program of the example `name`, which `cargo test` builds before it runs any test.
fn program(name: &str) -> PathBuf {
    let tests = env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is missing: run `cargo build --examples`", program.display());
    program
}

/// Runs the commands shown on the page for the example `name`, and compares their output with the
/// page.
fn check_readme(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    for shown in page::commands(&page, name) {
        let arguments = shown.command.strip_prefix(&format!("cargo run --example {name}")).unwrap_or_else(|| {
            panic!("`{}` should begin with `cargo run --example {name}`", shown.command);
        });
        let arguments = arguments.split_whitespace().filter(|argument| *argument != "--");
        let mut command = Command::new(program(name));
        let output = command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
        shown.check(&String::from_utf8(output.stdout).unwrap(), &String::from_utf8(output.stderr).unwrap());
    }
}

#[test]
fn code_first_output_matches_the_readme() {
    check_readme("code_first");
}

#[test]
fn hooks_output_matches_the_readme() {
    check_readme("hooks");
}

#[test]
fn crash_everywhere_output_matches_the_readme() {
    check_readme("crash_everywhere");
}
