//! Tests for the sources of settings and their precedence.

use crate::support::{CommandOutput, Sandbox};

fn shown(sandbox: &Sandbox, variables: &[(&str, &str)], flags: &[&str]) -> CommandOutput {
    let mut command = sandbox.command(&[&["config", "show", "--origin"], flags].concat());
    command.envs(variables.iter().copied());
    CommandOutput::new(command.output().unwrap())
}

#[test]
fn highest_layer_wins_and_is_shown_as_origin() {
    let sandbox = Sandbox::new()
        .file("home/.config/spellflow/config.toml", "output = \"yaml\"\ncolor = \"never\"\n")
        .file("spellflow.toml", "color = \"always\"\n[tools]\nhosts = [\"a.example\"]\nread_roots = [\"data\"]\n")
        .file("data/x", "");
    let ended = shown(&sandbox, &[("SPELLFLOW_TOOLS_HOSTS", "b.example, c.example")], &["-o", "json"]);
    let all = ended.json();
    let path = |name: &str| sandbox.path(name).canonicalize().unwrap().display().to_string();
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
fn project_file_is_found_in_parent_folders() {
    let sandbox = Sandbox::new().file("spellflow.toml", "timeout = \"5m\"\n").file("a/b/x", "");
    let ended =
        CommandOutput::new(sandbox.command(&["config", "show"]).current_dir(sandbox.path("a/b")).output().unwrap());
    assert!(ended.stdout.contains("timeout = \"5m\"\n"), "{}", ended.stdout);
}

#[test]
fn invalid_keys_and_values_are_rejected_with_help() {
    for (file, variables, message, help) in [
        ("ouput = \"json\"", &[][..], "unknown setting `ouput`", "did you mean `output`?"),
        ("hosts = []", &[], "unknown setting `hosts`", "did you mean `tools.hosts`?"),
        ("output = \"xml\"", &[], "`output` must be one of text, json, jsonl, yaml, got \"xml\"", ""),
        ("timeout = \"soon\"", &[], "`timeout` must be a duration such as `90s` or `5m`, got \"soon\"", ""),
        ("a = ", &[], "line 1", ""),
        ("", &[("SPELLFLOW_OUTPU", "json")], "unknown setting `SPELLFLOW_OUTPU`", "did you mean `SPELLFLOW_OUTPUT`?"),
        // The prefix shared by all variables does not make them similar.
        ("", &[("SPELLFLOW_NOPE", "x")], "unknown setting `SPELLFLOW_NOPE`", "`spellflow config show`"),
        // There is no such setting, because no tool reads environment variables.
        ("[tools]\nenvironment = []", &[], "unknown setting `tools.environment`", ""),
        ("timeout = 0", &[], "`timeout` must be a duration", ""),
        ("", &[("SPELLFLOW_TOOLS_REDIRECTS_MAX", "x")], "must be a whole number, got `x`", ""),
    ] {
        let ended = shown(&Sandbox::new().file("spellflow.toml", file), variables, &[]);
        assert_eq!(ended.code, 2, "{file} {}", ended.stdout);
        assert!(ended.stderr.contains(message) && ended.stderr.contains(help), "{file}: {}", ended.stderr);
    }
}

#[test]
fn environment_variables_set_for_steps_are_not_read_as_settings() {
    let ended = shown(&Sandbox::new(), &[("SPELLFLOW_RUN_ID", "x"), ("SPELLFLOW_STEP_PATH", "/main/a")], &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn api_keys_are_masked() {
    let sandbox = Sandbox::new().file("spellflow.toml", "[tools.search.providers.brave]\napi_key = \"hunter2\"\n");
    let ended = shown(&sandbox, &[], &[]);
    assert!(ended.stdout.contains("tools.search.providers.brave.api_key = \"***\""), "{}", ended.stdout);
}
