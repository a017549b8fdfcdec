//! Tests for unwritable output and for special files.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::support::Sandbox;

const FLOW: &str = "steps: [{id: a, type: set, with: {a: 1}}]\nname: x\n";

/// Runs `line` while every write to a file fails, as if the disk were full. Returns the exit code
/// and standard error.
fn on_full_disk(sandbox: &Sandbox, line: &str) -> (Option<i32>, String) {
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {} {line}", env!("CARGO_BIN_EXE_spellflow"));
    let mut command = Command::new("sh");
    let ended = command.args(["-c", &script]).current_dir(sandbox.path(".")).env("HOME", sandbox.path(".")).output();
    let ended = ended.unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn unwritable_output_is_an_error() {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    for line in ["fmt flow.yaml > out", "run flow.yaml -o json > out", "config show > out"] {
        let (code, err) = on_full_disk(&sandbox, line);
        assert_eq!(code, Some(1), "{line}: {err}");
        assert!(err.contains("could not write to standard output"), "{line}: {err}");
    }
}

#[test]
fn failed_rewrite_keeps_the_original_file() {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    let (code, err) = on_full_disk(&sandbox, "fmt --write flow.yaml");
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(sandbox.read("flow.yaml"), FLOW);
    assert_eq!(fs::read_dir(sandbox.path(".")).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn rewrite_keeps_permissions_and_links() {
    let sandbox = Sandbox::with("real.yaml", FLOW);
    fs::set_permissions(sandbox.path("real.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.yaml", sandbox.path("link.yaml")).unwrap();
    sandbox.run(&["fmt", "--write", "link.yaml"]).ok();
    assert!(fs::symlink_metadata(sandbox.path("link.yaml")).unwrap().is_symlink());
    assert_eq!(fs::metadata(sandbox.path("real.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(sandbox.read("real.yaml").contains("params: {a: 1}"));
}

/// The special file is a pipe, so reading it would block forever.
#[test]
fn special_files_in_a_folder_are_skipped() {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe.yaml")).status().unwrap().success());
    fs::create_dir(sandbox.path("folder.yaml")).unwrap();
    std::os::unix::fs::symlink("folder.yaml", sandbox.path("link.yaml")).unwrap();
    let report = sandbox.run(&["validate", ".", "-o", "json"]).ok().json();
    assert_eq!(report["files"].as_array().map(Vec::len), Some(1), "{report}");
}
