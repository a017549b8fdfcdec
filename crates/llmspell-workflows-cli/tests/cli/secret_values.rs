//! Steps work with the values of secrets, but nothing written or shown by a run contains a secret
//! in any form.

use std::{fs, path::Path, process::Stdio};

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox};

const TOKEN: &str = "tok'n/+ \"SeCrEt\"=12";
const KEY: &str = "-----BEGIN-----\nMIIabcSECRETLINE\n-----END-----";

pub(crate) const CONFIG: &str = "[secrets]\nTOKEN = { env = \"THE_TOKEN\" }\nKEY = { env = \"THE_KEY\" }\n";

/// Parts of both secrets in every form; none of them may appear anywhere.
const PARTS: [&str; 9] = [
    "SeCrEt",
    "SECRETLINE",
    // The token, percent-encoded, as JSON inside JSON, and in base64: alone, after "u:" and
    // after "xy:".
    "tok%27n",
    "tok'n",
    "dG9rJ24v",
    "b2snbi8r",
    "0b2snbi8",
    "rJ24vKyAi",
    // The key in base64.
    "TUlJYWJjU0VDUkVU",
];

fn flow(steps: &str) -> Sandbox {
    let text = format!("name: f\nsecrets: [TOKEN, KEY]\nsteps:\n{steps}");
    Sandbox::with_flow(&text).file("spellflow.toml", CONFIG)
}

fn run_with(sandbox: &Sandbox, token: &str, arguments: &[&str]) -> CommandOutput {
    let mut command = sandbox.command(arguments);
    command.env("THE_TOKEN", token).env("THE_KEY", KEY).stdin(Stdio::null());
    CommandOutput::new(command.output().unwrap())
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> CommandOutput {
    run_with(sandbox, TOKEN, arguments)
}

/// Returns every file below `folder` that contains one of `parts`, and that part.
pub(crate) fn leaks(folder: &Path, parts: &[impl AsRef<str>]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path, parts));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let has = |part: &&str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
        found.extend(parts.iter().map(AsRef::as_ref).filter(has).map(|part| format!("{part} in {}", path.display())));
    }
    found
}

fn assert_hidden(sandbox: &Sandbox, what: &str, outputs: &[&CommandOutput]) {
    for output in outputs {
        for part in PARTS {
            let shown = format!("{}{}", output.stdout, output.stderr);
            assert!(!shown.contains(part), "{what}: {part} in {shown}");
        }
    }
    assert_eq!(leaks(&sandbox.path(".spellflow"), &PARTS), Vec::<String>::new(), "{what}");
}

/// Places where a secret may appear, each with a step that puts it there.
pub(crate) const PLACES: [(&str, &str); 27] = [
    (
        "the output of a process",
        "  - {id: a, type: shell, command: 'printf %s \"$T\"', env: {T: '{{ secrets.TOKEN }}'}}\n",
    ),
    (
        "one line of it",
        "  - {id: a, type: shell, command: 'printf %s \"$K\" | sed -n 2p', env: {K: '{{ secrets.KEY }}'}}\n",
    ),
    (
        "stdin as JSON",
        "  - {id: a, type: shell, command: cat, stdin: {k: '{{ secrets.KEY }}', t: ['{{ secrets.TOKEN }}']}}\n",
    ),
    (
        "JSON in JSON",
        "  - {id: a, tool: json_processor, params: {operation: query, input: {k: '{{ secrets.TOKEN }}'}, query: '.k | tojson | tojson'}}\n",
    ),
    (
        "base64",
        "  - {id: a, type: shell, command: 'printf %s \"$T\" | base64; printf %s \"$K\" | base64', env: {T: '{{ secrets.TOKEN }}', K: '{{ secrets.KEY }}'}}\n",
    ),
    (
        "base64 of more",
        "  - {id: a, type: shell, command: 'printf %s \"u:$T\" | base64; printf %s \"xy:$T!\" | base64', env: {T: '{{ secrets.TOKEN }}'}}\n",
    ),
    ("shell quotes", "  - {id: a, type: shell, command: 'echo {{ secrets.TOKEN | shell_quote | shell_quote }}'}\n"),
    ("a timeout", "  - {id: a, type: shell, timeout: '{{ secrets.TOKEN }}', command: 'true'}\n"),
    ("a total timeout", "  - {id: a, type: shell, total_timeout: '{{ secrets.TOKEN }}', command: 'true'}\n"),
    (
        "an error of a process",
        "  - {id: a, type: shell, command: 'echo \"$T\" >&2; exit 3', env: {T: '{{ secrets.TOKEN }}'}}\n",
    ),
    (
        "a long error that is cut",
        "  - {id: a, type: shell, command: 'printf \"%s\" \"$T\"; head -c 4080 /dev/zero | tr \"\\\\0\" x; exit 3', env: {T: '{{ secrets.TOKEN }}'}}\n",
    ),
    ("an unknown program", "  - {id: a, type: shell, argv: ['{{ secrets.TOKEN }}']}\n"),
    ("a working directory", "  - {id: a, type: shell, command: 'true', cwd: 'x/{{ secrets.TOKEN }}'}\n"),
    (
        "attempts",
        "  - {id: a, type: shell, command: 'echo \"$T\" >&2; exit 3', env: {T: '{{ secrets.TOKEN }}'}, retry: {max_attempts: 3, strategy: immediate}}\n",
    ),
    (
        "the state",
        "  - {id: a, type: set, params: {t: '{{ secrets.TOKEN }}', l: ['{{ secrets.KEY }}']}}\n  - {id: b, type: set, params: {u: '{{ state.t }}{{ a.l[0] }}'}}\n",
    ),
    ("a name", "  - {id: a, name: 'x {{ secrets.TOKEN }}', type: set, params: {t: 1}}\n"),
    (
        "a field name",
        "  - {id: a, type: shell, command: 'cat', stdin: {x: '{{ secrets.TOKEN }}'}}\n  - {id: b, tool: json_processor, params: {operation: query, input: {k: '{{ secrets.TOKEN }}'}, query: '{(.k): {(.k): 1}}'}}\n",
    ),
    (
        "the items of a loop",
        "  - {id: a, type: loop, items: ['{{ secrets.TOKEN }}', '{{ secrets.KEY }}'], steps: [{id: b, type: set, params: {x: '{{ loop.item }}'}}]}\n",
    ),
    (
        "no items of a loop",
        "  - {id: a, type: loop, items: '{{ secrets.TOKEN ?? 1 }}', steps: [{id: b, type: set, params: {x: 1}}]}\n",
    ),
    (
        "a condition",
        "  - {id: a, type: set, condition: '{{ secrets.TOKEN + 1 > 2 }}', params: {x: 1}}\n  - {id: b, type: set, condition: '{{ nothing[secrets.TOKEN] }}', params: {x: 1}}\n",
    ),
    ("an expression", "  - {id: a, type: set, params: {x: '{{ state[secrets.TOKEN].y }}'}}\n"),
    (
        "an address",
        "  - {id: a, tool: http_requester, params: {input: 'http://u:{{ secrets.TOKEN | url_encode }}@127.0.0.1:1/{{ secrets.TOKEN | url_encode }}?t={{ secrets.TOKEN | url_encode }}'}}\n",
    ),
    (
        "a header",
        "  - {id: a, tool: http_requester, params: {input: 'http://127.0.0.1:1/', headers: {Authorization: 'Bearer {{ secrets.KEY }}'}}}\n",
    ),
    (
        "parameters of a tool",
        "  - {id: a, tool: json_processor, params: {operation: '{{ secrets.TOKEN }}', input: '{{ secrets.KEY }}', query: '{{ secrets.TOKEN }}'}}\n",
    ),
    ("a check", "  - {id: a, type: validate, data: '{{ secrets.TOKEN }}', schema: {type: integer, enum: [1]}}\n"),
    (
        "a handler",
        "  - {id: a, type: shell, command: 'echo \"$T\" >&2; exit 3', env: {T: '{{ secrets.TOKEN }}'}, on_error: {steps: [{id: h, type: set, params: {e: '{{ error }}'}}]}}\n",
    ),
    (
        "a compensation",
        "  - {id: a, type: shell, command: 'echo \"$T\"', env: {T: '{{ secrets.TOKEN }}'}, compensate: {type: shell, command: 'echo {{ output.stdout | shell_quote }} {{ input.env.T | shell_quote }}'}}\n  - {id: b, type: shell, command: 'exit 1'}\n",
    ),
];

#[test]
fn no_form_of_a_secret_reaches_the_store_the_log_or_the_terminal() {
    std::thread::scope(|scope| {
        for some in PLACES.chunks(PLACES.len().div_ceil(4)) {
            scope.spawn(|| some.iter().for_each(|(place, steps)| check_place(place, steps)));
        }
    });
}

fn check_place(place: &str, steps: &str) {
    let sandbox = flow(&format!("{steps}finally: [{{id: z, type: set, params: {{k: '{{{{ secrets.KEY }}}}'}}}}]\n"));
    let ran = run(&sandbox, &["-vvv", "run", "flow.yaml", "-o", "json"]);
    assert!(!ran.stderr.contains("invalid_definition") && ran.code < 2, "{place}: {}{}", ran.stdout, ran.stderr);
    let shown = run(&sandbox, &["runs", "show", "@last"]);
    let events = run(&sandbox, &["runs", "events", "@last"]);
    let export = run(&sandbox, &["runs", "export", "@last"]);
    assert!(shown.code < 2 && export.code == 0, "{place}: {}{}", shown.stderr, export.stderr);
    assert_hidden(&sandbox, place, &[&ran, &shown, &events, &export]);
    // The run and its records were not empty, because something was masked.
    assert!(export.stdout.contains("***"), "{place}: {}", export.stdout);
}

#[test]
fn data_between_steps_is_complete_and_keeps_its_field_names() {
    let steps = "  - {id: a, type: shell, command: 'printf %s \"$T\"', env: {T: '{{ secrets.TOKEN }}'}}\n  \
        - {id: b, type: set, params: {t: '{{ a.stdout }}'}}\n  \
        - {id: m, tool: json_processor, params: {operation: query, input: {k: '{{ secrets.TOKEN }}'}, query: '{(.k): 7}'}}\n  \
        - {id: c, type: loop, items: ['{{ state.t }}'], steps: [{id: d, type: shell, argv: [sh, -c, 'test \"$0\" = \"$T\"', '{{ loop.item }}'], env: {T: '{{ secrets.TOKEN }}'}}]}\n  \
        - {id: e, type: set, params: {n: '{{ m.result[secrets.TOKEN] }}', same: '{{ state.t == secrets.TOKEN }}'}}\n\
        outputs: {n: '{{ e.n }}', same: '{{ e.same }}', code: '{{ a.exit_code }}', shown: '{{ b }}', fields: '{{ m.result }}'}\n";
    let sandbox = flow(steps);
    let ran = run(&sandbox, &["run", "flow.yaml", "-o", "json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let expected = json!({"n": 7, "same": true, "code": 0, "shown": {"t": "***"}, "fields": {"***": 7}});
    assert_eq!(ran.json()["output"], expected);
    assert_hidden(&sandbox, "whole data", &[&ran]);
}

#[test]
fn overlapping_secrets_are_masked_the_same_way_in_every_process() {
    let flow = "name: f\nsecrets: [SHORT, LONG]\nsteps:\n  \
        - {id: s, type: shell, command: 'printf %s \"$L\"', env: {L: '{{ secrets.LONG }}'}}\noutputs: '{{ s.stdout }}'\n";
    let config = "[secrets]\nSHORT = { env = \"SHORT\" }\nLONG = { env = \"LONG\" }\n";
    let sandbox = Sandbox::with_flow(flow).file("spellflow.toml", config);
    for _ in 0..4 {
        let mut command = sandbox.command(&["run", "flow.yaml", "-o", "json"]);
        command.env("SHORT", "hunter2").env("LONG", "long-hunter2-token");
        let ran = CommandOutput::new(command.output().unwrap());
        assert_eq!(ran.json()["output"], "***", "{}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(leaks(&sandbox.path(".spellflow"), &["hunter2", "long-", "-token"]), Vec::<String>::new());
}

#[test]
fn fields_named_like_a_secret_value_keep_their_names() {
    let flow = "name: f\nsecrets: [A, B, C]\nsteps:\n  \
        - {id: q, tool: json_processor, params: {operation: query, input: {identity: 5, name: x, other: 1}, query: '.'}}\n  \
        - {id: s, type: shell, command: 'true'}\n\
        outputs: {id: '{{ q.result.identity }}', all: '{{ q.result }}', code: '{{ s.exit_code }}', whole: '{{ s }}'}\n";
    let config = "[secrets]\nA = { env = \"A\" }\nB = { env = \"B\" }\nC = { env = \"C\" }\n";
    let sandbox = Sandbox::with_flow(flow).file("spellflow.toml", config);
    let mut command = sandbox.command(&["run", "flow.yaml", "-o", "json"]);
    command.env("A", "identity").env("B", "name").env("C", "exit_code");
    let ran = CommandOutput::new(command.output().unwrap());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let all = json!({"identity": 5, "name": "x", "other": 1});
    let whole = json!({
        "stdout": "", "stdout_type": "text", "stderr": "", "stderr_type": "text", "exit_code": 0,
    });
    assert_eq!(ran.json()["output"], json!({"id": 5, "all": all, "code": 0, "whole": whole}));
}

#[test]
fn empty_or_too_short_secret_is_rejected() {
    let flow = flow("  - {id: a, type: shell, command: 'echo hi', env: {T: '{{ secrets.TOKEN }}'}}\n");
    for (token, code) in [("", "missing_secret"), ("a", "secret_too_short"), ("abc\n", "secret_too_short")] {
        for arguments in [&["run", "flow.yaml", "-o", "json"][..], &["run", "flow.yaml", "--in-memory", "-o", "json"]] {
            let ran = run_with(&flow, token, arguments);
            assert_eq!((ran.code, &ran.json()["error"]["code"]), (2, &json!(code)), "{}{}", ran.stdout, ran.stderr);
        }
    }
    assert_eq!(run_with(&flow, "abcd", &["run", "flow.yaml"]).code, 0);
}

#[test]
fn only_steps_that_run_need_a_value_for_their_secrets() {
    let step = "  - {id: a, type: shell, command: 'true', env: {T: '{{ secrets.TOKEN }}'}, condition: '{{ input.go || false }}'}\n";
    let flow = flow(step);
    assert_eq!(run_with(&flow, "", &["run", "flow.yaml"]).code, 0);
    let ran = run_with(&flow, "", &["run", "flow.yaml", "--input", "go:=true", "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["error"]["code"]), (1, &json!("missing_secret")), "{}", ran.stdout);
    assert_eq!(ran.json()["error"]["message"], "the secret `TOKEN` has no value");
}

#[test]
fn environment_variable_of_a_secret_reaches_only_steps_that_pass_it() {
    let steps = "  - {id: a, type: shell, command: 'echo \"<$THE_TOKEN><$THE_KEY><$OTHER>\"'}\n  \
        - {id: b, type: shell, command: 'test -n \"$THE_TOKEN\" && test -z \"$THE_KEY\" && echo same', env: {THE_TOKEN: '{{ secrets.TOKEN }}'}}\n\
        outputs: {a: '{{ a.stdout }}', b: '{{ b.stdout }}'}\n";
    let sandbox = flow(steps);
    let mut command = sandbox.command(&["run", "flow.yaml", "-o", "json"]);
    let ran = command.env("THE_TOKEN", TOKEN).env("THE_KEY", KEY).env("OTHER", "other").output().unwrap();
    let ran = CommandOutput::new(ran);
    assert_eq!(ran.json()["output"], json!({"a": "<><><other>\n", "b": "same\n"}), "{}{}", ran.stdout, ran.stderr);
    // The same is true of a workflow that does not use the secret.
    let text =
        "name: g\nsteps:\n  - {id: a, type: shell, command: 'echo \"<$THE_TOKEN>\"'}\noutputs: '{{ a.stdout }}'\n";
    let sandbox = sandbox.file("other.yaml", text);
    assert_eq!(run(&sandbox, &["run", "other.yaml", "-o", "json"]).json()["output"], "<>\n");
}

/// Steps in which a secret is masked in an output, the state, a growing list, loop items and a
/// field name. After a wait, each of these is compared with the secret.
const WAITING: &str = "  - {id: a, type: shell, command: 'printf %s \"$T\"', env: {T: '{{ secrets.TOKEN }}'}}
  - {id: b, type: set, params: {t: 'x{{ a.stdout }}y', l: ['{{ secrets.TOKEN }}', '{{ secrets.KEY }}']}}
  - {id: m, tool: json_processor, params: {operation: query, input: {k: '{{ secrets.TOKEN }}'}, query: '{(.k): 7}'}}
  - {id: g, type: set, params: {l: '{{ state.l.concat([secrets.TOKEN]) }}'}}
  - id: c
    type: loop
    items: ['{{ state.t }}', plain]
    steps:
      - {id: w, type: wait_for_event, event: 'go{{ loop.index }}'}
      - {id: d, type: set, params: {is: '{{ loop.item == \"x\" + secrets.TOKEN + \"y\" }}'}}
  - {id: e, type: shell, argv: [sh, -c, 'test \"$0\" = \"$T\"', '{{ a.stdout }}'], env: {T: '{{ secrets.TOKEN }}'}}
outputs:
  same: '{{ a.stdout == secrets.TOKEN and state.l == [secrets.TOKEN, secrets.KEY, secrets.TOKEN] }}'
  field: '{{ m.result[secrets.TOKEN] }}'
  loop: '{{ c }}'
  shown: '{{ state.l }}'
";

#[test]
fn resumed_run_reads_the_secrets_again() {
    let sandbox = flow(WAITING);
    let waiting = run(&sandbox, &["run", "flow.yaml", "-o", "json"]);
    assert_eq!(waiting.code, 5, "{}{}", waiting.stdout, waiting.stderr);
    assert_hidden(&sandbox, "waiting", &[&waiting]);
    assert_eq!(run(&sandbox, &["signal", "@last", "go0"]).code, 0);
    let again = run(&sandbox, &["resume", "@last", "-o", "json"]);
    assert_eq!(again.code, 5, "{}{}", again.stdout, again.stderr);
    assert_eq!(run(&sandbox, &["signal", "@last", "go1"]).code, 0);
    let ended = run(&sandbox, &["resume", "@last", "-o", "json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let output = &ended.json()["output"];
    assert_eq!((&output["same"], &output["field"]), (&json!(true), &json!(7)), "{output}");
    assert_eq!(output["shown"], json!(["***", "***", "***"]));
    assert!(output["loop"].to_string().contains("true") && output["loop"].to_string().contains("false"), "{output}");
    // A fork copies the records with their masks, and also reads the secrets again.
    let fork = run(&sandbox, &["fork", "@last", "--from", "e", "-o", "json"]);
    assert_eq!((fork.code, &fork.json()["output"]["same"]), (0, &json!(true)), "{}{}", fork.stdout, fork.stderr);
    assert_hidden(&sandbox, "resumed", &[&waiting, &again, &ended, &fork]);
}

#[test]
fn resumed_run_uses_the_current_value_and_rejects_an_incompatible_one() {
    let sandbox = flow(WAITING);
    assert_eq!(run(&sandbox, &["run", "flow.yaml"]).code, 5);
    let missing = run_with(&sandbox, "", &["resume", "@last", "-o", "json"]);
    assert_eq!((missing.code, &missing.json()["error"]["code"]), (2, &json!("missing_secret")));
    // The key no longer has the line that the records contain.
    let mut command = sandbox.command(&["resume", "@last", "-o", "json"]);
    let changed = command.env("THE_TOKEN", "rotated-T0ken").env("THE_KEY", "one line").output().unwrap();
    let changed = CommandOutput::new(changed);
    assert!(changed.code != 0, "{}{}", changed.stdout, changed.stderr);
    for name in ["go0", "go1"] {
        assert_eq!(run(&sandbox, &["signal", "@last", name]).code, 0);
    }
    let rotated = run_with(&sandbox, "rotated-T0ken", &["resume", "@last", "-o", "json"]);
    assert_eq!((rotated.code, &rotated.json()["output"]["same"]), (0, &json!(true)), "{}", rotated.stdout);
    assert_hidden(&sandbox, "rotated", &[&rotated]);
    assert_eq!(leaks(&sandbox.path(".spellflow"), &["rotated-T0ken"]), Vec::<String>::new());
}

#[test]
fn data_recorded_unmasked_must_not_contain_a_secret() {
    let sandbox = flow("  - {id: a, type: shell, command: 'exit 1'}\n");
    assert_eq!(run(&sandbox, &["run", "flow.yaml"]).code, 1);
    let quoted = Value::from(TOKEN).to_string();
    for arguments in [
        &["retry", "@last", "--from", "a", "--step-input", &format!("{{\"command\": {quoted}}}")][..],
        &["fork", "@last", "--from", "a", "--step-input", &format!("{{\"command\": {quoted}}}")],
        &["run", "flow.yaml", "--input", &format!("t={TOKEN}")],
        &["rerun", "@last", "--input", &format!("t={TOKEN}")],
        &["signal", "@last", "go", "--data", &quoted],
    ] {
        let ran = run(&sandbox, arguments);
        assert!(ran.code != 0 && ran.stderr.contains("contains the secret `TOKEN`"), "{arguments:?}: {}", ran.stderr);
        assert_hidden(&sandbox, arguments[0], &[&ran]);
    }
}

#[test]
fn exported_archived_and_retried_runs_keep_the_secrets_in_their_data() {
    let steps = "  - {id: big, type: shell, command: 'head -c 70000 /dev/zero | tr \"\\0\" x; printf %s \"$T\"', env: {T: '{{ secrets.TOKEN }}'}}\n  \
        - {id: keep, type: set, params: {t: '{{ big.stdout.slice(70000) }}'}}\n  \
        - {id: check, type: shell, argv: [sh, -c, 'test \"$0\" = \"$T\" && test -e ok', '{{ state.t }}'], env: {T: '{{ secrets.TOKEN }}'}}\n\
        outputs: {whole: '{{ big.stdout.endsWith(secrets.TOKEN) and state.t == secrets.TOKEN }}'}\n";
    let sandbox = flow(steps);
    assert_eq!(run(&sandbox, &["run", "flow.yaml"]).code, 1);
    let export = run(&sandbox, &["runs", "export", "@last"]);
    assert_hidden(&sandbox, "export", &[&export]);
    let other = flow(steps).file("ok", "").file("run.json", &export.stdout);
    let imported = run(&other, &["runs", "import", "run.json"]);
    assert_eq!(imported.code, 0, "{}{}", imported.stdout, imported.stderr);
    fs::write(sandbox.path("ok"), "").unwrap();
    for sandbox in [&sandbox, &other] {
        for arguments in [&["retry", "@last", "-o", "json"][..], &["fork", "@last", "--from", "check", "-o", "json"]] {
            let ran = run(sandbox, arguments);
            assert_eq!((ran.code, &ran.json()["output"]["whole"]), (0, &json!(true)), "{arguments:?} {}", ran.stdout);
            assert_hidden(sandbox, arguments[0], &[&ran]);
        }
    }
}

#[test]
fn output_of_a_sub_workflow_is_masked_for_its_parent() {
    let child = "name: child\nsecrets: [TOKEN]\nsteps:\n  \
        - {id: a, type: shell, command: 'printf %s \"$T\"', env: {T: '{{ secrets.TOKEN }}'}}\noutputs: '{{ a.stdout }}'\n";
    let parent =
        |input: &str| format!("  - {{id: c, type: workflow, workflow: child{input}}}\noutputs: '{{{{ c }}}}'\n");
    let sandbox = flow(&parent("")).file("child.yaml", child);
    let ran = run(&sandbox, &["run", "flow.yaml", "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["output"]), (0, &json!("***")), "{}{}", ran.stdout, ran.stderr);
    assert_hidden(&sandbox, "child", &[&ran]);
    let sandbox = flow(&parent(", input: {t: '{{ secrets.TOKEN }}'}")).file("child.yaml", child);
    let ran = run(&sandbox, &["run", "flow.yaml", "-o", "json"]);
    assert_eq!(ran.json()["error"]["code"], "secret_would_be_recorded", "{}{}", ran.stdout, ran.stderr);
    assert_hidden(&sandbox, "input of a child", &[&ran]);
}
