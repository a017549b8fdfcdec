//! Secrets are neither stored nor shown.

use std::{fs, path::Path};

use crate::support::Sandbox;

const PLANTED: &str = "planted-5ecret-c0ffee";

/// Passes a secret to processes that print it, and to processes that fail with it and are retried.
/// Also puts the secret into the state, names and outputs.
const FLOW: &str = "
name: leaky
secrets: [TOKEN]
steps:
  - {id: prints, type: shell, command: 'echo \"out $TOKEN\"; echo \"err $TOKEN\" >&2', env: {TOKEN: '{{ secrets.TOKEN }}'}}
  - {id: keeps, type: set, params: {token: '{{ secrets.TOKEN }}', 'x': '{{ prints.stdout }}'}}
  - {id: named, name: 'step {{ secrets.TOKEN }}', type: set, params: {y: 1}}
  - id: fails
    type: shell
    command: 'echo \"no $TOKEN\" >&2; exit 3'
    env: {TOKEN: '{{ secrets.TOKEN }}'}
    retry: {max_attempts: 3, strategy: immediate}
    on_error: {steps: [{id: told, type: set, params: {why: '{{ error.message }}'}}]}
  - {id: undone, type: shell, command: 'echo $TOKEN', env: {TOKEN: '{{ secrets.TOKEN }}'}, compensate: {type: shell, command: 'echo {{ output.stdout | shell_quote }} {{ input.command | shell_quote }}'}}
  - {id: waits, type: wait_for_event, event: go}
  - {id: breaks, type: shell, command: 'echo \"$TOKEN\"; echo \"$TOKEN\" >&2; exit 1', env: {TOKEN: '{{ secrets.TOKEN }}'}}
";

fn sandbox() -> Sandbox {
    Sandbox::with_flow(FLOW).file("spellflow.toml", "[secrets]\nTOKEN = { env = \"PLANTED\" }\n")
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> crate::support::CommandOutput {
    let mut command = sandbox.command(arguments);
    command.env("PLANTED", PLANTED).stdin(std::process::Stdio::null());
    crate::support::CommandOutput::new(command.output().unwrap())
}

/// Returns every file below `folder` that contains the secret.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path));
        } else if fs::read(&path).unwrap().windows(PLANTED.len()).any(|bytes| bytes == PLANTED.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn planted_secret_is_never_stored_or_shown() {
    let sandbox = sandbox();
    let waiting = run(&sandbox, &["run", "flow.yaml", "-o", "jsonl"]);
    assert_eq!(waiting.code, 5, "{}{}", waiting.stdout, waiting.stderr);
    // The event ends the wait; the remaining steps then fail and are compensated.
    assert_eq!(run(&sandbox, &["signal", "@last", "go"]).code, 0);
    let ended = run(&sandbox, &["resume", "@last"]);
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let shown = run(&sandbox, &["runs", "show", "@last", "-o", "json"]);
    assert_eq!(shown.json()["status"], "compensated", "{}", shown.stdout);
    let is_compensated =
        shown.json()["steps"].as_array().unwrap().iter().any(|step| step["path"] == "/main/undone/$undo");
    assert!(is_compensated, "{}", shown.stdout);
    let text = run(&sandbox, &["runs", "show", "@last"]);
    for ended in [&waiting, &ended, &shown, &text] {
        assert!(!ended.stdout.contains(PLANTED) && !ended.stderr.contains(PLANTED), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains("***") || ended.stderr.contains("***"), "{}{}", ended.stdout, ended.stderr);
    }
    assert_eq!(leaks(&sandbox.path(".spellflow")), Vec::<String>::new());
}

#[test]
fn recording_a_secret_is_rejected() {
    let event =
        "name: leaky\nsecrets: [TOKEN]\nsteps:\n  - {id: a, type: wait_for_event, event: 'for {{ secrets.TOKEN }}'}\n";
    let sandbox = || sandbox();
    let named = sandbox().file("flow.yaml", event);
    let ended = run(&named, &["run", "flow.yaml"]);
    assert!(ended.code == 1 && ended.stderr.contains("contains the secret `TOKEN`"), "{}", ended.stderr);
    assert_eq!(leaks(&named.path(".spellflow")), Vec::<String>::new());
    // The items of a loop are masked too.
    let each = "name: leaky\nsecrets: [TOKEN]\nsteps:\n  - {id: a, type: loop, items: ['{{ secrets.TOKEN }}'], steps: [{id: b, type: set, params: {x: '{{ loop.item }}'}}]}\n";
    let looped = sandbox().file("flow.yaml", each);
    assert_eq!(run(&looped, &["run", "flow.yaml"]).code, 0);
    assert_eq!(leaks(&looped.path(".spellflow")), Vec::<String>::new());
    let sent = sandbox();
    assert_eq!(run(&sent, &["run", "flow.yaml"]).code, 5);
    let refused = run(&sent, &["signal", "@last", "go", "--data", &format!("\"{PLANTED}\"")]);
    assert!(refused.code == 2 && refused.stderr.contains("contains the secret `TOKEN`"), "{}", refused.stderr);
    assert_eq!(leaks(&sent.path(".spellflow")), Vec::<String>::new());
    let sandbox = sandbox();
    let given = run(&sandbox, &["run", "flow.yaml", "--input", &format!("token={PLANTED}")]);
    assert!(given.stderr.contains("the input would be recorded, but contains the secret `TOKEN`"), "{}", given.stderr);
    assert_eq!(leaks(&sandbox.path(".spellflow")), Vec::<String>::new());
}
