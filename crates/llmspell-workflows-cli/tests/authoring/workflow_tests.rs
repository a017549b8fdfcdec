//! Tests for `spellflow test`.

use crate::support::Sandbox;

const FLOW: &str = "
name: flow
inputs: {topic: {type: string, required: true}}
steps:
  - {id: search, tool: web_search, params: {input: '{{ topic }}'}, retries: {max_attempts: 3, initial_delay: 1h, jitter: 0}}
  - {id: nap, type: sleep, duration: 3h}
  - {id: brief, type: function, function: shorten, params: {input: '{{ search }}'}, condition: search.results.length > 0}
";

fn case(text: &str) -> Sandbox {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    sandbox.write("flow.test.yaml", &format!("workflow: flow.yaml\ncases:\n{text}"));
    sandbox
}

#[test]
fn mocks_replace_activities_and_delays_are_skipped() {
    let sandbox = case(
        "
  - name: found
    input: {topic: rust}
    mocks:
      tool:web-searcher: {calls: [{error: down}, {error: {class: resource}}, {output: {results: [1, 2]}}]}
      brief: {output: {text: short}, state: {seen: true}}
    expect:
      output: {text: short}
      steps: {search: {attempts: 3}, /main/brief: {status: completed}}
      order: [search, nap, brief]
      calls: {'tool:web-searcher': 3, brief: 1}
  - name: nothing found
    input: {topic: x}
    mocks: {search: {output: {results: []}}, 'function:shorten': {output: 1}}
    expect: {steps: {brief: {status: skipped, skip_reason: {code: condition_false}}}, calls: {'function:shorten': 0}}
  - name: down
    input: {topic: x}
    mocks: {search: {error: {class: validation, code: gone, message: it is gone for good}}}
    expect: {status: failed, error: {code: gone, message: for good, path: /main/search}}
",
    );
    let ran = sandbox.run(&["test", "flow.test.yaml", "-o", "json"]).ok().json();
    assert_eq!((ran["passed"].as_u64(), ran["failed"].as_u64()), (Some(3), Some(0)));
    let only = sandbox.run(&["test", ".", "--case", "found", "-o", "json"]).ok().json();
    assert_eq!(only["passed"], 2);
    assert_eq!(sandbox.run(&["test", ".", "--case", "zzz"]).code, 4);
}

#[test]
fn failed_cases_show_expected_and_actual_values() {
    let sandbox = case(
        "
  - name: other than expected
    input: {topic: rust}
    mocks:
      search: {output: {results: [1], text: \"one\\ntwo\\nthree\"}}
      brief: {outputs: [{text: short}]}
    expect:
      status: failed
      output: {text: long, more: 1}
      steps:
        search: {output: {text: \"one\\n2\\nthree\"}}
        gone/brief: {status: skipped}
      order: [brief, search]
      calls: {search: 2}
",
    );
    // An expectation about a step that is not in the definition makes the file invalid.
    let ran = sandbox.run(&["test", "flow.test.yaml", "-o", "json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(ran.json()["files"][0]["error"]["files"][0]["diagnostics"][0]["code"], "unknown_step");
    sandbox.write("flow.test.yaml", &sandbox.read("flow.test.yaml").replace("gone/brief", "brief"));
    let ran = sandbox.run(&["test", "flow.test.yaml"]);
    insta::assert_snapshot!(ran.all());
    let data = sandbox.run(&["test", "flow.test.yaml", "-o", "json"]).json();
    let mismatches = data["files"][0]["cases"][0]["mismatches"].clone();
    assert_eq!(mismatches[0]["at"], "status");
    assert_eq!((mismatches[2]["expected"].as_str(), mismatches[2]["got"].as_str()), (Some("long"), Some("short")));
}

#[test]
fn real_activities_run_only_if_allowed() {
    let flow = "name: f\nsteps:\n  - {id: a, tool: text_summarizer, params: {input: One two.}}\n  - {id: b, tool: file_operations, params: {operation: write, path: out.txt, input: x}}\n";
    let sandbox = Sandbox::with("f.yaml", flow);
    let write = |mocks: &str| {
        sandbox.write("f.test.yaml", &format!("workflow: f.yaml\ncases:\n  - name: c\n    mocks: {mocks}\n"))
    };
    for (mocks, step) in [("{}", "a"), ("{a: {real: true}}", "b"), ("{a: {real: true}, b: {real: true}}", "b")] {
        write(mocks);
        let ran = sandbox.run(&["test", "f.test.yaml", "-o", "json"]);
        assert_eq!(ran.code, 1, "{mocks}");
        let note = ran.json()["files"][0]["cases"][0]["mismatches"][0]["note"].clone();
        let note = note.as_str().unwrap_or_default();
        assert!(note.starts_with(&format!("/main/{step}: ")) && note.contains("[not_mocked]"), "{mocks}: {note}");
        assert!(!sandbox.path("out.txt").exists());
    }
    sandbox.run(&["test", "f.test.yaml", "--allow-real"]).ok();
    assert_eq!(sandbox.read("out.txt"), "x");
}

#[test]
fn mocks_check_the_parameters_of_tools() {
    let sandbox = Sandbox::with(
        "f.yaml",
        "name: f\nsteps:\n  - {id: a, tool: text_summarizer, params: {input: One., max_length: \"{{ size }}\"}}\n",
    );
    sandbox.write("f.test.yaml", "workflow: f.yaml\ncases:\n  - {name: c, input: {size: many}, mocks: {a: {output: 1}}, expect: {error: {code: invalid_parameters}}}\n");
    sandbox.run(&["test", "f.test.yaml"]).ok();
}

#[test]
fn host_environment_is_hidden_and_sleeps_are_skipped() {
    let flow = "name: f\nenv: [WHO]\nsecrets: [KEY]\nsteps:\n  \
        - {id: a, type: set, params: {who: '{{ env.WHO }}', key: '{{ secrets.KEY }}'}}\n  \
        - {id: b, type: sleep, duration: 3h, timeout: 1h}\n";
    let sandbox = Sandbox::with("f.yaml", flow);
    sandbox.write("spellflow.toml", "[secrets]\nKEY = {env = \"REAL_KEY\"}\n");
    let real = [("WHO", "me"), ("REAL_KEY", "real")];
    sandbox.write(
        "f.test.yaml",
        "workflow: f.yaml\ncases: [{name: c, expect: {status: failed, steps: {a: {status: failed}}}}]\n",
    );
    let ran = sandbox.run_with(&["test", "f.test.yaml"], &real, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    sandbox.write(
        "f.test.yaml",
        "workflow: f.yaml\nenv: {WHO: you}\nsecrets: {KEY: key1}\n\
         cases: [{name: c, expect: {steps: {a: {output: {who: you}}}, error: {code: timeout, path: /main/b}}}]\n",
    );
    let ran = sandbox.run_with(&["test", "f.test.yaml"], &real, "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn validators_can_be_mocked() {
    let flow = "name: f\nsteps: [{id: a, type: validate, data: 1, validator: check}]\n";
    let sandbox = Sandbox::with("f.yaml", flow);
    sandbox.write("f.test.yaml", "workflow: f.yaml\ncases: [{name: c, mocks: {'function:check': {output: []}}}]\n");
    sandbox.run(&["test", "f.test.yaml"]).ok();
}

#[test]
fn workflow_given_instead_of_a_test_is_rejected() {
    let ran = case("").run(&["test", "flow.yaml"]);
    assert!(ran.code == 3 && ran.err.contains("expected a test, got a workflow"), "{ran:?}");
}

#[test]
fn all_problems_of_a_test_file_are_reported_together() {
    let sandbox = case(
        "
  - name: one
    imput: {topic: rust}
    mocks: {search: {outputs: 3}, brief: {output: 1, error: x}}
    expect: {status: faild, order: [1], calls: {nothing: many}}
  - name: one
",
    );
    insta::assert_snapshot!(sandbox.run(&["test", "flow.test.yaml"]).all());
    sandbox.write("flow.test.yaml", "workflow: gone.yaml\ncases: [{name: c}]\n");
    let ran = sandbox.run(&["test", "flow.test.yaml"]);
    assert!(ran.code == 3 && ran.err.contains("gone.yaml"), "{ran:?}");
}

#[test]
fn examples_in_the_guide_pass() {
    let guide = include_str!("../../../../docs/testing-workflows.md");
    let sandbox = Sandbox::new();
    for block in guide.split("```yaml\n# ").skip(1) {
        let (name, text) = block.split_once('\n').unwrap_or_default();
        sandbox.write(name, text.split("```").next().unwrap_or_default());
    }
    let ran = sandbox.run(&["test", ".", "-o", "json"]).ok().json();
    assert_eq!((ran["passed"].as_u64(), ran["files"].as_array().map(Vec::len)), (Some(11), Some(3)));
    // The guide shows the output of failed cases.
    for (file, original, changed, case) in [
        ("research.test.yaml", "output: They hold hands.", "output: They float.", "summarizes"),
        (
            "release.test.yaml",
            "messages: [{signal: approved, data: {ok: true, by: ada}, after: 6d}]\n",
            "\n",
            "publishes",
        ),
    ] {
        let text = sandbox.read(file);
        assert!(text.contains(original), "{file}");
        // Only the first case is changed, and expectations that it does not reach are left out.
        let text = text.replacen(original, changed, 1).replacen(
            "mocks: {push: {output: {exit_code: 0}}}",
            "mocks: {notify/$undo: {output: {exit_code: 0}}}",
            1,
        );
        sandbox.write(file, &text.replacen("expect: {order: [notify, approval, push]}", "", 1));
        let shown = sandbox.run(&["test", file, "--case", case]).out;
        assert!(guide.contains(&shown), "{shown}");
    }
}

#[test]
fn missing_test_file_is_reported_as_not_found() {
    let ran = Sandbox::new().run(&["test", "nobody.test.yaml", "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["files"][0]["error"]["code"]), (4, &serde_json::json!("file_not_found")));
}
