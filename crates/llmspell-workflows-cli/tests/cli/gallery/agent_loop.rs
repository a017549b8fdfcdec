use std::fs;

use serde_json::json;

use super::{follow_the_page, place_with};

const WORKFLOW: &str = "examples/agent-loop/agent-loop.yaml";

#[test]
fn it_prints_what_the_page_says() {
    follow_the_page(&place_with("agent-loop"), "agent-loop");
}

#[test]
fn the_agent_is_shown_the_failures_until_the_tests_pass_and_then_a_person_approves() {
    let place = place_with("agent-loop");
    let waiting = place.run(&["run", WORKFLOW, "-o", "json"]);
    assert_eq!(waiting.code, 5, "{}", waiting.stderr);
    assert!(!place.path("target/agent-loop/slug.sh").exists(), "nothing is published without an approval");
    let told = place.run(&["signal", "@last", "review", "--data", r#"{"approved": true, "by": "Ada"}"#]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let ended = place.run(&["resume", "@last", "-o", "json"]).json();
    let output = &ended["output"];
    assert_eq!((&output["rounds"], &output["by"]), (&json!(4), &json!("Ada")), "{output}");
    assert!(!output["report"].as_str().unwrap().contains("FAIL"), "{output}");
    let script = fs::read_to_string(place.path("target/agent-loop/slug.sh")).unwrap();
    assert!(script.contains("tr '[:upper:]' '[:lower:]'"), "{script}");
}

#[test]
fn nothing_is_published_when_the_person_says_no() {
    let place = place_with("agent-loop");
    assert_eq!(place.run(&["run", WORKFLOW]).code, 5);
    assert_eq!(place.run(&["signal", "@last", "review", "--data", r#"{"approved": false}"#]).code, 0);
    let ended = place.run(&["resume", "@last", "-o", "json"]);
    assert_eq!((ended.code, &ended.json()["output"]["approved"]), (0, &json!(false)), "{}", ended.stderr);
    assert!(!place.path("target/agent-loop/slug.sh").exists());
}

#[test]
fn an_agent_that_gets_nowhere_is_given_up_and_nobody_is_asked() {
    let place = place_with("agent-loop").file("idle.sh", "test \"$1\" = plan || printf 'exit 1' > \"$2/slug.sh\"\n");
    let ended = place.run(&["run", WORKFLOW, "--input", "agent=sh idle.sh", "-o", "json"]);
    assert_eq!((ended.code, &ended.json()["error"]["path"]), (1, &json!("/main/passed")), "{}", ended.stdout);
}
