use std::net::TcpListener;

use crate::support::{Place, Ran};

/// The status and the message of one check.
fn check(ran: &Ran, name: &str) -> (String, String) {
    let checks = ran.json()["checks"].clone();
    let found = checks.as_array().into_iter().flatten().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no check `{name}` in {checks}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

#[test]
fn a_machine_that_is_set_up_is_well() {
    let place = Place::new();
    let ran = place.run(&["doctor", "-o", "json"]).ok();
    assert_eq!(check(&ran, "configuration").0, "ok");
    assert_eq!(check(&ran, "write .").0, "ok");
    let text = place.run(&["doctor"]).ok().out;
    assert!(text.contains("ok    tools: "), "{text}");
}

#[test]
fn a_key_is_told_to_be_there_and_never_printed() {
    let place = Place::with(
        "spellflow.toml",
        "[tools.search.providers.brave]\napi_key_env = \"BRAVE\"\n[tools.search.providers.tavily]\napi_key = \"hunter2\"\n[secrets]\nTOKEN = {env = \"TOKEN_VALUE\"}\n",
    );
    let ran = place.run(&["doctor", "-o", "json"]).ok();
    assert_eq!(check(&ran, "search brave").0, "warn");
    assert_eq!(check(&ran, "search tavily").0, "ok");
    assert_eq!(check(&ran, "secret TOKEN").0, "warn");
    let ran = place.run_with(&["doctor", "-o", "json"], &[("BRAVE", "hunter3"), ("TOKEN_VALUE", "hunter4")], "").ok();
    assert_eq!(check(&ran, "search brave").0, "ok");
    assert_eq!(check(&ran, "secret TOKEN"), ("ok".to_owned(), "set by TOKEN_VALUE".to_owned()));
    assert!(!ran.out.contains("hunter") && !ran.err.contains("hunter"), "{ran:?}");
}

#[test]
fn what_is_broken_fails_with_a_remedy() {
    let place = Place::with("spellflow.toml", "[tools]\nread_roots = [\"gone\"]\n");
    let ran = place.run(&["doctor", "-o", "json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(check(&ran, "tools").0, "fail");
    let place = Place::with("spellflow.toml", "[tols]\nx = 1\n");
    let ran = place.run(&["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("FAIL  configuration: "), "{ran:?}");
}

#[test]
fn endpoints_are_tried_only_online() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
    let toml = |port| {
        format!("[tools.search.providers.brave]\napi_key = \"k\"\nendpoint = \"http://u:pass@127.0.0.1:{port}/x\"\n")
    };
    let place = Place::with("spellflow.toml", &toml(port));
    assert!(!place.run(&["doctor"]).ok().out.contains("endpoint"));
    let ran = place.run(&["doctor", "--online", "-o", "json"]).ok();
    assert_eq!(check(&ran, &format!("endpoint 127.0.0.1:{port}")).0, "ok");
    assert!(!ran.out.contains("pass@"), "{ran:?}");
    drop(listener);
    assert_eq!(place.run(&["doctor", "--online"]).code, 1);
}
