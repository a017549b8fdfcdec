use crate::support::Sandbox;

const LOOSE: &str =
    "steps:\n- {needs: [], tool: text_summarizer, id: a, with: {input: '{{ text }}'}, retries: 1}\nname: loose\n";

#[test]
fn canonical_form_is_printed() {
    let sandbox = Sandbox::with("loose.yaml", LOOSE);
    let ran = sandbox.run(&["fmt", "loose.yaml"]).ok();
    insta::assert_snapshot!(ran.out);
    assert_eq!(sandbox.read("loose.yaml"), LOOSE);
    // Formatting the canonical form changes nothing.
    assert_eq!(sandbox.run_with(&["fmt", "-"], &[], &ran.out).ok().out, ran.out);
}

#[test]
fn check_fails_until_write_formats_the_file() {
    let sandbox = Sandbox::with("loose.yaml", LOOSE);
    let ran = sandbox.run(&["fmt", "--check", "loose.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "loose.yaml: not in the canonical form\n"));
    assert_eq!(sandbox.run(&["fmt", "--write", "loose.yaml"]).ok().out, "loose.yaml: written\n");
    assert_eq!(sandbox.run(&["fmt", "--check", "."]).ok().out, "");
    assert_eq!(sandbox.run(&["fmt", "--write", "loose.yaml", "-o", "json"]).ok().json()[0]["written"], false);
}

#[test]
fn write_drops_comments_only_with_force() {
    let text = format!("# why\n{LOOSE}");
    let sandbox = Sandbox::with("loose.yaml", &text);
    let ran = sandbox.run(&["fmt", "--write", "loose.yaml", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (2, Some("would_be_lost")));
    assert_eq!(sandbox.read("loose.yaml"), text);
    sandbox.run(&["fmt", "--write", "--force", "loose.yaml"]).ok();
    assert!(!sandbox.read("loose.yaml").contains('#'));
    sandbox.write("other.yaml", &format!("{LOOSE}personas: [critic]\ndefaults: {{tool: {{timeout: 5}}}}\n"));
    let ran = sandbox.run(&["fmt", "--write", "other.yaml"]);
    assert!(ran.code == 2 && ran.err.contains("`defaults`") && ran.err.contains("`personas`"), "{ran:?}");
}

#[test]
fn invalid_file_prevents_all_changes() {
    let sandbox = Sandbox::with("a.yaml", LOOSE);
    sandbox.write("b.yaml", "name: b\nstepps: []\n");
    assert_eq!(sandbox.run(&["fmt", "--write", "a.yaml", "b.yaml"]).code, 3);
    assert_eq!(sandbox.read("a.yaml"), LOOSE);
    for arguments in [["fmt", "--force", "a.yaml"], ["fmt", "--write", "-"]] {
        assert_eq!(sandbox.run_with(&arguments, &[], LOOSE).code, 2, "{arguments:?}");
    }
}
