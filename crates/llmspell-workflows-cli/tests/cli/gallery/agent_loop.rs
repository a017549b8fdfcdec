use std::fs;

use serde_json::json;

use super::{check_readme, sandbox_with};

const WORKFLOW: &str = "examples/agent-loop/agent-loop.yaml";

#[test]
fn output_matches_the_readme() {
    check_readme(&sandbox_with("agent-loop"), "agent-loop");
}

#[test]
fn agent_iterates_until_tests_pass_then_waits_for_approval() {
    let sandbox = sandbox_with("agent-loop");
    let waiting = sandbox.run(&["run", WORKFLOW, "-o", "json"]);
    assert_eq!(waiting.code, 5, "{}", waiting.stderr);
    assert!(!sandbox.path("target/agent-loop/slug.sh").exists(), "nothing is published without an approval");
    let sent = sandbox.run(&["signal", "@last", "review", "--data", r#"{"approved": true, "by": "Ada"}"#]);
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    let ended = sandbox.run(&["resume", "@last", "-o", "json"]).json();
    let output = &ended["output"];
    assert_eq!((&output["rounds"], &output["by"]), (&json!(4), &json!("Ada")), "{output}");
    assert!(!output["report"].as_str().unwrap().contains("FAIL"), "{output}");
    let script = fs::read_to_string(sandbox.path("target/agent-loop/slug.sh")).unwrap();
    assert!(script.contains("tr '[:upper:]' '[:lower:]'"), "{script}");
}

#[test]
fn rejected_review_publishes_nothing() {
    let sandbox = sandbox_with("agent-loop");
    assert_eq!(sandbox.run(&["run", WORKFLOW]).code, 5);
    assert_eq!(sandbox.run(&["signal", "@last", "review", "--data", r#"{"approved": false}"#]).code, 0);
    let ended = sandbox.run(&["resume", "@last", "-o", "json"]);
    assert_eq!((ended.code, &ended.json()["output"]["approved"]), (0, &json!(false)), "{}", ended.stderr);
    assert!(!sandbox.path("target/agent-loop/slug.sh").exists());
}

#[test]
fn run_fails_before_the_review_if_tests_never_pass() {
    let sandbox =
        sandbox_with("agent-loop").file("idle.sh", "test \"$1\" = plan || printf 'exit 1' > \"$2/slug.sh\"\n");
    let ended = sandbox.run(&["run", WORKFLOW, "--input", "agent:=[\"sh\", \"idle.sh\"]", "-o", "json"]);
    assert_eq!((ended.code, &ended.json()["error"]["path"]), (1, &json!("/main/passed")), "{}", ended.stdout);
}
