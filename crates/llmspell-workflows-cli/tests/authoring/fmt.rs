use crate::support::Place;

const LOOSE: &str =
    "steps:\n- {needs: [], tool: text_summarizer, id: a, with: {input: '{{ text }}'}, retries: 1}\nname: loose\n";

#[test]
fn the_canonical_form_goes_to_standard_output() {
    let place = Place::with("loose.yaml", LOOSE);
    let ran = place.run(&["fmt", "loose.yaml"]).ok();
    insta::assert_snapshot!(ran.out);
    assert_eq!(place.read("loose.yaml"), LOOSE);
    // It is its own canonical form.
    assert_eq!(place.run_with(&["fmt", "-"], &[], &ran.out).ok().out, ran.out);
}

#[test]
fn check_fails_and_write_mends() {
    let place = Place::with("loose.yaml", LOOSE);
    let ran = place.run(&["fmt", "--check", "loose.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "loose.yaml: not in the canonical form\n"));
    assert_eq!(place.run(&["fmt", "--write", "loose.yaml"]).ok().out, "loose.yaml: written\n");
    assert_eq!(place.run(&["fmt", "--check", "."]).ok().out, "");
    assert_eq!(place.run(&["fmt", "--write", "loose.yaml", "-o", "json"]).ok().json()[0]["written"], false);
}

#[test]
fn comments_are_lost_only_with_force() {
    let text = format!("# why\n{LOOSE}");
    let place = Place::with("loose.yaml", &text);
    let ran = place.run(&["fmt", "--write", "loose.yaml", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (2, Some("would_be_lost")));
    assert_eq!(place.read("loose.yaml"), text);
    place.run(&["fmt", "--write", "--force", "loose.yaml"]).ok();
    assert!(!place.read("loose.yaml").contains('#'));
    place.write("other.yaml", &format!("{LOOSE}personas: [critic]\ndefaults: {{tool: {{timeout: 5}}}}\n"));
    let ran = place.run(&["fmt", "--write", "other.yaml"]);
    assert!(ran.code == 2 && ran.err.contains("`defaults`") && ran.err.contains("`personas`"), "{ran:?}");
}

#[test]
fn a_wrong_file_changes_nothing() {
    let place = Place::with("a.yaml", LOOSE);
    place.write("b.yaml", "name: b\nstepps: []\n");
    assert_eq!(place.run(&["fmt", "--write", "a.yaml", "b.yaml"]).code, 3);
    assert_eq!(place.read("a.yaml"), LOOSE);
    for arguments in [["fmt", "--force", "a.yaml"], ["fmt", "--write", "-"]] {
        assert_eq!(place.run_with(&arguments, &[], LOOSE).code, 2, "{arguments:?}");
    }
}
