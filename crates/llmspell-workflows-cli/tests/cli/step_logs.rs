//! Tests for the output of steps: while a step runs, after a timeout, a cancellation or excessive
//! output, and from another process.

use std::{fs, process::Stdio};

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TIMEOUT, Terminal, json_of, newest_run, release_step, wait_until};

/// Writes a line, and waits for a line from the pipe `tell`.
const WORKS: &str = "
name: works
steps:
  - {id: one, type: shell, command: 'echo begin; echo up > alive; read told < tell; echo end; echo err >&2'}
  - {id: two, type: shell, command: 'echo two'}
";

fn start(sandbox: &Sandbox, arguments: &[&str]) -> Terminal {
    let alive = sandbox.pipe("alive");
    sandbox.make_pipe("tell");
    let terminal = Terminal::open(sandbox, arguments);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    terminal
}

/// Waits for the logs to contain `part`, because a process may have written `part` before
/// `spellflow` reads it.
fn logs_with(sandbox: &Sandbox, part: &str) -> String {
    wait_until(|| {
        let logs = sandbox.run(&["runs", "logs", "@last"]);
        assert_eq!(logs.code, 0, "{}", logs.stderr);
        logs.stdout.contains(part).then_some(logs.stdout)
    })
}

#[test]
fn running_step_output_is_shown_and_followed_from_a_second_terminal() {
    let sandbox = Sandbox::with_flow(WORKS);
    let first = start(&sandbox, &["run", "flow.yaml"]);
    assert_eq!(logs_with(&sandbox, "begin"), "/main/one, attempt 1: running\n  begin\n");
    let run = newest_run(&sandbox);
    let follow = Terminal::open(&sandbox, &["runs", "logs", &run, "-f"]);
    let json = Terminal::open(&sandbox, &["runs", "logs", &run, "--follow", "-o", "jsonl", "--step", "one"]);
    assert_eq!(follow.stdout.recv_timeout(TIMEOUT).as_deref(), Ok("/main/one | begin"));
    let line = json.stdout.recv_timeout(TIMEOUT).unwrap();
    let begin = json!({"event": "step.output", "path": "/main/one", "attempt": 1, "stream": "stdout", "line": "begin"});
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), begin);
    release_step(&sandbox);
    assert_eq!(first.end().0, Some(0));
    let (code, mut lines, stderr) = follow.end();
    // The two streams of a process are not ordered.
    lines.sort_unstable();
    assert_eq!(lines, ["/main/one ! err", "/main/one | end", "/main/two | two"]);
    assert_eq!((code, stderr), (Some(0), format!("completed {run}")));
    assert_eq!(json.end().1.len(), 2);
    let before = |lines: &str| sandbox.run(&["runs", "logs", &run, "-f", "--lines", lines, "--step", "one"]).stdout;
    assert_eq!(before("0"), "");
    let last = before("1");
    assert!(last.starts_with("/main/one | (2 lines not shown)\n/main/one ") && last.lines().count() == 2, "{last}");
    let refused = sandbox.run(&["runs", "logs", &run, "-f", "-o", "json"]);
    assert_eq!((refused.code, refused.stdout.contains("-o jsonl")), (2, true), "{}", refused.stdout);
}

#[test]
fn output_of_a_timed_out_step_is_kept() {
    let sandbox = Sandbox::with_flow(
        "name: slow\nsteps: [{id: a, type: shell, command: 'echo before; echo why >&2; sleep 1000', timeout: 300ms}]",
    );
    let ended = sandbox.run(&["run", "flow.yaml"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert!(logs.starts_with("/main/a, attempt 1: timed out: "), "{logs}");
    assert!(logs.contains("\n  before\n") && logs.contains("\n! why\n"), "{logs}");
    let entry = &json_of(&sandbox, &["runs", "logs", "@last"])[0];
    assert_eq!((&entry["status"], &entry["stdout"]), (&json!("timed_out"), &json!("before\n")));
}

#[test]
fn cancelled_step_output_is_kept_including_output_while_stopping() {
    let sandbox = Sandbox::with_flow(
        "name: long\nsteps: [{id: a, type: shell, command: 'trap \"echo stopping; exit 1\" TERM; echo begin; echo up > alive; sleep 1000 & wait'}]",
    );
    let first = start(&sandbox, &["run", "flow.yaml"]);
    assert_eq!(sandbox.run(&["cancel", "@last"]).code, 0);
    assert_eq!(first.end().0, Some(130));
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert_eq!(logs, "/main/a, attempt 1: cancelled\n  begin\n  stopping\n");
}

#[test]
fn first_and_last_lines_of_excessive_output_are_kept() {
    let sandbox = Sandbox::with_flow("name: floods\nsteps: [{id: a, type: shell, command: 'seq 100000; exit 3'}]");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    let lines: Vec<&str> = logs.lines().collect();
    assert_eq!(lines[..3], ["/main/a, attempt 1: exit code 3", "  1", "  2"]);
    assert_eq!(lines[500..503], ["  500", "  (99000 lines not kept)", "  99501"]);
    assert_eq!((lines.len(), lines[1001]), (1002, "  100000"));
    let last = sandbox.run(&["runs", "logs", "@last", "--lines", "1"]).stdout;
    assert!(last.contains("(999 earlier lines not shown; use `--lines` to show more)\n  100000\n"), "{last}");
    let entry = &json_of(&sandbox, &["runs", "logs", "@last"])[0];
    assert_eq!((&entry["lines_left_out"], &entry["exit_code"]), (&json!(99000), &json!(3)));
    let output = sandbox.path(".spellflow/output");
    let bytes: u64 = wait_until(|| Some(files(&output).iter().map(|file| fs::metadata(file).unwrap().len()).sum()));
    assert!(bytes < 512 * 1024, "{bytes} bytes");
}

#[test]
fn output_beyond_its_limit_is_logged() {
    let sandbox = Sandbox::with_flow("name: floods\nsteps: [{id: a, type: shell, command: 'echo first; yes'}]")
        .file("spellflow.toml", "tools.output_bytes_max = 100000\n");
    let ended = sandbox.run(&["run", "flow.yaml"]);
    assert!(ended.stderr.contains("output_too_large") && ended.stderr.contains("logs: spellflow runs logs"));
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert!(logs.starts_with("/main/a, attempt 1: failed: the process wrote more than 100000 bytes"), "{logs}");
    assert!(logs.contains("\n  first\n  y\n") && logs.contains(" lines not kept)\n"), "{logs}");
}

/// The log keeps more of a long line than the step's error; bytes kept in neither are counted.
#[test]
fn long_line_of_a_failed_step_is_shown_with_the_number_of_missing_bytes() {
    let sandbox = Sandbox::with_flow(
        "name: long\nsteps: [{id: a, type: shell, command: 'printf begin; printf %020000d 0; echo end; exit 3'}]",
    );
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert!(logs.contains("\n  begin0000") && logs.ends_with("(3624 more bytes of this line omitted)\n"), "{logs}");
    let output = sandbox.path(".spellflow/output");
    files(&output).iter().for_each(|file| fs::remove_file(file).unwrap());
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert!(logs.contains("\n  (15913 earlier bytes not kept; ") && logs.ends_with("000end\n"), "{logs}");
    let entry = &json_of(&sandbox, &["runs", "logs", "@last"])[0];
    assert_eq!(entry["stdout_bytes_left_out"], 15913, "{entry}");
}

/// On a full disk, not even the end of the log can be recorded.
#[test]
fn incomplete_log_reports_missing_lines() {
    let sandbox = Sandbox::with_flow(
        "name: slow\nsteps: [{id: a, type: shell, command: 'echo before; echo up > alive; exec sleep 1000'}]",
    );
    let first = start(&sandbox, &["run", "flow.yaml"]);
    logs_with(&sandbox, "before");
    assert_eq!(sandbox.run(&["cancel", "@last"]).code, 0);
    assert_eq!(first.end().0, Some(130));
    assert_eq!(sandbox.run(&["runs", "logs", "@last"]).stdout, "/main/a, attempt 1: cancelled\n  before\n");
    for file in files(&sandbox.path(".spellflow/output")) {
        let text = fs::read_to_string(&file).unwrap();
        let kept: String = text.split_inclusive('\n').filter(|line| !line.contains("\"end\"")).collect();
        assert_ne!(text, kept);
        fs::write(file, kept).unwrap();
    }
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert!(logs.contains("\n  before\n  (the end of the output was not logged: "), "{logs}");
    let entry = &json_of(&sandbox, &["runs", "logs", "@last"])[0];
    assert!(entry["log_error"].as_str().is_some_and(|error| error.contains("disk")), "{entry}");
}

/// A progress bar replaces its line after carriage returns.
#[test]
fn unfinished_line_is_shown_while_its_step_runs_and_after_a_crash() {
    let bar = "name: bar\nsteps:\n  - {id: a, type: shell, command: 'echo go; printf \"10 %%\\r20 %%\"; echo up > alive; \
               read told < tell; printf \" done\\r100 %%\\n\"; exit 1'}\n";
    let sandbox = Sandbox::with_flow(bar);
    let first = start(&sandbox, &["run", "flow.yaml", "--logs"]);
    assert_eq!(logs_with(&sandbox, "20 %"), "/main/a, attempt 1: running\n  go\n  20 %\n");
    let entry = &json_of(&sandbox, &["runs", "logs", "@last"])[0];
    assert_eq!((&entry["stdout"], &entry["lines_left_out"]), (&json!("go\n20 %"), &json!(0)));
    let follow = Terminal::open(&sandbox, &["runs", "logs", "@last", "-f"]);
    assert_eq!(follow.stdout.recv_timeout(TIMEOUT).as_deref(), Ok("/main/a | go"));
    release_step(&sandbox);
    let (_, _, stderr) = first.end();
    let streamed: Vec<&str> = stderr.lines().filter(|line| line.starts_with("/main/a |")).collect();
    assert_eq!(streamed, ["/main/a | go", "/main/a | 100 %"], "one line for the reader");
    assert_eq!(follow.end().1, ["/main/a | 100 %"]);
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert_eq!(logs, "/main/a, attempt 1: exit code 1\n  go\n  100 %\n");
    assert_eq!(files(&sandbox.path(".spellflow/output")).len(), 1, "only finished lines are left");

    ["alive", "tell"].iter().for_each(|pipe| fs::remove_file(sandbox.path(pipe)).unwrap());
    let killed = start(&sandbox, &["run", "flow.yaml"]);
    logs_with(&sandbox, "20 %");
    killed.kill();
    let logs = logs_with(&sandbox, "interrupted");
    assert_eq!(logs, "/main/a, attempt 1: interrupted\n  go\n  20 %\n");
    let followed = sandbox.run(&["runs", "logs", "@last", "-f"]).stdout;
    assert_eq!(followed, "/main/a | go\n/main/a | 20 %\n");
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn attempts_interrupted_by_a_process_exit_are_shown() {
    let sandbox = Sandbox::with_flow(
        "name: cut\nsteps: [{id: a, type: shell, command: 'echo try; test -e ok || { echo up > alive; exec sleep 1000; }'}]",
    );
    let alive = sandbox.pipe("alive");
    let first = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    logs_with(&sandbox, "try");
    first.kill();
    fs::write(sandbox.path("ok"), "").unwrap();
    assert_eq!(logs_with(&sandbox, "try"), "/main/a, attempt 1: interrupted\n  try\n");
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 0);
    let logs = sandbox.run(&["runs", "logs", "@last"]).stdout;
    assert_eq!(logs, "/main/a, attempt 1: interrupted\n  try\n/main/a, attempt 2: exit code 0\n  try\n");
}

#[test]
fn every_failure_names_the_command_that_shows_the_output() {
    let inner = "name: inner\nsteps: [{id: it, type: shell, command: 'echo inside; exit 1'}]";
    let outer = "name: outer\nsteps: [{id: it, type: shell, command: echo outside}, {id: sub, type: workflow, workflow: inner}]";
    let sandbox = Sandbox::with_flow(outer)
        .file("inner.yaml", inner)
        .file("silent.yaml", "name: silent\nsteps: [{id: a, type: shell, command: 'exit 1'}]");
    let ended = sandbox.run(&["run", "flow.yaml", "--store", "my store"]);
    let line = ended.stderr.lines().find_map(|line| line.trim().strip_prefix("logs: ")).expect("a command").to_owned();
    assert!(line.starts_with("spellflow --store 'my store' runs logs "), "{line}");
    assert!(line.ends_with(" --step /main/sub/main/it"), "{line}");
    let pasted = line.replacen("spellflow", env!("CARGO_BIN_EXE_spellflow"), 1);
    let mut shell = crate::support::without_settings(std::process::Command::new("sh"), &sandbox.path(""));
    let shown = CommandOutput::new(shell.args(["-c", &pasted]).stdin(Stdio::null()).output().unwrap());
    assert_eq!(shown.stdout, "/main/sub/main/it, attempt 1: exit code 1\n  inside\n", "{}", shown.stderr);
    let show = sandbox.run(&["runs", "show", "@last", "--store", "my store"]).stdout;
    assert!(show.contains(&format!("logs: {line}")), "{show}");
    let watch = sandbox.run(&["runs", "watch", "@last", "--store", "my store"]);
    assert!(watch.stderr.contains(&format!("logs: {line}")), "{}", watch.stderr);
    let silent = sandbox.run(&["run", "silent.yaml"]);
    assert!(!silent.stderr.contains("logs:"), "{}", silent.stderr);
}

/// Each line is prefixed with the path of its step, whichever command continues the run.
#[test]
fn logs_flag_streams_the_output_of_steps() {
    let sandbox = Sandbox::with_flow(
        "name: f\nsteps:\n  - {id: a, type: shell, command: 'printf \"\\033[31mred\\nplain\\n\"; echo err >&2'}\n  \
         - {id: w, type: wait_for_event, event: go}\n  - {id: b, type: shell, command: 'echo b; test -e ok'}\n",
    );
    let lines = |ended: &CommandOutput| -> Vec<String> {
        let mut lines: Vec<String> =
            ended.stderr.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let ran = sandbox.run(&["run", "flow.yaml", "--logs"]);
    assert_eq!(lines(&ran), ["/main/a ! err", "/main/a | \\u001b[31mred", "/main/a | plain"], "{}", ran.stderr);
    assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
    assert_eq!(lines(&sandbox.run(&["resume", "@last", "--logs"])), ["/main/b | b"]);
    assert_eq!(lines(&sandbox.run(&["retry", "@last", "--logs"])), ["/main/b~2 | b"]);
    let forked = sandbox.run(&["fork", "@last", "--from", "b", "--logs", "-o", "json"]);
    assert!(forked.stderr.starts_with("/main/b"), "{}", forked.stderr);
    let sandbox = sandbox.file("ends.yaml", "name: f\nsteps: [{id: a, type: shell, command: 'echo a'}]");
    assert_eq!(lines(&sandbox.run(&["run", "ends.yaml", "--in-memory", "--logs"])), ["/main/a | a"]);
    let events = sandbox.run(&["run", "flow.yaml", "--logs", "-o", "jsonl"]).stdout;
    assert!(
        events.contains(r#"{"event":"step.output","path":"/main/a","attempt":1,"stream":"stdout","line":"plain"}"#)
    );
}

#[test]
fn secrets_are_masked_in_streamed_and_kept_output() {
    let flow = "name: f\nsecrets: [KEY]\nsteps:\n  - {id: a, type: shell, env: {K: '{{ secrets.KEY }}'}, \
                command: 'echo \"$K\"; printf \"%s\" \"$K\" | base64 -w 20; echo up > alive; read told < tell; exit 1'}\n";
    let sandbox =
        Sandbox::with_flow(flow).file("spellflow.toml", "[secrets]\nKEY = { env = \"PLANTED\" }\n").file("x", "");
    let secret = "first-line-of-key\nsecond-line-of-key";
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("PLANTED", secret).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let alive = sandbox.pipe("alive");
    sandbox.make_pipe("tell");
    let first = run(&["run", "flow.yaml", "--logs"]).spawn().unwrap();
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    let logs = wait_until(|| {
        let logs = CommandOutput::new(run(&["runs", "logs", "@last"]).output().unwrap()).stdout;
        logs.contains("***").then_some(logs)
    });
    release_step(&sandbox);
    let ended = CommandOutput::new(first.wait_with_output().unwrap());
    for shown in [&logs, &ended.stderr] {
        for part in ["first-line-of-key", "second-line", "Zmlyc3QtbGluZS1vZi", "rZXkKc2Vjb25k"] {
            assert!(!shown.contains(part), "{part} in {shown}");
        }
    }
    let stored: String =
        files(&sandbox.path(".spellflow/output")).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(stored.contains("***") && !stored.contains("line-of-key"), "{stored}");
}

#[test]
fn deleted_run_leaves_no_output() {
    let sandbox = Sandbox::with_flow("name: f\nsteps: [{id: a, type: shell, command: 'echo a'}]");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    assert_eq!(files(&sandbox.path(".spellflow/output")).len(), 1);
    assert_eq!(sandbox.run(&["store", "backup", "copy"]).code, 0);
    assert_eq!(files(&sandbox.path("copy/output")).len(), 1);
    let deleted = sandbox.run(&["runs", "delete", "@last"]);
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    assert_eq!(files(&sandbox.path(".spellflow/output")).len(), 0);
}
