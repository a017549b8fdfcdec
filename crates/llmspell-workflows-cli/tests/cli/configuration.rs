//! Where settings come from, and which wins.

use crate::support::{Ended, Place};

fn shown(place: &Place, variables: &[(&str, &str)], flags: &[&str]) -> Ended {
    let mut command = place.command(&[&["config", "show", "--origin"], flags].concat());
    command.envs(variables.iter().copied());
    Ended::new(command.output().unwrap())
}

#[test]
fn the_nearest_layer_wins_and_says_so() {
    let place = Place::new()
        .file("home/.config/spellflow/config.toml", "output = \"yaml\"\ncolor = \"never\"\n")
        .file("spellflow.toml", "color = \"always\"\n[tools]\nhosts = [\"a.example\"]\nread_roots = [\"data\"]\n")
        .file("data/x", "");
    let ended = shown(&place, &[("SPELLFLOW_TOOLS_HOSTS", "b.example, c.example")], &["-o", "json"]);
    let all = ended.json();
    let path = |name: &str| place.path(name).canonicalize().unwrap().display().to_string();
    for (key, value, origin) in [
        ("output", serde_json::json!("json"), "--output".to_owned()),
        ("color", serde_json::json!("always"), path("spellflow.toml")),
        ("tools.hosts", serde_json::json!(["b.example", "c.example"]), "SPELLFLOW_TOOLS_HOSTS".to_owned()),
        ("tools.read_roots", serde_json::json!([path("data")]), path("spellflow.toml")),
        ("tools.redirects_max", serde_json::json!(10), "default".to_owned()),
    ] {
        assert_eq!(all[key], serde_json::json!({"value": value, "origin": origin}), "{key}");
    }
}

#[test]
fn the_projects_file_is_found_upwards() {
    let place = Place::new().file("spellflow.toml", "timeout = \"5m\"\n").file("a/b/x", "");
    let ended = Ended::new(place.command(&["config", "show"]).current_dir(place.path("a/b")).output().unwrap());
    assert!(ended.stdout.contains("timeout = \"5m\"\n"), "{}", ended.stdout);
}

#[test]
fn wrong_keys_and_values_are_errors_that_say_what_is_right() {
    for (file, variables, message, help) in [
        ("ouput = \"json\"", &[][..], "no setting is called `ouput`", "did you mean `output`?"),
        ("hosts = []", &[], "no setting is called `hosts`", "did you mean `tools.hosts`?"),
        ("output = \"xml\"", &[], "`output` must be one of text, json, jsonl, yaml, not \"xml\"", ""),
        ("timeout = \"soon\"", &[], "`timeout` must be a duration such as `90s` or `5m`, not \"soon\"", ""),
        ("a = ", &[], "line 1", ""),
        (
            "",
            &[("SPELLFLOW_OUTPU", "json")],
            "no setting is called `SPELLFLOW_OUTPU`",
            "did you mean `SPELLFLOW_OUTPUT`?",
        ),
        // All variables begin alike, which makes none of them near.
        ("", &[("SPELLFLOW_NOPE", "x")], "no setting is called `SPELLFLOW_NOPE`", "`spellflow config show`"),
        // No tool reads variables, so nothing can let it.
        ("[tools]\nenvironment = []", &[], "no setting is called `tools.environment`", ""),
        ("timeout = 0", &[], "`timeout` must be a duration", ""),
        ("", &[("SPELLFLOW_TOOLS_REDIRECTS_MAX", "x")], "must be a whole number, not `x`", ""),
    ] {
        let ended = shown(&Place::new().file("spellflow.toml", file), variables, &[]);
        assert_eq!(ended.code, 2, "{file} {}", ended.stdout);
        assert!(ended.stderr.contains(message) && ended.stderr.contains(help), "{file}: {}", ended.stderr);
    }
}

#[test]
fn a_process_of_a_step_is_not_a_setting() {
    let ended = shown(&Place::new(), &[("SPELLFLOW_RUN_ID", "x"), ("SPELLFLOW_STEP_PATH", "/main/a")], &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn keys_of_services_are_not_shown() {
    let place = Place::new().file("spellflow.toml", "[tools.search.providers.brave]\napi_key = \"hunter2\"\n");
    let ended = shown(&place, &[], &[]);
    assert!(ended.stdout.contains("tools.search.providers.brave.api_key = \"***\""), "{}", ended.stdout);
}
