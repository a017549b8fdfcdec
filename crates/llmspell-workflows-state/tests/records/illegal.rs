//! Records that cannot follow are refused, with the number, the step and the reason.

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
fn refused(lines: &[&str], expected: &str) {
    assert_eq!(read(lines).unwrap_err(), expected);
    assert!(read(&lines[..lines.len() - 1]).is_ok(), "only the last record is illegal");
}

#[test]
fn nothing_comes_before_the_start_and_the_start_comes_once() {
    refused(&[BEGAN], "record 0 at /main/a: a run begins with `started`, not with `began`");
    refused(&[STARTED, STARTED], "record 1: the run was started twice");
}

#[test]
fn a_step_ends_once_and_does_not_begin_after_that() {
    refused(&[STARTED, BEGAN, ENDED, ENDED], "record 3 at /main/a: the step ended twice");
    refused(&[STARTED, BEGAN, ENDED, BEGAN], "record 3 at /main/a: the step has ended, and cannot begin again");
    let stopped = r#"{"stopped":{"path":"/main/a","t":1}}"#;
    refused(&[STARTED, stopped], "record 1 at /main/a: the step is stopped and is not at work");
    assert!(read(&[STARTED, BEGAN, BEGAN, stopped, BEGAN, ENDED]).is_ok(), "a leaf that crashes cut begins again");
}

#[test]
fn a_choice_is_made_once() {
    refused(&[STARTED, DECIDED, DECIDED], "record 2 at /main/a: the choice `branch` was made twice");
    let other = r#"{"decided":{"path":"/main/a","choice":{"while":[0,true]},"t":1}}"#;
    assert!(read(&[STARTED, DECIDED, other]).is_ok());
}

#[test]
fn a_choice_that_was_withheld_is_not_recorded() {
    let given_up = r#"{"decided":{"path":"/main/a","choice":{"attempt":[1,"given_up"]},"t":1}}"#;
    refused(
        &[STARTED, given_up],
        "record 1 at /main/a: the choice `attempt 1` was withheld, and so cannot be recorded",
    );
}

#[test]
fn a_step_gets_stuck_once_and_not_after_it_completed() {
    refused(&[STARTED, BEGAN, STUCK, STUCK], "record 3 at /main/a: the step is stuck already");
    refused(&[STARTED, BEGAN, ENDED, STUCK], "record 3 at /main/a: the step has ended, and not by failing");
}

#[test]
fn after_the_close_comes_nothing_but_a_rewind() {
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
        assert!(error.ends_with(&format!("the run had ended, and `{kind}` cannot follow")), "{error}");
    }
    assert!(read(&[STARTED, BEGAN, ENDED, CLOSED, REWOUND, BEGAN, ENDED, CLOSED]).is_ok());
}

#[test]
fn what_is_taken_back_was_there() {
    let undecided = r#"{"rewound":{"t":4,"undecided":[{"path":"/main/a","key":"branch"}]}}"#;
    let reason = "it takes back the choice `branch` of /main/a, which was not made";
    refused(&[STARTED, undecided], &format!("record 1: {reason}"));
    assert!(read(&[STARTED, DECIDED, undecided, DECIDED]).is_ok());
    let migrated = r#"{"redefined":{"t":4,"definition":"e","migrated":{"changes":{"/main/a":[]}}}}"#;
    refused(
        &[STARTED, BEGAN, migrated],
        "record 2: it migrates what /main/a changed in the state, which has not completed",
    );
}

#[test]
fn a_reference_to_nothing_is_named() {
    let refers = r#"{"ended":{"path":"/main","end":{"completed":{"output":{"r":"/main/gone"}}},"t":2}}"#;
    refused(&[STARTED, refers], "record 1 at /main: it refers to the output of /main/gone, which is not there");
}
