//! Only our own styling reaches the terminal, regardless of the content of definitions, runs,
//! arguments and file names.

use std::fs;

use crate::support::{CommandOutput, Sandbox, newest_run};

/// A text that tries to color, retitle, move and hide parts of the screen, with control characters
/// of one and two bytes and with direction changes.
const HOSTILE: &str = "\u{1b}[35mZ\u{1b}]0;t\u{7}\u{8}\rX\u{7f}\u{9b}35m\u{90}\u{202e}\u{2066}";

/// The styling used by this program.
const OWN: [&str; 11] = ["0", "1", "2", "32", "33", "34", "36", "1;31", "1;33", "1;32", "31"];

/// Returns `HOSTILE` as a quoted string that is valid in YAML, JSON and TOML.
fn quoted() -> String {
    let escaped = |c: char| if c.is_control() || c as u32 > 0x7f { format!("\\u{:04x}", c as u32) } else { c.into() };
    format!("\"{}\"", HOSTILE.chars().map(escaped).collect::<String>())
}

fn hostile_flow() -> String {
    r#"
name: hostile
description: H
author: H
tags: [H]
inputs:
  text: {type: string, default: H, description: H}
variables: {v: H}
conditions: {c: "text == 'x'"}
steps:
  - {id: sets, type: set, params: {x: H, y: {H: [H]}}}
  - {id: says, type: shell, command: 'cat; cat file >&2', stdin: H}
  - {id: fails, type: shell, command: 'cat file >&2; exit 1', on_error: continue}
  - {id: missing, type: shell, argv: [H], on_error: continue}
  - {id: cwd, type: shell, command: 'true', cwd: H, on_error: continue}
  - {id: skipped, type: set, params: {a: H}, condition: c}
  - id: loops
    type: loop
    items: [H, H]
    steps: [{id: inner, type: set, params: {x: "{{ loop.item }}"}}]
  - {id: reads, type: tool, tool: file_operations, params: {operation: read, path: H}, on_error: continue}
  - {id: hashes, type: tool, tool: file_operations, params: {operation: exists, path: H}}
  - {id: valid, type: validate, data: {a: H}, schema: {properties: {a: {enum: [H, 1], pattern: "^a"}}}, on_error: continue}
  - {id: waits, type: wait_for_event, event: H}
  - {id: last, type: set, params: {out: H}}
outputs: {result: H, list: [{a: H, b: 1}]}
"#
    .replace('H', &quoted())
}

/// Returns a definition with problems; their messages and excerpts repeat parts of its text.
fn invalid_flow() -> String {
    r#"
name: bad
H: 1
steps:
  - {id: a, type: H, H: 2}
  - {id: b, type: tool, tool: H}
  - {id: c, type: set, condition: H, depends_on: [H]}
  - {id: "\u202e", type: set, params: {a: '{{ H }}'}}
"#
    .replace('H', &quoted())
}

fn workflow_test() -> String {
    r#"
workflow: ends.yaml
cases:
  - name: H
    mocks: {"shell:": {output: {stdout: H}}, "tool:file_operations": {error: {code: x, message: H}}}
    expect: {output: {result: H, list: H}, steps: {says: {output: {a: H}}, reads: {error: {message: other}}}}
  - name: H2
    mocks: {"shell:": {error: H}}
    expect: {output: H, order: [last, sets]}
"#
    .replace('H', &quoted())
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_flow(&hostile_flow()).file("invalid.yaml", &invalid_flow());
    // Like `flow.yaml`, but does not wait.
    let ends: String =
        hostile_flow().lines().filter(|line| !line.contains("waits")).map(|line| format!("{line}\n")).collect();
    let sandbox = sandbox
        .file("ends.yaml", &ends)
        .file("flow.test.yaml", &workflow_test())
        .file("file", HOSTILE)
        .file("home/x", "");
    fs::write(sandbox.path(&format!("{HOSTILE}.yaml")), "name: [\n").unwrap();
    sandbox
}

/// Panics if `text` contains a control character that a terminal would obey, except our own
/// styling.
fn assert_harmless(text: &str, allows_styling: bool, about: &str) {
    let mut rest = text.to_owned();
    if allows_styling {
        for code in OWN {
            rest = rest.replace(&format!("\u{1b}[{code}m"), "");
        }
    }
    let hostile = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(at) = rest.find(hostile) {
        let start = rest[..at].char_indices().rev().nth(40).map_or(0, |(at, _)| at);
        panic!("{about}: {:?}", &rest[start..rest.len().min(at + 1).max(at)]);
    }
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> CommandOutput {
    let output = sandbox.command(arguments).stdin(std::process::Stdio::null()).output().unwrap();
    CommandOutput::new(output)
}

/// Runs each of `commands` in every format, with and without colors.
fn assert_all_harmless(sandbox: &Sandbox, commands: &[&[&str]]) {
    for command in commands {
        for format in [&[][..], &["-o", "json"], &["-o", "jsonl"], &["-o", "yaml"], &["--color", "always", "-vv"]] {
            let arguments = [command, format].concat();
            let ended = run(sandbox, &arguments);
            let about = format!("{arguments:?} with code {}", ended.code);
            let styled = format.contains(&"always");
            assert_harmless(&ended.stdout, styled, &about);
            assert_harmless(&ended.stderr, styled, &about);
            assert!(!ended.stdout.is_empty() || !ended.stderr.is_empty(), "{about}: nothing was shown");
            if format.contains(&"json") && !ended.stdout.is_empty() && ended.stdout.starts_with(['{', '[']) {
                ended.json();
            }
        }
    }
}

#[test]
fn no_command_prints_control_characters_from_a_definition() {
    let hostile_file = format!("{HOSTILE}.yaml");
    assert_all_harmless(
        &sandbox(),
        &[
            &["validate", "flow.yaml"],
            &["validate", "invalid.yaml"],
            &["validate", &hostile_file],
            &["validate", "."],
            &["validate", HOSTILE],
            &["fmt", "flow.yaml"],
            &["fmt", "--check", "flow.yaml", "invalid.yaml", &hostile_file],
            &["plan", "flow.yaml"],
            &["plan", "invalid.yaml"],
            &["graph", "flow.yaml"],
            &["graph", "flow.yaml", "--format", "dot"],
            &["graph", "flow.yaml", "--format", "mermaid"],
            &["test", "flow.test.yaml"],
            &["test", "flow.test.yaml", "--case", HOSTILE],
            &["run", "ends.yaml", "--in-memory"],
            &["run", "invalid.yaml"],
            &["run", &hostile_file],
            &["run", HOSTILE],
            &["run", "flow.yaml", "--input", &format!("{HOSTILE}={HOSTILE}")],
            &["run", "flow.yaml", "--env", HOSTILE],
        ],
    );
}

#[test]
fn no_command_prints_control_characters_from_arguments_and_settings() {
    let sandbox = sandbox();
    assert_all_harmless(
        &sandbox,
        &[
            &[HOSTILE],
            &["run", "--nope", HOSTILE],
            &["run", &format!("--{HOSTILE}")],
            &["tools", "show", HOSTILE],
            &["tools", "call", "file_operations", "--input", "operation=read", "--input", &format!("path={HOSTILE}")],
            &["tools", "call", "file_operations", "--input", "operation=list_dir", "--input", "path=."],
            &["runs", "show", HOSTILE],
            &["signal", HOSTILE, HOSTILE, "--data", HOSTILE],
            &["init", HOSTILE],
            &["config", "show", "--config", HOSTILE],
            &["store", "stats", "--store", HOSTILE],
            &["store", "verify", "--store", HOSTILE],
            &["runs", "import", &format!("{HOSTILE}.yaml")],
        ],
    );
    fs::write(
        sandbox.path("spellflow.toml"),
        format!("environment = {0}\n[secrets]\n{0} = {{ env = {0} }}\n", quoted()),
    )
    .unwrap();
    assert_all_harmless(&sandbox, &[&["config", "show", "--origin"], &["doctor"], &["plan", "flow.yaml"]]);
    fs::write(sandbox.path("spellflow.toml"), format!("{} = 1\n", quoted())).unwrap();
    assert_all_harmless(&sandbox, &[&["config", "show"], &["doctor"], &["plan", "flow.yaml"]]);
}

#[test]
fn no_command_prints_control_characters_from_a_run() {
    let sandbox = sandbox();
    for ended in [run(&sandbox, &["run", "flow.yaml", "-v"]), run(&sandbox, &["run", "flow.yaml", "--color", "always"])]
    {
        assert_eq!(ended.code, 5, "{}", ended.stderr);
        let styled = ended.stderr.contains("\u{1b}[0m");
        assert_harmless(&ended.stderr, styled, "run");
    }
    let id = newest_run(&sandbox);
    let shows: Vec<Vec<&str>> = vec![
        vec!["runs", "list"],
        vec!["runs", "show", &id],
        vec!["runs", "events", &id],
        vec!["runs", "logs", &id],
        vec!["runs", "state", &id],
        vec!["runs", "diff", &id, &id],
        vec!["runs", "export", &id],
        vec!["runs", "watch", &id],
        vec!["store", "stats"],
        vec!["store", "verify"],
        vec!["signal", &id, HOSTILE, "--data", "\u{1b}"],
        vec!["resume", &id],
    ];
    let shows: Vec<&[&str]> = shows.iter().map(Vec::as_slice).filter(|show| show[1] != "watch").collect();
    assert_all_harmless(&sandbox, &shows);
    let ended = run(&sandbox, &["signal", &id, HOSTILE, "--data", &quoted()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_harmless(&ended.stderr, false, "signal");
    assert_all_harmless(&sandbox, &[&["resume", &id]]);
    let after = &shows[..10.min(shows.len())];
    assert_all_harmless(&sandbox, after);
    assert_all_harmless(
        &sandbox,
        &[&["runs", "watch", &id], &["rerun", &id], &["fork", &id, "--from", "fails"], &["retry", &id]],
    );
}

#[test]
fn escaped_output_for_programs_keeps_its_meaning() {
    let sandbox =
        Sandbox::with_flow(&format!("name: f\nsteps:\n  - {{id: a, type: set, params: {{x: {}}}}}\n", quoted()));
    let json = run(&sandbox, &["run", "flow.yaml", "--in-memory", "-o", "json"]);
    assert_eq!(json.json()["output"]["x"], HOSTILE);
    let canonical = run(&sandbox, &["fmt", "flow.yaml"]).stdout;
    fs::write(sandbox.path("flow.yaml"), &canonical).unwrap();
    let again = run(&sandbox, &["run", "flow.yaml", "--in-memory", "-o", "json"]);
    assert_eq!(again.json()["output"]["x"], HOSTILE, "{canonical}");
}

#[test]
fn suggested_commands_work_if_the_path_contains_spaces() {
    let steps = "name: f\nsteps:\n  - {id: a, type: set, params: {x: 1}}\n  - {id: b, command: exit 1}\n";
    let sandbox = Sandbox::new().file("my flow's.yaml", steps);
    for arguments in [&["validate"][..], &["plan"], &["run", "--in-memory"]] {
        let shown = sandbox.run(&[arguments, &["my flow's.yaml"]].concat());
        let line = shown
            .stderr
            .lines()
            .find_map(|line| line.split_once("next: "))
            .unwrap_or_else(|| panic!("{}", shown.stderr));
        let words = line.1.split("   (").next().unwrap().replacen("spellflow", "printf '%s|'", 1);
        let output = std::process::Command::new("sh").args(["-c", &words]).output().unwrap();
        let passed = String::from_utf8(output.stdout).unwrap();
        assert!(passed.starts_with("run|my flow's.yaml|"), "{arguments:?}: {words} passes {passed}");
    }
}
