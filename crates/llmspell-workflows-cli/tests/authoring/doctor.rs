use std::net::TcpListener;

use crate::support::{CommandOutput, Sandbox};

/// Returns the status and the message of one check.
fn check(ran: &CommandOutput, name: &str) -> (String, String) {
    let checks = ran.json()["checks"].clone();
    let found = checks.as_array().into_iter().flatten().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no check `{name}` in {checks}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

#[test]
fn doctor_passes_on_a_valid_setup() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["doctor", "-o", "json"]).ok();
    assert_eq!(check(&ran, "configuration").0, "ok");
    assert_eq!(check(&ran, "write .").0, "ok");
    let text = sandbox.run(&["doctor"]).ok().out;
    assert!(text.contains("ok    tools: "), "{text}");
}

#[test]
fn doctor_checks_keys_without_printing_them() {
    let sandbox = Sandbox::with(
        "spellflow.toml",
        "[tools.search.providers.brave]\napi_key_env = \"BRAVE\"\n[tools.search.providers.tavily]\napi_key = \"hunter2\"\n[secrets]\nTOKEN = {env = \"TOKEN_VALUE\"}\n",
    );
    let ran = sandbox.run(&["doctor", "-o", "json"]).ok();
    assert_eq!(check(&ran, "search brave").0, "warn");
    assert_eq!(check(&ran, "search tavily").0, "ok");
    assert_eq!(check(&ran, "secret TOKEN").0, "warn");
    let ran = sandbox.run_with(&["doctor", "-o", "json"], &[("BRAVE", "hunter3"), ("TOKEN_VALUE", "hunter4")], "").ok();
    assert_eq!(check(&ran, "search brave").0, "ok");
    assert_eq!(check(&ran, "secret TOKEN"), ("ok".to_owned(), "set by TOKEN_VALUE".to_owned()));
    assert!(!ran.out.contains("hunter") && !ran.err.contains("hunter"), "{ran:?}");
}

#[test]
fn doctor_fails_on_a_broken_setup() {
    let sandbox = Sandbox::with("spellflow.toml", "[tools]\nread_roots = [\"gone\"]\n");
    let ran = sandbox.run(&["doctor", "-o", "json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(check(&ran, "tools").0, "fail");
    let sandbox = Sandbox::with("spellflow.toml", "[tols]\nx = 1\n");
    let ran = sandbox.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("FAIL  configuration: "), "{ran:?}");
}

#[test]
fn endpoints_are_checked_only_with_online() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
    let toml = |port| {
        format!("[tools.search.providers.brave]\napi_key = \"k\"\nendpoint = \"http://u:pass@127.0.0.1:{port}/x\"\n")
    };
    let sandbox = Sandbox::with("spellflow.toml", &toml(port));
    assert!(!sandbox.run(&["doctor"]).ok().out.contains("endpoint"));
    let ran = sandbox.run(&["doctor", "--online", "-o", "json"]).ok();
    assert_eq!(check(&ran, &format!("endpoint 127.0.0.1:{port}")).0, "ok");
    assert!(!ran.out.contains("pass@"), "{ran:?}");
    drop(listener);
    assert_eq!(sandbox.run(&["doctor", "--online"]).code, 1);
}
