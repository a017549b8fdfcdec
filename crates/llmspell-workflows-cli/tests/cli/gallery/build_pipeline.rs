use std::fs;

use serde_json::json;

use super::{follow_the_page, place_with, shell};
use crate::support::{Place, show};

const WORKFLOW: &str = "examples/build-pipeline/build-pipeline.yaml";
const REPOSITORY: &str = "target/build-pipeline/repository";

/// A place with the repository that the example makes, to which `more` is done.
fn place_with_repository(more: &str) -> Place {
    let place = place_with("build-pipeline");
    let made = shell(&place, &format!("sh examples/build-pipeline/make-repository.sh {REPOSITORY} && {more}"));
    assert_eq!(made.code, 0, "{}", made.stderr);
    place
}

fn deployed(place: &Place) -> Option<String> {
    let link = fs::read_link(place.path("target/build-pipeline/current")).ok()?;
    Some(link.file_name().unwrap().to_string_lossy().into_owned())
}

#[test]
fn it_prints_what_the_page_says() {
    follow_the_page(&place_with("build-pipeline"), "build-pipeline");
}

#[test]
fn a_failing_test_stops_the_deployment_and_what_was_deployed_stays() {
    let place = place_with_repository("true");
    assert_eq!(place.run(&["run", WORKFLOW]).code, 0);
    let before = deployed(&place).unwrap();
    assert!(before.starts_with("app-1.0.0-"), "{before}");
    let broken = shell(&place, &format!("sh examples/build-pipeline/make-repository.sh {REPOSITORY} --broken"));
    assert_eq!(broken.code, 0, "{}", broken.stderr);

    let ended = place.run(&["run", WORKFLOW]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_eq!(deployed(&place), Some(before));
    let steps = show(&place, "@last")["steps"].as_array().unwrap().clone();
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
fn a_failing_lint_stops_the_deployment_too() {
    let spoil = format!(
        "cd {REPOSITORY} && printf 'echo Hello, $1!  \\n' > greet.sh && git -c user.name=A -c user.email=a@example.com commit --quiet --all --message Spoil"
    );
    let place = place_with_repository(&spoil);
    let ended = place.run(&["run", WORKFLOW]);
    assert_eq!((ended.code, deployed(&place)), (1, None), "{}", ended.stderr);
}

#[test]
fn once_the_repository_is_fixed_the_same_run_deploys() {
    let place = place_with_repository(&format!("sh examples/build-pipeline/make-repository.sh {REPOSITORY} --broken"));
    assert_eq!(place.run(&["run", WORKFLOW]).code, 1);
    let reverted =
        shell(&place, &format!("git -C {REPOSITORY} -c user.name=A -c user.email=a@example.com revert --no-edit HEAD"));
    assert_eq!(reverted.code, 0, "{}", reverted.stderr);
    let ended = place.run(&["retry", "@last", "--from", "checkout", "-o", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.json()["output"]["deployed"], json!(deployed(&place).unwrap()));
}
