//! Numbers and bytes from outside arrive unchanged, or the program reports that they cannot.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, newest_run};

const NUMBER: &str = "123456789012345678901234567890";

/// The largest and the smallest supported integer, and their unsupported neighbours.
const KEPT: [&str; 3] = ["18446744073709551615", "-9223372036854775808", "9007199254740993"];
const REFUSED: [&str; 3] = ["18446744073709551616", "-9223372036854775809", NUMBER];

const INPUT: &str = "name: given\ninputs: {n: {required: true}}\nsteps: [{id: a, type: set, params: {n: '{{ n }}'}}]\n";

/// Runs a definition with a number written in every possible notation.
fn ways(number: &str) -> Vec<(&'static str, Sandbox, CommandOutput)> {
    let object = format!("{{\"n\": {number}}}");
    let with_flow = |flow: &str| Sandbox::with_flow(flow).file("input.json", &object);
    let step = |params: &str| format!("name: f\nsteps: [{{id: a, type: set, params: {{n: {params}}}}}]\n");
    let tool = |params: &str| {
        format!(
            "name: f\nsteps: [{{id: q, tool: json_processor, params: {{{params}}}}}]\noutputs: {{n: '{{{{ q.result }}}}'}}\n"
        )
    };
    let shell = "name: f\nsteps:\n  - {id: s, type: shell, command: cat input.json}\noutputs: {n: '{{ parse_json(s.stdout).n }}'}\n";
    let lines = tool(&format!("operation: stream, input: '{number}'")).replace("q.result", "q.results[0]");
    let flows = [
        ("YAML", step(number)),
        ("literal", step(&format!("'{{{{ {number} }}}}'"))),
        ("parse_json", step(&format!("\"{{{{ parse_json('[{number}]')[0] }}}}\""))),
        ("number", step(&format!("\"{{{{ number('{number}') }}}}\""))),
        ("process", shell.to_owned()),
        ("text of a tool", tool(&format!("operation: query, query: .n, input: '{object}'"))),
        ("lines of a tool", lines),
    ];
    let mut ways: Vec<_> =
        flows.into_iter().map(|(way, flow)| (way, with_flow(&flow), vec!["run", "flow.yaml"])).collect();
    ways.push(("@file", with_flow(INPUT), vec!["run", "flow.yaml", "--input", "@input.json"]));
    let mut ran: Vec<_> = ways
        .into_iter()
        .map(|(way, sandbox, mut arguments)| {
            arguments.extend(["--in-memory", "-o", "json"]);
            let ended = sandbox.run(&arguments);
            (way, sandbox, ended)
        })
        .collect();
    let sandbox = with_flow(INPUT);
    let given = format!("n:={number}");
    let ended = sandbox.run(&["run", "flow.yaml", "--input", &given, "--in-memory", "-o", "json"]);
    ran.push(("--input", sandbox, ended));
    let sandbox = with_flow(INPUT);
    let ended = sandbox.run_with_stdin(&["run", "flow.yaml", "--input", "@-", "--in-memory", "-o", "json"], &object);
    ran.push(("standard input", sandbox, ended));
    ran
}

#[test]
fn every_integer_in_range_is_kept_exactly() {
    for number in KEPT {
        for (way, _sandbox, ended) in ways(number) {
            assert_eq!(ended.code, 0, "{way} {number}: {}{}", ended.stdout, ended.stderr);
            assert_eq!(ended.json()["output"]["n"].to_string(), number, "{way}");
        }
    }
}

#[test]
fn error_names_an_out_of_range_integer_in_every_notation() {
    for number in REFUSED {
        for (way, _sandbox, ended) in ways(number) {
            assert_ne!(ended.code, 0, "{way} {number}: {}", ended.stdout);
            let said = format!("{}{}", ended.stdout, ended.stderr);
            let is_named = said.contains(number) && said.contains("too large to be represented exactly");
            assert!(is_named, "{way} {number}: {said}");
        }
    }
}

#[test]
fn messages_to_a_run_keep_integers_or_are_rejected() {
    let flow = "name: w\nsteps: [{id: a, event: go}]\noutputs: {n: '{{ a }}'}\n";
    let sandbox = Sandbox::with_flow(flow);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    let refused = sandbox.run(&["signal", &run, "go", "--data", NUMBER]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains(&format!("`{NUMBER}` at line 1 column 1 is too large")), "{}", refused.stderr);
    assert_eq!(sandbox.run(&["signal", &run, "go", "--data", KEPT[0]]).code, 0);
    let resumed = sandbox.run(&["resume", &run, "-o", "json"]);
    assert!(resumed.stdout.contains(KEPT[0]), "{}{}", resumed.stdout, resumed.stderr);
    let resolve = sandbox.run(&["resolve", &run, "a", "--completed", NUMBER]);
    assert_eq!(resolve.code, 2);
    assert!(resolve.stderr.contains("is too large to be represented exactly"), "{}", resolve.stderr);
}

#[test]
fn ranges_of_large_integers_have_the_right_length() {
    let flow = "name: ranges\nsteps:\n  \
        - {id: a, type: loop, range: {start: 1704067200000000000, end: 1704067200000000100}, steps: [{id: x, type: set, params: {v: '{{ loop.item }}'}}]}\n  \
        - {id: b, type: loop, range: {start: 18446744073709551605, end: 18446744073709551615}, steps: [{id: x, type: set, params: {v: '{{ loop.item }}'}}]}\n\
        outputs: {a: '{{ a.iterations }}', b: '{{ b.iterations }}', last: '{{ b.results[9].v }}'}\n";
    let ended = Sandbox::with_flow(flow).run(&["run", "flow.yaml", "--in-memory", "-o", "json"]);
    let expected = json!({"a": 100, "b": 10, "last": 18_446_744_073_709_551_614_u64});
    assert_eq!(ended.json()["output"], expected, "{}", ended.stderr);
}

#[test]
fn non_utf8_output_is_base64_in_results_and_readable_in_logs() {
    let flow = "name: bytes\nsteps:\n  \
        - {id: a, type: shell, command: 'printf \"a\\377\\000b\\303\\n\"; echo err >&2'}\n  \
        - {id: b, type: shell, stdin: '{{ a.stdout }}', command: 'base64 -d | wc -c'}\n\
        outputs: {type: '{{ a.stdout_type }}', errors: '{{ a.stderr_type }}', bytes: '{{ b.stdout | trim }}'}\n";
    let sandbox = Sandbox::with_flow(flow);
    let ended = sandbox.run(&["run", "flow.yaml", "-o", "json"]);
    let expected = json!({"type": "base64", "errors": "text", "bytes": "6"});
    assert_eq!(ended.json()["output"], expected, "{}", ended.stderr);
    let logs = sandbox.run(&["runs", "logs", "@last", "--step", "a"]).stdout;
    assert_eq!(logs, "/main/a, attempt 1: exit code 0\n  a\u{fffd}\\u0000b\u{fffd}\n! err\n");
    let data = sandbox.run(&["runs", "logs", "@last", "--step", "a", "-o", "json"]).json();
    assert_eq!((&data[0]["stdout"], &data[0]["stdout_type"]), (&json!("Yf8AYsMK"), &json!("base64")));
}

#[test]
fn errors_name_the_value_that_no_process_can_accept() {
    let flow = "name: long\nsteps:\n  \
        - {id: make, type: shell, command: 'head -c 200000 /dev/zero | tr \"\\0\" a'}\n  \
        - {id: use, type: shell, command: 'true', env: {TEXT: '{{ make.stdout }}'}}\n";
    let ended = Sandbox::with_flow(flow).run(&["run", "flow.yaml", "--in-memory"]);
    assert_eq!(ended.code, 1);
    let message = "the variable `TEXT` is too long, with 200000 bytes;";
    assert!(ended.stderr.contains(message) && ended.stderr.contains("as `stdin`"), "{}", ended.stderr);
}

#[test]
fn error_and_help_name_an_exhausted_retry_budget() {
    let flow = "name: budget\nmax_retry_budget: 3\nsteps:\n  - id: p\n    type: parallel\n    steps:\n      \
        - {id: a, type: shell, command: 'exit 1', retry: {strategy: immediate, max_attempts: 5}}\n      \
        - {id: b, type: shell, command: 'exit 1', retry: {strategy: immediate, max_attempts: 5}}\n";
    let ended = Sandbox::with_flow(flow).run(&["run", "flow.yaml", "--in-memory"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("the workflow's `max_retry_budget` of 3 is used up"), "{}", ended.stderr);
    assert!(ended.stderr.contains("help: raise `max_retry_budget`"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("`retries: 2`"), "{}", ended.stderr);
}

#[test]
fn compressed_response_is_never_treated_as_text() {
    let gzip =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\x56\xaa\x52\xb2\x32\xac\x05\x00\x3c\x0a\x2b\x41\x07\x00\x00\x00";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let lines = stream.by_ref().lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let length = gzip.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.get_mut().write_all(&[head.as_bytes(), gzip].concat()).unwrap();
        }
    });
    let flow = format!(
        "name: x\nsteps:\n  - {{id: a, type: http, url: 'http://{host}/'}}\n  \
         - {{id: b, type: shell, stdin: '{{{{ a.body }}}}', command: 'base64 -d | gzip -d'}}\n\
         outputs: {{type: '{{{{ a.body_type }}}}', body: '{{{{ b.stdout | parse_json }}}}'}}\n"
    );
    let ended =
        Sandbox::with_flow(&flow).run(&["run", "flow.yaml", "--in-memory", "-o", "json", "--allow-host", &host]);
    assert_eq!(ended.json()["output"], json!({"type": "base64", "body": {"z": 1}}), "{}", ended.stderr);
}

#[test]
fn export_with_an_integer_out_of_range_is_not_imported() {
    let sandbox = Sandbox::with_flow(INPUT);
    assert_eq!(sandbox.run(&["run", "flow.yaml", "--input", "n:=12345"]).code, 0);
    let exported = sandbox.run(&["runs", "export", "@last", "--file", "run.json"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let text = fs::read_to_string(sandbox.path("run.json")).unwrap();
    let changed = Sandbox::new().file("run.json", &text.replace("12345", NUMBER));
    let refused = changed.run(&["runs", "import", "run.json", "-o", "json"]);
    let error: &Value = &refused.json()["error"];
    assert!(error["message"].as_str().unwrap().contains("too large to be represented exactly"), "{error}");
}
