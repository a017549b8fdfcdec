use crate::support::Sandbox;

const GOOD: &str = "name: good\nsteps:\n  - {id: a, type: set, params: {k: 1}}\n";
const BAD: &str = "\
name: bad
steps:
  - id: fetch
    tool: web_sercher
    params: {input: x}
    timout: 5
  - id: use
    type: set
    params: {k: \"{{ steps.fetsh.output }}\", l: \"{{ 1 + }}\"}
";
const ODD: &str = "\
name: odd
steps:
  - id: use
    type: set
    condition: state.missing == 1
    params: {k: 1}
";

#[test]
fn all_problems_are_reported_together() {
    let sandbox = Sandbox::with("bad.yaml", BAD);
    insta::assert_snapshot!(sandbox.run(&["validate", "bad.yaml"]).all());
    insta::assert_snapshot!(sandbox.run(&["validate", "bad.yaml", "-o", "json"]).all());
}

#[test]
fn validate_suggests_the_next_command_for_a_valid_file() {
    let sandbox = Sandbox::with("good.yaml", GOOD);
    insta::assert_snapshot!(sandbox.run(&["validate", "good.yaml"]).all(), @r"
    exit 0
    --- stdout
    good.yaml: valid
    --- stderr
    next: spellflow run good.yaml
    ");
    insta::assert_snapshot!(sandbox.run(&["validate", "good.yaml", "-o", "json"]).out, @r#"
    {
      "files": [
        {
          "diagnostics": [],
          "file": "good.yaml"
        }
      ],
      "valid": true
    }
    "#);
}

#[test]
fn shell_variable_in_braces_is_explained_if_any_input_is_accepted() {
    let flow = "name: x\nsteps:\n  - {id: a, command: 'echo ${HOME}'}\n";
    let sandbox = Sandbox::with("x.yaml", flow);
    let ran = sandbox.run(&["validate", "x.yaml", "-o", "json"]);
    let report = ran.json();
    let diagnostics = report["files"][0]["diagnostics"].as_array().unwrap();
    let codes: Vec<_> = diagnostics.iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!((ran.code, codes.as_slice()), (3, &["shell_injection", "unknown_reference"][..]), "{report}");
    for one in diagnostics {
        let help = one["help"].as_str().unwrap();
        assert!(help.starts_with("if it is a shell variable, write `$HOME` or `\\${HOME}`"), "{help}");
    }
}

#[test]
fn warnings_fail_only_with_strict() {
    let sandbox = Sandbox::with("odd.yaml", ODD);
    let ran = sandbox.run(&["validate", "odd.yaml"]).ok();
    assert!(ran.out.contains("warning[unset_state]") && ran.out.contains("valid (1 warning)"), "{ran:?}");
    let ran = sandbox.run(&["validate", "odd.yaml", "--strict", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["valid"].as_bool()), (3, Some(false)));
    assert_eq!(ran.json()["files"][0]["diagnostics"][0]["severity"], "warning");
}

#[test]
fn folders_and_standard_input_are_validated() {
    let sandbox = Sandbox::with("flows/deep/bad.yml", BAD);
    sandbox.write("flows/good.yaml", GOOD);
    sandbox.write("flows/good.test.yaml", "workflow: good.yaml");
    sandbox.write("flows/data.json", "[1]");
    let ran = sandbox.run(&["validate", "flows", "-o", "json"]);
    assert_eq!(ran.code, 3);
    let files = ran.json()["files"].clone();
    let names: Vec<_> = files.as_array().into_iter().flatten().map(|file| file["file"].clone()).collect();
    assert_eq!(names, ["flows/deep/bad.yml", "flows/good.yaml"]);
    let ran = sandbox.run_with(&["validate", "-"], &[], GOOD).ok();
    assert_eq!(ran.out, "standard input: valid\n");
}

#[test]
fn missing_file_is_reported_as_not_found_with_a_similar_name() {
    let sandbox = Sandbox::with("good.yaml", GOOD);
    let ran = sandbox.run(&["validate", "goood.yaml"]);
    assert_eq!(ran.code, 4);
    assert!(ran.err.contains("did you mean `good.yaml`?"), "{ran:?}");
    sandbox.write("empty/notes.txt", "");
    assert_eq!(sandbox.run(&["validate", "empty"]).code, 4);
}

/// Returns the code, the path and the first message line of each diagnostic.
fn diagnostics(sandbox: &Sandbox, file: &str) -> Vec<[String; 3]> {
    let report = sandbox.run(&["validate", file, "-o", "json"]).json();
    let diagnostics = report["files"][0]["diagnostics"].as_array().expect("the report has diagnostics").clone();
    let text = |one: &serde_json::Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let one = |one: &serde_json::Value| {
        let message = text(one, "message").lines().next().unwrap_or_default().to_owned();
        [text(one, "code"), text(one, "path"), message]
    };
    diagnostics.iter().map(one).collect()
}

#[test]
fn workflow_cycles_of_any_length_have_the_same_code() {
    let runs =
        |name: &str, other: &str| format!("name: {name}\nsteps:\n  - {{id: sub, type: workflow, workflow: {other}}}\n");
    let sandbox = Sandbox::with("own.yaml", &runs("own", "own.yaml"));
    for (file, other) in [("one", "two.yaml"), ("two", "three.yaml"), ("three", "one.yaml")] {
        std::fs::write(sandbox.path(&format!("{file}.yaml")), runs(file, other)).unwrap();
    }
    for (file, cycle) in [("own.yaml", "own → own"), ("one.yaml", "one → two → three → one")] {
        let message = format!("these workflows run each other: {cycle}");
        assert_eq!(diagnostics(&sandbox, file), [["workflow_cycle".to_owned(), "/main/sub".to_owned(), message]]);
    }
}

#[test]
fn unreadable_sub_workflow_is_reported_once_at_the_step_that_leads_to_it() {
    let runs = |other: &str| format!("name: runs\nsteps:\n  - {{id: sub, type: workflow, workflow: {other}}}\n");
    let sandbox = Sandbox::with("direct.yaml", &runs("missing.yaml"));
    std::fs::write(sandbox.path("indirect.yaml"), runs("direct.yaml").replace("runs", "outer")).unwrap();
    std::fs::write(sandbox.path("broken.yaml"), "name: broken\nsteps: 1\n").unwrap();
    std::fs::write(sandbox.path("to_broken.yaml"), runs("broken.yaml")).unwrap();
    for (file, named) in
        [("direct.yaml", "missing.yaml"), ("indirect.yaml", "missing.yaml"), ("to_broken.yaml", "broken.yaml")]
    {
        let found = diagnostics(&sandbox, file);
        let [[code, path, message]] = found.as_slice() else { panic!("{file}: {found:?}") };
        assert_eq!((code.as_str(), path.as_str()), ("invalid_sub_workflow", "/main/sub"), "{file}");
        assert!(message.contains(named), "{message}");
    }
}
