//! Illegal records are refused with their number, step and reason. Legal records determine
//! the run's status.

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::{Record, RunState};

const STARTED: &str =
    r#"{"started":{"format":2,"at":"2026-01-01T00:00:00Z","workflow":"w","definition":"d","input":null}}"#;
const BEGAN: &str = r#"{"began":{"path":"/main/a","t":1}}"#;
const ENDED: &str = r#"{"ended":{"path":"/main/a","end":{"completed":{"output":{"v":1}}},"t":2}}"#;
const DECIDED: &str = r#"{"decided":{"path":"/main/a","choice":{"branch":1},"t":1}}"#;
const STUCK: &str =
    r#"{"stuck":{"path":"/main/a","error":{"class":"poison","code":"c","message":"m","retryable":false},"t":1}}"#;
const CLOSED: &str = r#"{"closed":{"end":{"completed":{"output":{"v":1}}},"t":3}}"#;
const REWOUND: &str = r#"{"rewound":{"t":4,"reopened":["/main/a"]}}"#;

fn read(lines: &[&str]) -> Result<RunState, String> {
    let records: Vec<_> = lines.iter().map(|line| Record::decode(line.as_bytes()).unwrap()).collect();
    RunState::read(&records).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_refused(lines: &[&str], expected: &str) {
    assert_eq!(read(lines).unwrap_err(), expected);
    assert!(read(&lines[..lines.len() - 1]).is_ok(), "only the last record is illegal");
}

#[test]
fn only_the_first_record_starts_a_run() {
    assert_refused(&[BEGAN], "record 0 at /main/a: the first record must be `started`, got `began`");
    assert_refused(&[STARTED, STARTED], "record 1: the run was started twice");
}

#[test]
fn a_step_cannot_end_twice_or_begin_after_its_end() {
    assert_refused(&[STARTED, BEGAN, ENDED, ENDED], "record 3 at /main/a: the step ended twice");
    assert_refused(
        &[STARTED, BEGAN, ENDED, BEGAN],
        "record 3 at /main/a: the step has already ended, so it cannot begin",
    );
    let stopped = r#"{"stopped":{"path":"/main/a","t":1}}"#;
    assert_refused(&[STARTED, stopped], "record 1 at /main/a: the step is not executing, so it cannot be stopped");
    assert!(
        read(&[STARTED, BEGAN, BEGAN, stopped, BEGAN, ENDED]).is_ok(),
        "a leaf interrupted by crashes begins again"
    );
}

#[test]
fn a_choice_cannot_be_made_twice() {
    assert_refused(&[STARTED, DECIDED, DECIDED], "record 2 at /main/a: the choice `branch` was made twice");
    let other = r#"{"decided":{"path":"/main/a","choice":{"while":[0,true]},"t":1}}"#;
    assert!(read(&[STARTED, DECIDED, other]).is_ok());
}

#[test]
fn a_withheld_choice_cannot_be_recorded() {
    let given_up = r#"{"decided":{"path":"/main/a","choice":{"attempt":[1,"given_up"]},"t":1}}"#;
    assert_refused(
        &[STARTED, given_up],
        "record 1 at /main/a: the choice `attempt 1` was withheld, so it cannot be recorded",
    );
}

#[test]
fn a_stuck_or_completed_step_cannot_get_stuck() {
    assert_refused(&[STARTED, BEGAN, STUCK, STUCK], "record 3 at /main/a: the step is already stuck");
    assert_refused(&[STARTED, BEGAN, ENDED, STUCK], "record 3 at /main/a: the step has already ended without failing");
}

#[test]
fn only_a_rewind_can_follow_the_end_of_a_run() {
    for (line, kind) in [
        (BEGAN, "began"),
        (STUCK, "stuck"),
        (DECIDED, "decided"),
        (ENDED, "ended"),
        (CLOSED, "closed"),
        (r#"{"warned":{"path":"/main/a","code":"c","message":"m","t":1}}"#, "warned"),
        (r#"{"asked":{"request":"cancel","by":{"who":"user"},"t":1}}"#, "asked"),
        (r#"{"suspended":{"why":"paused","t":1}}"#, "suspended"),
        (r#"{"resumed":{"why":"woken","t":1}}"#, "resumed"),
        (r#"{"redefined":{"t":1,"definition":"e"}}"#, "redefined"),
    ] {
        let error = read(&[STARTED, CLOSED, line]).unwrap_err();
        assert!(error.ends_with(&format!("`{kind}` cannot follow the end of the run")), "{error}");
    }
    assert!(read(&[STARTED, BEGAN, ENDED, CLOSED, REWOUND, BEGAN, ENDED, CLOSED]).is_ok());
}

#[test]
fn only_existing_choices_and_changes_can_be_revoked() {
    let undecided = r#"{"rewound":{"t":4,"undecided":[{"path":"/main/a","key":"branch"}]}}"#;
    let reason = "it revokes the choice `branch` of /main/a, which was never made";
    assert_refused(&[STARTED, undecided], &format!("record 1: {reason}"));
    assert!(read(&[STARTED, DECIDED, undecided, DECIDED]).is_ok());
    let migrated = r#"{"redefined":{"t":4,"definition":"e","migrated":{"changes":{"/main/a":[]}}}}"#;
    assert_refused(
        &[STARTED, BEGAN, migrated],
        "record 2: it migrates the state changes of /main/a, which has not completed",
    );
}

#[test]
fn error_names_a_dangling_reference() {
    let refers = r#"{"ended":{"path":"/main","end":{"completed":{"output":{"r":"/main/gone"}}},"t":2}}"#;
    assert_refused(
        &[STARTED, refers],
        "record 1 at /main: it refers to the output of /main/gone, which does not exist",
    );
}

#[test]
fn a_suspended_run_stays_suspended_until_its_steps_change() {
    const SUSPENDED: &str = r#"{"suspended":{"why":"stuck","t":2}}"#;
    const WAITS: &str = r#"{"suspended":{"why":{"waiting":{}},"t":2}}"#;
    const PAUSED: &str = r#"{"suspended":{"why":"paused","t":2}}"#;
    let other = STUCK.replace("/main/a", "/main/b");
    for (records, status) in [
        (&[STUCK, SUSPENDED][..], RunStatus::Stuck),
        (&[STUCK, SUSPENDED, REWOUND], RunStatus::Interrupted),
        (&[STUCK, SUSPENDED, ENDED], RunStatus::Interrupted),
        (&[STUCK, &other, SUSPENDED, ENDED], RunStatus::Stuck),
        // A sub-workflow is stuck.
        (&[SUSPENDED], RunStatus::Stuck),
        (&[WAITS], RunStatus::Waiting),
        (&[WAITS, REWOUND], RunStatus::Interrupted),
        (&[PAUSED], RunStatus::Paused),
        (&[PAUSED, REWOUND], RunStatus::Interrupted),
    ] {
        let lines = [&[STARTED, BEGAN], records].concat();
        assert_eq!(read(&lines).unwrap().status(false), status, "{records:?}");
    }
}
