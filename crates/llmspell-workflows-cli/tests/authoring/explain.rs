//! Tests for `spellflow explain`.

use crate::support::Sandbox;

#[test]
fn error_codes_step_types_and_tools_are_explained() {
    let sandbox = Sandbox::with("x.yaml", "name: x\nsteps: []\n");
    for (name, expected) in [
        ("event_timeout", "# `event_timeout`"),
        ("[event_timeout]", "# `event_timeout`"),
        ("wait_for_event", "# `wait_for_event`"),
        ("csv_analyzer", "csv_analyzer\n"),
    ] {
        let shown = sandbox.run(&["explain", name]).ok().out;
        assert!(shown.starts_with(expected), "{name}: {shown}");
    }
    let pages = sandbox.run(&["explain", "switch", "-o", "json"]).ok().json();
    assert_eq!((pages[0]["kind"].as_str(), pages[0]["name"].as_str()), (Some("step_type"), Some("switch")));
    let unknown = sandbox.run(&["explain", "event_timout", "-o", "json"]);
    assert_eq!((unknown.code, unknown.json()["error"]["code"].as_str()), (4, Some("nothing_to_explain")));
    assert_eq!(unknown.json()["error"]["help"], "did you mean `event_timeout`?");
}
