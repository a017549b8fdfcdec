//! The report of a run for programs, with the same shape for every run status.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Sandbox, json_of, newest_run, show};

fn fields(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// A workflow that completes, waits or fails, depending on its input.
const FLOW: &str = "
name: states
inputs: {what: {type: string, required: true}}
steps:
  - {id: a, name: First, type: shell, command: 'true', compensate: {type: shell, command: 'true'}}
  - {id: gate, event: go, condition: what == 'wait'}
  - {id: fails, type: shell, command: exit 3, condition: what == 'fail'}
";

#[test]
fn run_and_show_reports_have_the_same_shape_in_every_status() {
    let sandbox = Sandbox::with_flow(FLOW);
    let mut shapes = Vec::new();
    for (what, code, status) in [("nothing", 0, "completed"), ("wait", 5, "waiting"), ("fail", 1, "compensated")] {
        let ended = sandbox.run(&["run", "flow.yaml", "--input", &format!("what={what}"), "-o", "json"]);
        assert_eq!((ended.code, &ended.json()["status"]), (code, &json!(status)), "{}", ended.stdout);
        let run = ended.json()["run_id"].as_str().unwrap().to_owned();
        let (ran, mut shown) = (ended.json(), show(&sandbox, &run));
        // Only the process that drove the run knows which resources it used.
        for field in [
            "resource_utilization",
            "cost_efficiency_ms",
            "duration_ms",
            "execution_time_ms",
            "throughput",
            "parallel_efficiency",
        ] {
            shown["metrics"][field] = ran["metrics"][field].clone();
        }
        assert_eq!(ran, shown, "{what}");
        shapes.push((fields(&ran), fields(&ran["metrics"]), fields(&ran["steps"][0])));
    }
    let memory = sandbox.run(&["run", "flow.yaml", "--input", "what=nothing", "--in-memory", "-o", "json"]).json();
    shapes.push((fields(&memory), fields(&memory["metrics"]), fields(&memory["steps"][0])));
    assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "{shapes:?}");
    assert_eq!(memory["steps"][0]["name"], "First");
}

#[test]
fn waiting_run_reports_its_event_instead_of_an_error() {
    let sandbox = Sandbox::with_flow(FLOW);
    let waiting = sandbox.run(&["run", "flow.yaml", "--input", "what=wait", "-o", "json"]).json();
    let run = newest_run(&sandbox);
    let wait = &waiting["waits"][0];
    assert_eq!((&waiting["error"], &wait["path"], &wait["for"]), (&Value::Null, &json!("/main/gate"), &json!("go")));
    assert_eq!(wait["command"], format!("spellflow signal {run} go"));
    let text = sandbox.run(&["run", "flow.yaml", "--input", "what=wait"]).stderr;
    assert!(!text.contains("error"), "{text}");
    // An event that no step waits for is kept, and the response says so.
    let sent = sandbox.run(&["signal", &run, "other", "-o", "json"]).json();
    assert_eq!((&sent["is_awaited"], &sent["waiting_for"]), (&json!(false), &json!(["go"])));
}

/// The event is kept, because the filter may read values that change.
#[test]
fn event_not_accepted_by_a_filter_is_reported_and_shown() {
    let flow = "name: f\nsteps:\n  - {id: gate, event: go, filter: event.data.amount > 10}\n";
    let sandbox = Sandbox::with_flow(flow);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    let small = sandbox.run(&["signal", &run, "go", "--data", "{\"amount\": 3}", "-o", "json"]);
    assert_eq!(small.code, 0);
    let filter = json!([{"path": "/main/gate", "filter": "event.data.amount > 10"}]);
    let sent = small.json();
    assert_eq!(
        (&sent["is_awaited"], &sent["waiting_for"], &sent["not_accepted_by"]),
        (&json!(false), &json!(["go"]), &filter)
    );
    let said = "not accepted by /main/gate; kept for later; its filter is `event.data.amount > 10`\n";
    assert!(small.stderr.starts_with(said), "{}", small.stderr);
    assert_eq!(sandbox.run(&["signal", &run, "go", "--data", "{\"amount\": 7}"]).code, 0);
    assert_eq!(sandbox.run(&["signal", &run, "other"]).code, 0);
    let show = sandbox.run(&["runs", "show", &run]).stdout;
    let line = "  /main/gate: 2 events not accepted by the filter `event.data.amount > 10`; data of the last event: {\"amount\":7}\n";
    assert!(show.contains(line), "{show}");
    let resumed = sandbox.run(&["resume", &run]);
    assert!(resumed.code == 5 && resumed.stderr.contains(line.trim()), "{}", resumed.stderr);
    let wait = sandbox.run(&["runs", "show", &run, "-o", "json"]).json()["waits"][0].clone();
    assert_eq!(wait["filter"], "event.data.amount > 10");
    assert_eq!(wait["not_accepted"], json!({"count": 2, "last": {"amount": 7}}));
    let large = sandbox.run(&["signal", &run, "go", "--data", "{\"amount\": 11}", "-o", "json"]).json();
    assert_eq!((&large["is_awaited"], &large["not_accepted_by"]), (&json!(true), &json!([])));
    assert_eq!(sandbox.run(&["resume", &run]).code, 0);
}

/// Only the run can tell whether this filter accepts an event.
#[test]
fn filter_that_reads_steps_is_named_when_an_event_is_sent() {
    let flow = "name: f\nsteps:\n  - {id: a, type: set, params: {least: 10}}\n  - {id: gate, event: go, filter: event.data > a.least}\n";
    let sandbox = Sandbox::with_flow(flow);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let sent = sandbox.run(&["signal", "@last", "go", "--data", "11", "-o", "json"]);
    assert_eq!(sent.json()["is_awaited"], true);
    assert!(
        sent.stderr.contains("/main/gate accepts it only if its filter `event.data > a.least` is true"),
        "{}",
        sent.stderr
    );
}

/// A wait with a timeout releases the terminal just like a wait without one; `--wait` waits until
/// the timeout.
#[test]
fn wait_with_a_timeout_releases_the_terminal() {
    let flow = |timeout: &str| {
        format!("name: f\nsteps:\n  - {{id: gate, event: go, timeout: {timeout}, on_timeout: continue}}\n")
    };
    let sandbox = Sandbox::with_flow(&flow("1h")).file("short.yaml", &flow("20ms"));
    let waiting = sandbox.run(&["run", "flow.yaml", "-o", "json"]);
    assert_eq!(waiting.code, 5, "{}", waiting.stderr);
    assert!(waiting.json()["waits"][0]["until"].is_string());
    let waited = sandbox.run(&["run", "short.yaml", "--wait", "-o", "json"]);
    assert_eq!((waited.code, &waited.json()["output"]["timed_out"]), (0, &json!(true)), "{}", waited.stderr);
}

/// Nobody can send an event to a run in memory.
#[test]
fn run_in_memory_rejects_an_endless_wait() {
    let flow = |more: &str| {
        format!(
            "name: f\ninputs: {{go: {{type: boolean, default: true}}}}\nsteps:\n  - {{id: a, type: shell, command: 'echo a >> effects'}}\n  - {{id: gate, event: go{more}}}\n"
        )
    };
    for (more, code, effects) in
        [("", 2, 0), (", condition: go", 5, 1), (", timeout: 10ms, on_timeout: continue", 0, 1)]
    {
        let sandbox = Sandbox::with_flow(&flow(more));
        let ended = sandbox.run(&["run", "flow.yaml", "--in-memory"]);
        assert_eq!(
            (ended.code, crate::support::take_effects(&sandbox).len()),
            (code, effects),
            "{more}: {}",
            ended.stderr
        );
    }
}

#[test]
fn report_lists_undone_steps_warnings_and_all_errors_of_a_block() {
    let sandbox = Sandbox::with_flow(FLOW);
    let failed = sandbox.run(&["run", "flow.yaml", "--input", "what=fail", "-o", "json"]).json();
    assert_eq!(
        (&failed["steps"][0]["path"], &failed["steps"][0]["status"]),
        (&json!("/main/a"), &json!("compensated"))
    );

    let flow = "
name: collects
steps:
  - {id: warns, type: set, params: {x: 1}, condition: \"len(state.missing) > 1\"}
  - id: each
    type: loop
    items: [1, 2, 3]
    on_error: collect
    steps: [{id: work, type: shell, command: 'test {{ loop.item | shell_quote }} = 2'}]
";
    let sandbox = Sandbox::with_flow(flow);
    let report = sandbox.run(&["run", "flow.yaml", "-o", "json"]).json();
    let errors = report["error"]["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|error| error["index"].clone()).collect::<Vec<_>>(), [json!(0), json!(2)]);
    let warning = &report["warnings"][0];
    assert_eq!((&warning["path"], &warning["code"]), (&json!("/main/warns"), &json!("condition_unevaluable")));
    assert!(warning["at"].is_string());
    let text = sandbox.run(&["runs", "show", "@last"]).stdout;
    assert!(text.contains("warning[condition_unevaluable]: /main/warns: "), "{text}");
}

#[test]
fn list_for_programs_has_one_line_per_run() {
    let sandbox = Sandbox::with_flow(FLOW);
    let lines = |sandbox: &Sandbox| sandbox.run(&["runs", "list", "-o", "jsonl"]).stdout;
    assert_eq!(lines(&sandbox), "");
    for _ in 0..2 {
        sandbox.run(&["run", "flow.yaml", "--input", "what=nothing"]);
    }
    let all: Vec<Value> = lines(&sandbox).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(all.len() == 2 && all.iter().all(|run| run["status"] == "completed"), "{all:?}");
}

/// Suggested commands repeat the necessary options.
#[test]
fn suggested_commands_work_when_pasted() {
    let sandbox = Sandbox::with_flow(FLOW);
    let store = "a store";
    let arguments = ["--store", store, "run", "flow.yaml", "--input", "what=wait", "--allow-host", "localhost:1"];
    let text = sandbox.run(&arguments).stderr;
    for expected in [
        "next: spellflow --store 'a store' signal ",
        "then: spellflow --store 'a store' resume --allow-host localhost:1 ",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let pasted = text.lines().find_map(|line| line.strip_prefix("next: spellflow --store 'a store' ")).unwrap();
    let words: Vec<&str> = ["--store", store].into_iter().chain(pasted.split(' ')).collect();
    assert_eq!(sandbox.run(&words).code, 0);
}

/// A recorded run reports the same statuses as a run in memory, and as expressions see.
#[test]
fn recovered_steps_are_reported_alike_in_every_kind_of_run() {
    let flow = "\
name: f
steps:
  - {id: ignored, command: exit 3, on_error: continue}
  - {id: handled, command: exit 4, on_error: {steps: [{id: fix, command: echo fixed}]}}
  - {id: block, on_error: {steps: [{id: fix, command: echo again}]}, steps: [{id: inner, command: exit 5}]}
  - {id: unhandled, command: exit 6, on_error: {steps: [{id: fix, command: exit 7}]}, allow_failure: false}
";
    let sandbox = Sandbox::with_flow(flow);
    let in_memory = sandbox.run(&["run", "flow.yaml", "--in-memory", "-o", "json"]).json();
    let recorded = sandbox.run(&["run", "flow.yaml", "-o", "json"]).json();
    let shown = json_of(&sandbox, &["runs", "show", "@last"]);
    let steps = |report: &Value| {
        let of_step = |step: &Value| {
            let error = step["error"]["code"].clone();
            json!([step["path"], step["status"], error, step["output"]["stdout"]])
        };
        report["steps"].as_array().unwrap().iter().map(of_step).collect::<Vec<_>>()
    };
    assert_eq!((steps(&recorded), steps(&shown)), (steps(&in_memory), steps(&in_memory)));
    let status = |path: &str| steps(&shown).into_iter().find(|step| step[0] == path).unwrap();
    assert_eq!(status("/main/handled"), json!(["/main/handled", "completed", "process_failed", "fixed\n"]));
    assert_eq!(status("/main/ignored"), json!(["/main/ignored", "failed", "process_failed", null]));
    let text = sandbox.run(&["runs", "show", "@last"]).stdout;
    let line = text.lines().find(|line| line.contains("/main/handled ")).unwrap();
    assert!(line.ends_with("recovered from: the process ended with exit code 4"), "{text}");
}

#[test]
fn interrupted_run_shows_its_interrupted_steps_and_how_to_resume_it() {
    let sandbox = Sandbox::with_flow(
        "name: f\nsteps:\n  - {id: block, steps: [{id: a, command: echo a}, {id: dies, command: 'kill -9 $PPID'}]}\n",
    );
    sandbox.command(&["run", "flow.yaml"]).output().unwrap();
    let run = newest_run(&sandbox);
    let shown = json_of(&sandbox, &["runs", "show", &run]);
    let statuses: Vec<&Value> = shown["steps"].as_array().unwrap().iter().map(|step| &step["status"]).collect();
    assert_eq!(statuses, ["interrupted", "completed", "interrupted"], "{shown}");
    let text = sandbox.run(&["runs", "show", &run]).stdout;
    assert!(text.ends_with(&format!("next: spellflow resume {run}\n")), "{text}");
}

/// The state is needed most when a run has failed.
#[test]
fn state_of_a_failed_or_cancelled_run_is_that_before_its_end() {
    let inner = "{id: count, type: set, params: {n: 1}}, {id: add, type: set, params: {n: '{{ state.n + 1 }}'}}, \
                 {id: fails, command: test -f fixed}, {id: later, type: set, params: {n: 9}}";
    for steps in [inner.to_owned(), format!("{{id: block, steps: [{inner}]}}")] {
        let sandbox = Sandbox::with_flow(&format!("name: f\nsteps: [{steps}, {{id: go, event: go}}]\n"));
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
        assert_eq!(json_of(&sandbox, &["runs", "state", "@last"]), json!({"n": 2}), "{steps}");
        std::fs::write(sandbox.path("fixed"), "").unwrap();
        assert_eq!(sandbox.run(&["retry", "@last"]).code, 5);
        assert_eq!(sandbox.run(&["cancel", "@last"]).code, 0);
        assert_eq!(json_of(&sandbox, &["runs", "state", "@last"]), json!({"n": 9}), "{steps}");
    }
}

/// Steps whose end has no record of its own have the status that they have in memory.
#[test]
fn steps_of_blocks_are_reported_alike_in_every_kind_of_run() {
    let undone = "{id: a, command: echo a, compensate: {command: echo undo}}";
    for steps in [
        "{id: pick, type: switch, cases: [{when: 1 == 1, steps: [{id: b, command: echo b}]}]}".to_owned(),
        format!(
            "{{id: tries, retries: {{max_attempts: 3, strategy: immediate}}, steps: [{undone}, {{id: b, command: exit 1}}]}}"
        ),
        format!("{{id: each, items: [1, 2], steps: [{undone}]}}, {{id: last, command: exit 1}}"),
        "{id: both, parallel_steps: [{id: a, command: exit 1}, {id: b, command: echo b}]}".to_owned(),
    ] {
        let sandbox = Sandbox::with_flow(&format!("name: f\nsteps: [{steps}]\n"));
        let in_memory = sandbox.run(&["run", "flow.yaml", "--in-memory", "-o", "json"]).json();
        let recorded = sandbox.run(&["run", "flow.yaml", "-o", "json"]).json();
        let statuses = |report: &Value| {
            // The attempts of a block have no entries of their own in memory.
            let is_attempt = |path: &str| path.rsplit('/').next().is_some_and(|id| id.contains('~'));
            let steps = report["steps"].as_array().unwrap().iter();
            let steps = steps.map(|step| (step["path"].as_str().unwrap().to_owned(), step["status"].clone()));
            steps.filter(|(path, _)| !is_attempt(path)).collect::<std::collections::BTreeMap<_, _>>()
        };
        assert_eq!(statuses(&recorded), statuses(&in_memory), "{steps}");
        let open = recorded["steps"].as_array().unwrap().iter().find(|step| step["status"] == "running");
        assert_eq!(open, None, "{steps}");
    }
}

/// A signal without data could never pass a filter that reads the data.
#[test]
fn command_for_a_filtered_wait_has_a_place_for_the_data() {
    for (filter, command) in
        [("", "spellflow signal RUN go\n"), (", filter: event.data.ok", "spellflow signal RUN go --data JSON\n")]
    {
        let sandbox = Sandbox::with_flow(&format!("name: f\nsteps: [{{id: go, event: go{filter}}}]\n"));
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
        let run = newest_run(&sandbox);
        let shown = sandbox.run(&["runs", "show", &run]).stdout.replace(&run, "RUN");
        assert!(shown.contains(command), "{shown}");
    }
}
