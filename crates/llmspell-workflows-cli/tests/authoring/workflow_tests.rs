//! `spellflow test`.

use crate::support::Place;

const FLOW: &str = "
name: flow
inputs: {topic: {type: string, required: true}}
steps:
  - {id: search, tool: web_search, params: {input: '{{ topic }}'}, retries: {max_attempts: 3, initial_delay: 1h, jitter: 0}}
  - {id: nap, type: sleep, duration: 3h}
  - {id: brief, type: function, function: shorten, params: {input: '{{ search }}'}, condition: search.hits.length > 0}
";

fn case(text: &str) -> Place {
    let place = Place::with("flow.yaml", FLOW);
    place.write("flow.test.yaml", &format!("workflow: flow.yaml\ncases:\n{text}"));
    place
}

#[test]
fn mocks_answer_and_nothing_waits() {
    let place = case(
        "
  - name: found
    input: {topic: rust}
    mocks:
      tool:web-searcher: {calls: [{error: down}, {error: {class: resource}}, {output: {hits: [1, 2]}}]}
      brief: {output: {text: short}, state: {seen: true}}
    expect:
      output: {text: short}
      steps: {search: {attempts: 3}, /main/brief: {status: completed}}
      order: [search, nap, brief]
      calls: {'tool:web-searcher': 3, brief: 1}
  - name: nothing found
    input: {topic: x}
    mocks: {search: {output: {hits: []}}, 'function:shorten': {output: 1}}
    expect: {steps: {brief: {status: skipped, skip_reason: {code: condition_false}}}, calls: {'function:shorten': 0}}
  - name: down
    input: {topic: x}
    mocks: {search: {error: {class: validation, code: gone, message: it is gone for good}}, 'function:shorten': {output: 1}}
    expect: {status: failed, error: {code: gone, message: for good, path: /main/search}}
",
    );
    let ran = place.run(&["test", "flow.test.yaml", "-o", "json"]).ok().json();
    assert_eq!((ran["passed"].as_u64(), ran["failed"].as_u64()), (Some(3), Some(0)));
    let only = place.run(&["test", ".", "--case", "found", "-o", "json"]).ok().json();
    assert_eq!(only["passed"], 2);
    assert_eq!(place.run(&["test", ".", "--case", "zzz"]).code, 4);
}

#[test]
fn a_difference_is_shown_as_one() {
    let place = case(
        "
  - name: other than expected
    input: {topic: rust}
    mocks:
      search: {output: {hits: [1], text: \"one\\ntwo\\nthree\"}}
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
    // A step that no definition has is a mistake of the file.
    let ran = place.run(&["test", "flow.test.yaml", "-o", "json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(ran.json()["files"][0]["error"]["files"][0]["diagnostics"][0]["code"], "unknown_step");
    place.write("flow.test.yaml", &place.read("flow.test.yaml").replace("gone/brief", "brief"));
    let ran = place.run(&["test", "flow.test.yaml"]);
    insta::assert_snapshot!(ran.all());
    let data = place.run(&["test", "flow.test.yaml", "-o", "json"]).json();
    let mismatches = data["files"][0]["cases"][0]["mismatches"].clone();
    assert_eq!(mismatches[0]["at"], "status");
    assert_eq!((mismatches[2]["expected"].as_str(), mismatches[2]["got"].as_str()), (Some("long"), Some("short")));
}

#[test]
fn only_mocks_answer_unless_the_real_thing_is_allowed() {
    let flow = "name: f\nsteps:\n  - {id: a, tool: text_summarizer, params: {input: One two.}}\n  - {id: b, tool: file_operations, params: {operation: write, path: out.txt, input: x}}\n";
    let place = Place::with("f.yaml", flow);
    let write = |mocks: &str| {
        place.write("f.test.yaml", &format!("workflow: f.yaml\ncases:\n  - name: c\n    mocks: {mocks}\n"))
    };
    for (mocks, step) in [("{}", "a"), ("{a: {real: true}}", "b"), ("{a: {real: true}, b: {real: true}}", "b")] {
        write(mocks);
        let ran = place.run(&["test", "f.test.yaml", "-o", "json"]);
        assert_eq!(ran.code, 1, "{mocks}");
        let note = ran.json()["files"][0]["cases"][0]["mismatches"][0]["note"].clone();
        let note = note.as_str().unwrap_or_default();
        assert!(note.starts_with(&format!("/main/{step}: ")) && note.contains("[not_mocked]"), "{mocks}: {note}");
        assert!(!place.path("out.txt").exists());
    }
    place.run(&["test", "f.test.yaml", "--allow-real"]).ok();
    assert_eq!(place.read("out.txt"), "x");
}

#[test]
fn a_mock_takes_only_what_the_tool_takes() {
    let place = Place::with(
        "f.yaml",
        "name: f\nsteps:\n  - {id: a, tool: text_summarizer, params: {input: One., max_length: \"{{ size }}\"}}\n",
    );
    place.write("f.test.yaml", "workflow: f.yaml\ncases:\n  - {name: c, input: {size: many}, mocks: {a: {output: 1}}, expect: {error: {code: invalid_parameters}}}\n");
    place.run(&["test", "f.test.yaml"]).ok();
}

#[test]
fn the_machine_is_not_seen_and_time_is_skipped() {
    let flow = "name: f\nenv: [WHO]\nsecrets: [KEY]\nsteps:\n  \
        - {id: a, type: set, params: {who: '{{ env.WHO }}', key: '{{ secrets.KEY }}'}}\n  \
        - {id: b, type: sleep, duration: 3h, timeout: 1h}\n";
    let place = Place::with("f.yaml", flow);
    place.write("spellflow.toml", "[secrets]\nKEY = {env = \"REAL_KEY\"}\n");
    let real = [("WHO", "me"), ("REAL_KEY", "real")];
    place.write(
        "f.test.yaml",
        "workflow: f.yaml\ncases: [{name: c, expect: {status: failed, steps: {a: {status: failed}}}}]\n",
    );
    let ran = place.run_with(&["test", "f.test.yaml"], &real, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    place.write(
        "f.test.yaml",
        "workflow: f.yaml\nenv: {WHO: you}\nsecrets: {KEY: k1}\n\
         cases: [{name: c, expect: {steps: {a: {output: {who: you}}}, error: {code: timeout, path: /main/b}}}]\n",
    );
    let ran = place.run_with(&["test", "f.test.yaml"], &real, "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn validators_are_mocked_too() {
    let flow = "name: f\nsteps: [{id: a, type: validate, data: 1, validator: check}]\n";
    let place = Place::with("f.yaml", flow);
    place.write("f.test.yaml", "workflow: f.yaml\ncases: [{name: c, mocks: {'function:check': {output: []}}}]\n");
    place.run(&["test", "f.test.yaml"]).ok();
}

#[test]
fn a_workflow_is_no_test() {
    let ran = case("").run(&["test", "flow.yaml"]);
    assert!(ran.code == 3 && ran.err.contains("this is a workflow, not a test of one"), "{ran:?}");
}

#[test]
fn everything_wrong_with_a_file_is_said_at_once() {
    let place = case(
        "
  - name: one
    imput: {topic: rust}
    mocks: {search: {outputs: 3}, brief: {output: 1, error: x}}
    expect: {status: faild, order: [1], calls: {nothing: many}}
  - name: one
",
    );
    insta::assert_snapshot!(place.run(&["test", "flow.test.yaml"]).all());
    place.write("flow.test.yaml", "workflow: gone.yaml\ncases: [{name: c}]\n");
    let ran = place.run(&["test", "flow.test.yaml"]);
    assert!(ran.code == 3 && ran.err.contains("gone.yaml"), "{ran:?}");
}

#[test]
fn the_examples_of_the_guide_pass() {
    let guide = include_str!("../../../../docs/testing-workflows.md");
    let place = Place::new();
    for block in guide.split("```yaml\n# ").skip(1) {
        let (name, text) = block.split_once('\n').unwrap_or_default();
        place.write(name, text.split("```").next().unwrap_or_default());
    }
    let ran = place.run(&["test", "research.test.yaml", "-o", "json"]).ok().json();
    assert_eq!(ran["passed"], 4);
    // The output that the guide shows.
    place.write(
        "research.test.yaml",
        &place.read("research.test.yaml").replacen("output: They hold hands.", "output: They float.", 1),
    );
    let shown = place.run(&["test", "research.test.yaml", "--case", "summarizes"]).out;
    assert!(guide.contains(&shown), "{shown}");
}

#[test]
fn a_test_that_is_not_there_is_not_found() {
    let ran = Place::new().run(&["test", "nobody.test.yaml", "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["files"][0]["error"]["code"]), (4, &serde_json::json!("file_not_found")));
}
