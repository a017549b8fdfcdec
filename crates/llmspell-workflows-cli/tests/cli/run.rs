//! `spellflow run`, as used by people and by programs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::json;

use crate::support::{CommandOutput, Sandbox, normalize};

const GREET: &str = "
name: greet
version: 1.2.0
inputs:
  name: {type: string, default: you}
  times: {type: integer, default: 1}
steps:
  - id: hello
    type: shell
    command: echo \"hello $WHO\"
    env: {WHO: '{{ name }}'}
  - id: again
    type: loop
    range: {start: 0, end: '{{ times }}'}
    steps:
      - {id: count, type: set, params: {n: '{{ loop.index }}'}}
  - id: never
    type: set
    params: {x: 1}
    condition: times > 5
outputs:
  greeting: '{{ hello.stdout | trim }}'
  rows: [{part: a, size: 1}, {part: b, size: 22}]
";

#[test]
fn text_output_has_one_event_per_line_and_the_result() {
    let ended = Sandbox::with_flow(GREET).run(&["run", "flow.yaml"]);
    assert_eq!(
        (ended.code, normalize(&ended.stderr).as_str()),
        (
            0,
            "\
→ started   /main/hello  (shell)
✓ completed /main/hello  TIME
→ started   /main/again  (loop)
→ started   /main/again[0]  (sequence)
→ started   /main/again[0]/count  (set)
✓ completed /main/again[0]/count  TIME
✓ completed /main/again[0]  TIME
✓ completed /main/again  TIME
– skipped   /main/never  the condition `times > 5` is false
✓ completed greet in TIME: 4 steps, 1 skipped
"
        )
    );
    let table = "greeting: hello you\nrows:\n  part  size\n  ────  ────\n  a        1\n  b       22\n";
    assert_eq!(ended.stdout, table);
}

#[test]
fn json_output_is_one_object() {
    let flow = "name: two\nversion: 0.1.0\nsteps:\n  - {id: a, name: First, type: set, params: {x: 1}}\n  - {id: b, type: set, params: {x: 2}, condition: 'x > 1'}\n";
    let ended = Sandbox::with_flow(flow).run(&["run", "flow.yaml", "-o", "json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let mut report = ended.json();
    // Measurements differ from run to run.
    let measured = report["metrics"].as_object_mut().unwrap();
    let eight = [
        "execution_time_ms",
        "step_latency_ms",
        "parallel_efficiency",
        "resource_utilization",
        "error_rate",
        "recovery_time_ms",
        "throughput",
        "cost_efficiency_ms",
    ];
    for name in eight.iter().chain(&["duration_ms"]) {
        assert!(measured.remove(*name).is_some(), "{name}");
    }
    let (run, took) = (report["run_id"].take(), report["steps"][0]["duration_ms"].take());
    assert!(run.is_string() && took.is_number());
    let expected = json!({
        "run_id": null, "workflow": "two", "version": "0.1.0", "status": "completed", "output": {"x": 1},
        "error": null, "later_errors": [], "children": [], "waits": [], "warnings": [],
        "execution_path": ["/main/a"],
        "steps": [
            {
                "path": "/main/a", "name": "First", "status": "completed", "attempts": 1, "duration_ms": null,
                "output": {"x": 1}, "error": null, "skip_reason": null,
            },
            {
                "path": "/main/b", "name": null, "status": "skipped", "attempts": 0, "duration_ms": null,
                "output": null, "error": null,
                "skip_reason": {"code": "condition_false", "message": "the condition `x > 1` is false"},
            },
        ],
        "metrics": {"steps_executed": 1, "steps_skipped": 1, "retries": 0},
    });
    assert_eq!(report, expected);
}

#[test]
fn jsonl_output_is_events_followed_by_the_run() {
    let sandbox = Sandbox::with_flow(GREET);
    let ended = sandbox.run(&["run", "flow.yaml", "-o", "jsonl"]);
    let lines: Vec<serde_json::Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events.first(), Some(&"run.started"));
    assert_eq!(events.last(), Some(&"run.completed"));
    assert!(events.contains(&"step.skipped") && events.contains(&"loop.items"), "{events:?}");
    assert_eq!(lines[0]["run_id"], lines[lines.len() - 1]["run_id"]);
    assert_eq!(lines[lines.len() - 1]["output"]["greeting"], "hello you");
}

#[test]
fn yaml_output_is_one_document() {
    let ended = Sandbox::with_flow("name: x\nsteps: [{id: a, type: set, params: {x: 'yes'}}]").run(&[
        "run",
        "flow.yaml",
        "-o",
        "yaml",
    ]);
    assert!(ended.stdout.contains("\nstatus: completed\n") && ended.stdout.contains("x: \"yes\""), "{}", ended.stdout);
}

#[test]
fn inputs_come_from_arguments_and_files() {
    let sandbox = Sandbox::with_flow(GREET).file("in.json", r#"{"name": "Grace", "times": 2}"#);
    for (arguments, greeting, times) in [
        (vec!["--input", "name=Ada"], "hello Ada", 1),
        (vec!["--input", "name=Ada", "--input", "times:=3"], "hello Ada", 3),
        (vec!["--input", "@in.json"], "hello Grace", 2),
        (vec!["--input", "@in.json", "--input", "name=Ada"], "hello Ada", 2),
    ] {
        let ended = sandbox.run(&[&["run", "flow.yaml", "-o", "json"], arguments.as_slice()].concat());
        let report = ended.json();
        assert_eq!(report["output"]["greeting"], greeting, "{arguments:?}");
        assert_eq!(report["steps"][1]["output"]["iterations"], times, "{arguments:?}");
    }
}

#[test]
fn definition_or_input_is_read_from_standard_input() {
    let sandbox = Sandbox::with_flow(GREET);
    let ended = sandbox.run_with_stdin(&["run", "-", "-o", "json"], GREET);
    assert_eq!(ended.json()["output"]["greeting"], "hello you");
    let ended = sandbox.run_with_stdin(&["run", "flow.yaml", "--input", "@-", "-o", "json"], r#"{"name": "Ada"}"#);
    assert_eq!(ended.json()["output"]["greeting"], "hello Ada");
}

#[test]
fn errors_have_an_exit_code_and_help() {
    let sandbox = Sandbox::with_flow(GREET).file(
        "bad.yaml",
        "name: x\nsteps:\n  - {id: a, type: tool, tool: file_serch, params: {pattern: x, path: .}}\n",
    );
    for (arguments, code, error, help) in [
        (vec!["run", "flow.yml"], 4, "file_not_found", "did you mean `flow.yaml`?"),
        (vec!["run", "bad.yaml"], 3, "invalid_definition", ""),
        (vec!["run", "flow.yaml", "--input", "nme=x"], 2, "invalid_input", ""),
        (vec!["run", "flow.yaml", "--input", "times=3"], 2, "invalid_input", "KEY:=JSON"),
        (vec!["run", "flow.yaml", "--input", "times"], 2, "usage", "KEY=TEXT"),
        (vec!["run", "flow.yaml", "--timeout", "soon"], 2, "usage", "--help"),
        (vec!["run", "flow.yaml", "--timeout", "0"], 2, "usage", "--help"),
        (vec!["run", "flow.yaml", "--start-step", "nobody"], 2, "unknown_starting_step", ""),
        (vec!["run", "flow.yaml", "--env", "production"], 2, "unknown_environment", ""),
        (vec!["run", "flow.yaml", "--root", "nowhere"], 2, "root_unavailable", "read_roots"),
        (vec!["run"], 2, "usage", "--help"),
    ] {
        let ended = sandbox.run(&[arguments.as_slice(), &["-o", "json"]].concat());
        let shown = ended.json();
        assert_eq!((ended.code, &shown["error"]["code"]), (code, &json!(error)), "{arguments:?}");
        assert_eq!(shown["error"]["retryable"], false);
        assert!(shown["error"]["help"].as_str().unwrap_or_default().contains(help), "{arguments:?}: {shown}");
    }
}

#[test]
fn invalid_definition_is_shown_with_source_lines() {
    let flow =
        "name: x\nsteps:\n  - id: find\n    type: tool\n    tool: file_serch\n    params: {pattern: x, path: .}\n";
    let sandbox = Sandbox::with_flow(flow);
    let ended = sandbox.run(&["run", "flow.yaml"]);
    assert_eq!(ended.stdout, "");
    assert_eq!(
        ended.stderr,
        "\
error[unknown_tool]: unknown tool `file_serch`
  --> flow.yaml:5:11 (/main/find)
   |
 5 |     tool: file_serch
   |           ^^^^^^^^^^
   = help: did you mean `file_search`?

error: `flow.yaml` is not a valid workflow: 1 problem
"
    );
    let diagnostics = sandbox.run(&["run", "flow.yaml", "-o", "json"]).json();
    assert_eq!(diagnostics["error"]["files"][0]["diagnostics"][0]["line"], 5);
}

#[test]
fn failed_step_is_reported_with_output_help_and_next_command() {
    let flow = "name: x\nsteps:\n  - {id: a, type: set, params: {x: 1}}\n  - {id: b, type: shell, command: 'echo one >&2; echo two >&2; exit 3'}\n";
    let ended = Sandbox::with_flow(flow).run(&["run", "flow.yaml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    let shown = normalize(&ended.stderr);
    let (_, end) = shown.split_at(shown.find("✗ failed x").unwrap());
    assert_eq!(
        end,
        "\
✗ failed x in TIME: 2 steps
error[process_failed]: the process ended with exit code 3: two
  --> /main/b, attempt 1
   | one
   | two
  help: `allow_failure: true` accepts any exit code as a result
  logs: spellflow runs logs RUN --step /main/b
  next: spellflow retry RUN
"
    );
    let report = Sandbox::with_flow(flow).run(&["run", "flow.yaml", "-o", "json"]).json();
    let error = json!({
        "code": "process_failed", "class": "transient", "path": "/main/b", "retryable": true,
        "message": "the process ended with exit code 3: two", "errors": [], "cause": null,
    });
    assert_eq!((&report["status"], &report["error"]), (&json!("failed"), &error));
}

#[test]
fn start_step_skips_earlier_steps() {
    let flow = "name: x\nsteps:\n  - {id: a, type: shell, command: exit 1}\n  - {id: b, type: set, params: {x: 1}}\n";
    let report = Sandbox::with_flow(flow).run(&["run", "flow.yaml", "--start-step", "b", "-o", "json"]).json();
    assert_eq!(report["steps"][0]["skip_reason"]["code"], "before_starting_step");
    assert_eq!(report["output"], json!({"x": 1}));
}

#[test]
fn environment_and_secrets_are_applied_and_secrets_are_masked() {
    let flow = "
name: x
secrets: [TOKEN]
variables: {where: here}
environments: {production: {where: there}}
steps:
  - {id: a, type: shell, command: 'echo \"$T\"', env: {T: '{{ secrets.TOKEN }}'}}
  - {id: b, type: set, params: {where: '{{ variables.where }}'}}
";
    let sandbox = Sandbox::with_flow(flow).file("spellflow.toml", "[secrets]\nTOKEN = { env = \"MY_TOKEN\" }\n");
    let missing = sandbox.run(&["run", "flow.yaml", "-o", "json"]).json();
    assert_eq!(missing["error"]["code"], "missing_secret");
    assert!(missing["error"]["help"].as_str().unwrap().contains("`MY_TOKEN`"), "{missing}");
    let run = |arguments: &[&str]| {
        let output = sandbox.command(arguments).env("MY_TOKEN", "hunter2").output().unwrap();
        CommandOutput::new(output)
    };
    let report = run(&["run", "flow.yaml", "--env", "production", "-o", "json"]);
    assert!(!report.stdout.contains("hunter2"), "{}", report.stdout);
    assert_eq!(report.json()["steps"][0]["output"]["stdout"], "***\n");
    assert_eq!(report.json()["output"]["where"], "there");
}

#[test]
fn timeouts_stop_runs_and_steps() {
    let sandbox = Sandbox::with_flow("name: x\nsteps: [{id: wait, type: sleep, duration: 1h}]");
    let ended = sandbox.run(&["run", "flow.yaml", "--timeout", "50ms", "-o", "json"]);
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (6, &json!("run_timed_out")));
    let sandbox = Sandbox::with_flow("name: x\nsteps: [{id: wait, type: sleep, duration: 1h, timeout: 50ms}]");
    let ended = sandbox.run(&["run", "flow.yaml", "-o", "json"]);
    assert_eq!((ended.code, &ended.json()["error"]["class"]), (1, &json!("timeout")));
}

#[test]
fn private_host_requires_allow_host() {
    let outside = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let lines = stream.by_ref().lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi").unwrap();
        }
    });
    let sandbox = Sandbox::with_flow(&format!("name: x\nsteps: [{{id: get, type: http, url: 'http://{host}/'}}]"));
    let report = sandbox.run(&["run", "flow.yaml", "-o", "json", "--allow-host", &host]).json();
    assert_eq!((&report["output"]["status"], &report["output"]["body"]), (&json!(200), &json!("hi")), "{report}");
    let ended = sandbox.run(&["run", "flow.yaml"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("`--allow-host HOST` lets tools connect to the host"), "{}", ended.stderr);
    // A run keeps its permissions, except in another store.
    let sandbox = Sandbox::with_flow(&format!(
        "name: x\nsteps: [{{id: go, event: go}}, {{id: get, type: http, url: 'http://{host}/'}}, {{id: read, type: tool, tool: \
         file_operations, params: {{operation: read, path: {}/note}}}}]",
        outside.path().display()
    ));
    std::fs::write(outside.path().join("note"), "text").unwrap();
    let root = outside.path().to_str().unwrap();
    assert_eq!(sandbox.run(&["run", "flow.yaml", "--allow-host", &host, "--root", root]).code, 5);
    assert_eq!(sandbox.run(&["runs", "export", "@last", "--file", "run.json"]).code, 0);
    assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
    for command in [&["resume", "@last"][..], &["fork", "@last", "--from", "get"]] {
        let ended = sandbox.run(command);
        assert_eq!(ended.code, 0, "{command:?}: {}", ended.stderr);
    }
    assert_eq!(sandbox.run(&["runs", "import", "run.json", "--store", "other"]).code, 0);
    assert_eq!(sandbox.run(&["signal", "@last", "go", "--store", "other"]).code, 0);
    let ended = sandbox.run(&["resume", "@last", "--store", "other", "-o", "json"]);
    assert_eq!(ended.json()["error"]["code"], "host_refused", "{}", ended.stdout);
}
