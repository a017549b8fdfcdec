use std::fs;

use serde_json::json;

use super::{check_readme, sandbox_with, shell};
use crate::support::{Sandbox, show};

const WORKFLOW: &str = "examples/build-pipeline/build-pipeline.yaml";
const REPOSITORY: &str = "target/build-pipeline/repository";

/// Creates a sandbox with the example's repository, and runs `more` in it.
fn sandbox_with_repository(more: &str) -> Sandbox {
    let sandbox = sandbox_with("build-pipeline");
    let created = shell(&sandbox, &format!("sh examples/build-pipeline/make-repository.sh {REPOSITORY} && {more}"));
    assert_eq!(created.code, 0, "{}", created.stderr);
    sandbox
}

fn deployed(sandbox: &Sandbox) -> Option<String> {
    let link = fs::read_link(sandbox.path("target/build-pipeline/current")).ok()?;
    Some(link.file_name().unwrap().to_string_lossy().into_owned())
}

#[test]
fn output_matches_the_readme() {
    check_readme(&sandbox_with("build-pipeline"), "build-pipeline");
}

#[test]
fn failing_test_stops_the_deployment_and_keeps_the_previous_release() {
    let sandbox = sandbox_with_repository("true");
    assert_eq!(sandbox.run(&["run", WORKFLOW]).code, 0);
    let before = deployed(&sandbox).unwrap();
    assert!(before.starts_with("app-1.0.0-"), "{before}");
    let broken = shell(&sandbox, &format!("sh examples/build-pipeline/make-repository.sh {REPOSITORY} --broken"));
    assert_eq!(broken.code, 0, "{}", broken.stderr);

    let ended = sandbox.run(&["run", WORKFLOW]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_eq!(deployed(&sandbox), Some(before));
    let steps = show(&sandbox, "@last")["steps"].as_array().unwrap().clone();
    let statuses: Vec<_> =
        steps.iter().map(|step| (step["path"].as_str().unwrap(), step["status"].as_str().unwrap())).collect();
    for expected in [
        ("/main/lint", "completed"),
        ("/main/unit", "failed"),
        ("/main/package", "skipped"),
        ("/main/deploy", "skipped"),
    ] {
        assert!(statuses.contains(&expected), "{statuses:?}");
    }
}

#[test]
fn failing_lint_stops_the_deployment() {
    let spoil = format!(
        "cd {REPOSITORY} && printf 'echo Hello, $1!  \\n' > greet.sh && git -c user.name=A -c user.email=a@example.com commit --quiet --all --message Spoil"
    );
    let sandbox = sandbox_with_repository(&spoil);
    let ended = sandbox.run(&["run", WORKFLOW]);
    assert_eq!((ended.code, deployed(&sandbox)), (1, None), "{}", ended.stderr);
}

#[test]
fn retry_deploys_after_the_repository_is_fixed() {
    let sandbox =
        sandbox_with_repository(&format!("sh examples/build-pipeline/make-repository.sh {REPOSITORY} --broken"));
    assert_eq!(sandbox.run(&["run", WORKFLOW]).code, 1);
    let reverted = shell(
        &sandbox,
        &format!("git -C {REPOSITORY} -c user.name=A -c user.email=a@example.com revert --no-edit HEAD"),
    );
    assert_eq!(reverted.code, 0, "{}", reverted.stderr);
    let ended = sandbox.run(&["retry", "@last", "--from", "checkout", "-o", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.json()["output"]["deployed"], json!(deployed(&sandbox).unwrap()));
}
