use serde_json::{Value, json};

use crate::service::Service;

/// Returns the status of the step at `path`, as reported by the service.
fn step<'v>(shown: &'v Value, path: &str) -> &'v str {
    let step = shown["steps"].as_array().unwrap().iter().find(|step| step["path"] == path);
    step.unwrap_or_else(|| panic!("no step {path}: {shown}"))["status"].as_str().unwrap()
}

#[test]
fn service_starts_runs_and_reports_their_progress() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let (status, created) = service.post("/orders", &json!({"amount": 12}));
    assert_eq!(status, 201, "{created}");
    let run = created["run"].as_str().unwrap();
    let waiting = service.until(run, "waiting");
    assert_eq!(step(&waiting, "/main/charge"), "completed");
    assert_eq!(step(&waiting, "/main/approval"), "waiting");
    assert_eq!(service.post(&format!("/orders/{run}/approval"), &json!({"by": "Ada"})).0, 202);
    let completed = service.until(run, "completed");
    assert_eq!(step(&completed, "/main/ship"), "completed");
    // The run has ended, so there is nothing to approve.
    assert_eq!(service.post(&format!("/orders/{run}/approval"), &json!({"by": "Bob"})).0, 409);
    assert_eq!(service.get("/orders/00000000-0000-0000-0000-000000000000").0, 404);
    let (code, printed) = service.stop();
    assert_eq!((code, printed.as_slice()), (Some(0), &["charging 12".to_owned(), "stopped".to_owned()][..]));
}

#[test]
fn service_resumes_waiting_runs_after_a_restart() {
    resumes_after(|service| {
        let (code, printed) = service.stop();
        assert_eq!(code, Some(0));
        printed
    });
}

#[test]
fn service_resumes_runs_after_a_kill_without_charging_twice() {
    resumes_after(Service::kill);
}

/// Tests that a waiting run survives the end of the service and completes after the next start.
fn resumes_after(end: impl Fn(Service) -> Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let (_, created) = service.post("/orders", &json!({"amount": 12}));
    let run = created["run"].as_str().unwrap();
    service.until(run, "waiting");
    let before = end(service);

    let service = Service::start(folder.path());
    assert_eq!(service.printed, [format!("resuming {run}")]);
    service.until(run, "waiting");
    assert_eq!(service.post(&format!("/orders/{run}/approval"), &json!({"by": "Ada"})).0, 202);
    service.until(run, "completed");
    let (_, after) = service.stop();
    let charged = before.iter().chain(&after).filter(|line| line.starts_with("charging")).count();
    assert_eq!(charged, 1, "{before:?} {after:?}");
}
