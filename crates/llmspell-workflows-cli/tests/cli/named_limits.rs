//! Named limits that apply across several processes.

use std::{fs, process::Stdio};

use crate::support::{Sandbox, Terminal, exit_code, wait_until};

/// The first step that acquires the limit keeps it until `go` exists. Every other step fails if it
/// begins before `killed` exists.
const FLOW: &str = r#"
name: limited
concurrency: {api: 1}
steps:
  - id: a
    type: shell
    limits: [api]
    command: |
      if mkdir first 2>/dev/null; then while ! test -e go; do sleep 0.05; done; fi
      test -e killed
"#;

#[test]
fn killed_process_releases_its_permit() {
    let sandbox = Sandbox::with_flow(FLOW);
    let first = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    wait_until(|| sandbox.path("first").exists().then_some(()));
    let second = sandbox.command(&["run", "flow.yaml", "-o", "json"]).stdout(Stdio::null()).spawn().unwrap();
    // The second process counts the holders once its run has begun.
    wait_until(|| (sandbox.run(&["runs", "list", "-o", "json"]).json().as_array().unwrap().len() == 2).then_some(()));
    fs::write(sandbox.path("killed"), "").unwrap();
    first.kill();
    assert_eq!(exit_code(second), Some(0));
    fs::write(sandbox.path("go"), "").unwrap();
}
