use crate::support::Place;

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
fn all_problems_are_shown_at_once() {
    let place = Place::with("bad.yaml", BAD);
    insta::assert_snapshot!(place.run(&["validate", "bad.yaml"]).all());
    insta::assert_snapshot!(place.run(&["validate", "bad.yaml", "-o", "json"]).all());
}

#[test]
fn a_valid_file_names_the_next_command() {
    let place = Place::with("good.yaml", GOOD);
    insta::assert_snapshot!(place.run(&["validate", "good.yaml"]).all(), @r"
    exit 0
    --- stdout
    good.yaml: valid
    --- stderr
    next: spellflow run good.yaml
    ");
    insta::assert_snapshot!(place.run(&["validate", "good.yaml", "-o", "json"]).out, @r#"
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
fn warnings_fail_only_where_asked() {
    let place = Place::with("odd.yaml", ODD);
    let ran = place.run(&["validate", "odd.yaml"]).ok();
    assert!(ran.out.contains("warning[unset_state]") && ran.out.contains("valid (1 warning)"), "{ran:?}");
    let ran = place.run(&["validate", "odd.yaml", "--strict", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["valid"].as_bool()), (3, Some(false)));
    assert_eq!(ran.json()["files"][0]["diagnostics"][0]["severity"], "warning");
}

#[test]
fn folders_and_standard_input_are_read() {
    let place = Place::with("flows/deep/bad.yml", BAD);
    place.write("flows/good.yaml", GOOD);
    place.write("flows/good.test.yaml", "workflow: good.yaml");
    place.write("flows/data.json", "[1]");
    let ran = place.run(&["validate", "flows", "-o", "json"]);
    assert_eq!(ran.code, 3);
    let files = ran.json()["files"].clone();
    let names: Vec<_> = files.as_array().into_iter().flatten().map(|file| file["file"].clone()).collect();
    assert_eq!(names, ["flows/deep/bad.yml", "flows/good.yaml"]);
    let ran = place.run_with(&["validate", "-"], &[], GOOD).ok();
    assert_eq!(ran.out, "standard input: valid\n");
}

#[test]
fn what_is_not_there_is_not_found() {
    let place = Place::with("good.yaml", GOOD);
    let ran = place.run(&["validate", "goood.yaml"]);
    assert_eq!(ran.code, 4);
    assert!(ran.err.contains("did you mean `good.yaml`?"), "{ran:?}");
    place.write("empty/notes.txt", "");
    assert_eq!(place.run(&["validate", "empty"]).code, 4);
}
