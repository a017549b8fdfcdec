//! Tests for log lines on standard error: levels, filters, formats, and the fields of runs and
//! steps.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{CommandOutput, Sandbox, Terminal, assert_error, newest_run, wait_until};

const FLOW: &str = "
name: greeting
steps:
  - {id: hello, type: shell, command: 'echo hello'}
  - {id: flaky, type: shell, command: 'test -e there || { touch there; exit 3; }', retries: {max_retries: 1, initial_delay: 1ms}}
";

/// Parses the log lines of a run that writes JSON to both standard output and standard error.
fn log(ended: &CommandOutput) -> Vec<Value> {
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.json()["status"], "completed", "standard output contains only the result");
    let lines = ended.stderr.lines();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn logged(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let arguments = ["run", "flow.yaml", "-o", "json", "--log-format", "json"].iter().chain(arguments);
    log(&sandbox.run(&arguments.copied().collect::<Vec<_>>()))
}

/// Finds a field in the spans of a log line, innermost first.
fn field<'l>(line: &'l Value, name: &str) -> Option<&'l Value> {
    line["spans"].as_array()?.iter().rev().find_map(|span| span.get(name))
}

fn messages<'l>(lines: &'l [Value], target: &str) -> Vec<&'l str> {
    let of_target = lines.iter().filter(|line| line["target"] == target);
    of_target.map(|line| line["message"].as_str().unwrap()).collect()
}

#[test]
fn run_logs_nothing_by_default() {
    assert_eq!(logged(&Sandbox::with_flow(FLOW), &[]), Vec::<Value>::new());
}

#[test]
fn each_verbosity_level_logs_more() {
    let lines: Vec<Vec<Value>> =
        ["-v", "-vv", "-vvv"].iter().map(|flag| logged(&Sandbox::with_flow(FLOW), &[flag])).collect();
    for run in &lines {
        assert_eq!(messages(run, "llmspell_workflows::run"), ["started", "completed"]);
    }
    let levels = |run: &[Value]| -> Vec<String> {
        let mut levels: Vec<_> = run.iter().map(|line| line["level"].as_str().unwrap().to_owned()).collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    };
    assert_eq!(levels(&lines[0]), ["INFO"]);
    assert_eq!(levels(&lines[1]), ["DEBUG", "INFO"]);
    assert_eq!(levels(&lines[2]), ["DEBUG", "INFO", "TRACE"]);
    assert!(messages(&lines[2], "llmspell_workflows::journal").contains(&"synced"), "commits are traced");
}

#[test]
fn step_log_lines_contain_workflow_run_path_and_attempt() {
    let sandbox = Sandbox::with_flow(FLOW);
    let lines = logged(&sandbox, &["-vv"]);
    let run = newest_run(&sandbox);
    let of_steps: Vec<_> = lines.iter().filter(|line| line["target"] == "llmspell_workflows::step").collect();
    assert!(!of_steps.is_empty());
    for line in &of_steps {
        assert_eq!(field(line, "workflow").unwrap(), "greeting", "{line}");
        assert_eq!(field(line, "run").unwrap(), &run, "{line}");
        assert!(field(line, "path").is_some(), "{line}");
    }
    let hello = of_steps.iter().find(|line| field(line, "path").unwrap() == "/main/hello").unwrap();
    assert_eq!(field(hello, "attempt").unwrap(), 1);
    let retried = of_steps.iter().find(|line| field(line, "path").unwrap() == "/main/flaky" && line["attempt"] == 1);
    assert!(retried.unwrap()["message"].as_str().unwrap().starts_with("retrying at "), "{retried:?}");
}

#[test]
fn log_variable_filters_by_target_and_is_overridden_by_a_flag() {
    let run = |filter: &str, flags: &[&str]| {
        let sandbox = Sandbox::with_flow(FLOW);
        let mut command = sandbox.command(&["run", "flow.yaml", "-o", "json", "--log-format", "json"]);
        command.args(flags).env("SPELLFLOW_LOG", filter).stdin(Stdio::null());
        CommandOutput::new(command.output().unwrap())
    };
    let lines = log(&run("off,llmspell_workflows::step=debug", &[]));
    assert!(!lines.is_empty() && lines.iter().all(|line| line["target"] == "llmspell_workflows::step"), "{lines:?}");
    assert_eq!(messages(&log(&run("off", &["-v"])), "llmspell_workflows::run"), ["started", "completed"]);
    let refused = run("debgu", &[]);
    assert_error(&refused, 2, "invalid_configuration");
    assert!(refused.stdout.contains("SPELLFLOW_LOG"), "{}", refused.stdout);
}

#[test]
fn text_log_lines_are_colored_only_on_request() {
    for (flags, is_painted) in [(&[][..], false), (&["--color", "always"], true), (&["--color", "never"], false)] {
        let sandbox = Sandbox::with_flow(FLOW);
        let ended = sandbox.run(&[&["run", "flow.yaml", "-o", "json", "-v"][..], flags].concat());
        assert!(ended.stderr.contains("llmspell_workflows::run"), "{}", ended.stderr);
        assert_eq!(ended.stderr.contains('\u{1b}'), is_painted, "{flags:?}: {}", ended.stderr);
        assert!(ended.json()["status"] == "completed");
    }
}

#[test]
fn resume_after_a_kill_logs_the_takeover() {
    let sandbox = Sandbox::with_flow(
        "{name: long, steps: [{id: wait, type: shell, command: 'test -e there || { touch there; sleep 600; }'}]}",
    );
    let terminal = Terminal::open(&sandbox, &["run", "flow.yaml", "-o", "jsonl"]);
    wait_until(|| sandbox.path("there").exists().then_some(()));
    terminal.kill();
    let lines = log(&sandbox.run(&["resume", "@last", "-v", "-o", "json", "--log-format", "json"]));
    let journal = messages(&lines, "llmspell_workflows::journal");
    assert_eq!(journal, ["took over the log of a process that ended", "resumed"]);
    let resumed = lines.iter().find(|line| line["message"] == "resumed").unwrap();
    assert_eq!(field(resumed, "run").unwrap(), &newest_run(&sandbox));
    assert_eq!(messages(&lines, "llmspell_workflows::run"), ["started", "completed"]);
}
