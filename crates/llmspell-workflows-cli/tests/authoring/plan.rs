use crate::support::Sandbox;

const FLOW: &str = r#"
name: digest
version: 0.2.0
inputs:
  topic: {type: string, required: true, description: What to search.}
  count: {type: integer, default: 3}
secrets: [TOKEN]
trigger: {condition: topic.length > 2}
timeouts: {total: 5m}
variables: {deep: "{{ count > 5 }}"}
steps:
  - {id: search, tool: web_search, params: {input: "{{ topic }}", max_results: "{{ count }}"}, retries: 2, timeout: 30s}
  - {id: touch, type: shell, command: "touch ran.txt"}
  - {id: brief, tool: text_summarizer, needs: [search], params: {input: "{{ search | json }}{{ touch.stdout }}"}}
  - {id: more, type: set, needs: [search], condition: variables.deep, params: {k: 1}}
"#;

#[test]
fn plan_shows_steps_without_running_them() {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    insta::assert_snapshot!("missing", sandbox.run(&["plan", "flow.yaml"]).ok().all());
    insta::assert_snapshot!("given", sandbox.run(&["plan", "flow.yaml", "-i", "topic=rust"]).ok().out);
    insta::assert_snapshot!(
        "data",
        sandbox.run(&["plan", "flow.yaml", "-i", "topic=rust", "-i", "count:=9", "-o", "json"]).ok().out
    );
    assert!(!sandbox.path("ran.txt").exists());
}

#[test]
fn undeclared_inputs_are_found_in_expressions() {
    let flow = "name: f\nsteps:\n  - {id: a, type: set, params: {who: '{{ user.name }}', how: \"{{ tone || 'kind' }}\"}}\n  \
        - {id: b, type: set, params: {x: '{{ input.place }} {{ a.who }}'}}\n";
    let sandbox = Sandbox::with("f.yaml", flow);
    let plan = sandbox.run(&["plan", "f.yaml", "-i", "place=here", "-o", "json"]).ok().json();
    let fields = plan["inputs"].as_array().cloned().unwrap_or_default();
    let fields: Vec<_> = fields.iter().map(|field| (field["name"].as_str(), field["is_missing"].as_bool())).collect();
    assert_eq!(fields, [("place", false), ("tone", false), ("user", true)].map(|(name, is)| (Some(name), Some(is))));
    assert_eq!(plan["missing_inputs"], serde_json::json!(["user"]));
}

#[test]
fn plan_rejects_invalid_input_like_run() {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    for arguments in [["-i", "topik=rust"], ["-i", "count=3"]] {
        let plan = sandbox.run(&[["plan", "flow.yaml"], arguments].concat());
        let run = sandbox.run_with(&[["run", "flow.yaml"], arguments].concat(), &[], "");
        assert_eq!(plan.code, 2, "{plan:?}");
        assert!(run.code == 2, "{run:?}");
    }
}

#[test]
fn unknown_environment_is_rejected() {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    let ran = sandbox.run(&["plan", "flow.yaml", "-i", "topic=rust", "-e", "live", "-o", "json"]);
    let error = ran.json()["error"].clone();
    assert_eq!((ran.code, error["code"].as_str()), (2, Some("unknown_environment")));
    assert_eq!(error["message"], "unknown environment `live` (the workflow has no environments)");
}

#[test]
fn plan_rejects_an_invalid_definition() {
    let sandbox = Sandbox::with("flow.yaml", "name: x\nsteps: [{id: a, tool: nothing_like_it}]\n");
    let ran = sandbox.run(&["plan", "flow.yaml", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (3, Some("invalid_definition")));
}

/// A reviewer sees what a run may do, wherever the step is.
#[test]
fn plan_shows_the_tools_of_sub_workflows_and_of_compensation_steps() {
    let flow = "\
name: outer
steps:
  - {id: charge, at_most_once: true, command: charge, compensate: {tool: file_operations, params: {operation: delete, path: a}}}
  - {id: kid, type: workflow, workflow: middle}
workflows:
  middle:
    name: middle
    secrets: [TOKEN]
    steps: [{id: deep, type: workflow, workflow: inner}]
    workflows:
      inner:
        name: inner
        steps: [{id: each, items: [1], steps: [{id: get, type: http, url: 'https://example.com'}]}]
";
    let sandbox = Sandbox::with("f.yaml", flow);
    let plan = sandbox.run(&["plan", "f.yaml", "-o", "json"]).ok().json();
    let tools = plan["tools"].as_array().unwrap().iter();
    let tools: Vec<_> = tools.map(|tool| (tool["name"].as_str().unwrap(), &tool["steps"][0])).collect();
    assert_eq!(
        tools,
        [
            ("file_operations", &serde_json::json!("/main/charge/$undo")),
            ("http_requester", &serde_json::json!("/main/kid/main/deep/main/each/get")),
        ]
    );
    assert_eq!(plan["secrets"][0]["name"], "TOKEN");
    let text = sandbox.run(&["plan", "f.yaml"]).ok().out;
    assert!(text.contains("runs at most once") && text.contains("to undo it"), "{text}");
}

#[test]
fn suggested_command_repeats_the_inputs_and_the_environment() {
    let flow = "name: f\ninputs: {who: {type: string, required: true}, n: {type: integer, required: true}}\n\
                variables: {v: 1}\nenvironments: {live: {v: 2}}\nsteps: [{id: a, command: echo a}]\n";
    let sandbox = Sandbox::with("f.yaml", flow);
    for (arguments, command) in [
        (&["plan", "f.yaml"][..], "spellflow run f.yaml --input who=… --input n:=…\n"),
        (&["plan", "f.yaml", "-i", "who=Ada L"], "spellflow run f.yaml --input 'who=Ada L' --input n:=…\n"),
        (
            &["plan", "f.yaml", "-i", "who=Ada", "-i", "n:=3", "-e", "live"],
            "spellflow run f.yaml --input who=Ada --input n:=3 --env live\n",
        ),
    ] {
        let planned = sandbox.run(arguments).ok();
        assert!(planned.all().contains(&format!("next: {command}")), "{}", planned.all());
    }
}
