//! What a retry runs again, in a run that did not end with a failed step.

use llmspell_workflows_basic::{
    Engine,
    model::{Definition, Step},
};
use llmspell_workflows_state::{Record, RewindError, Rewinding};
use serde_json::Map;

const STARTED: &str =
    r#"{"started":{"format":2,"at":"2026-01-01T00:00:00Z","workflow":"w","definition":"d","input":null}}"#;
const ENDED: &str = r#"{"ended":{"path":"/main/a","end":{"completed":{"output":{"v":1}}},"t":2}}"#;
const A_CANCELLED: &str = r#"{"ended":{"path":"/main/a","end":{"cancelled":{"reason":"requested"}},"t":2}}"#;
const ROOT_COMPLETED: &str = r#"{"ended":{"path":"/main","end":{"completed":{"output":{"v":1}}},"t":3}}"#;
const TIDY_CANCELLED: &str =
    r#"{"ended":{"path":"/main/$finally/tidy","end":{"cancelled":{"reason":"requested"}},"t":4}}"#;
const FINALLY_CANCELLED: &str =
    r#"{"ended":{"path":"/main/$finally","end":{"cancelled":{"reason":"requested"}},"t":5}}"#;
const ROOT_CANCELLED: &str = r#"{"ended":{"path":"/main","end":{"cancelled":{"reason":"requested"}},"t":3}}"#;
const CLOSED_CANCELLED: &str = r#"{"closed":{"end":{"cancelled":{"reason":"requested"}},"t":3}}"#;
const CLOSED_COMPLETED: &str = r#"{"closed":{"end":{"completed":{"output":{"v":1}}},"t":3}}"#;

/// Returns the steps that a retry of a run with these records reopens, and the leaves that it runs again.
fn retry(lines: &[&str]) -> Result<(Vec<String>, Vec<String>), RewindError> {
    let step = |id: &str| Step::set(id, Map::new());
    let definition =
        Definition { finally: vec![step("tidy").into()], ..Definition::sequence("w", [step("a"), step("b")]) };
    let plan = Engine::builder().build().prepare(definition).unwrap();
    let records: Vec<_> = lines.iter().map(|line| Record::decode(line.as_bytes()).unwrap()).collect();
    let mut rewinding = Rewinding::new(&plan, &records)?;
    rewinding.retry()?;
    let rewound = rewinding.rewound("2026-01-01T00:01:00Z".parse().unwrap());
    Ok((rewound.reopened, rewound.reentered.into_iter().map(|(path, _)| path).collect()))
}

#[test]
fn a_cancelled_run_can_be_retried_no_matter_how_far_it_got() {
    // The steps that a retry reopens, and those that it runs again.
    let table: [(&[&str], &[&str], &[&str]); 8] = [
        // The run was cancelled before a process entered it.
        (&[STARTED, CLOSED_CANCELLED], &[], &[]),
        // The run was cancelled after its process had died, before another process entered it.
        (&[STARTED, ENDED, CLOSED_CANCELLED], &[], &[]),
        // The process died after a step was cancelled, before the end of the root was recorded.
        (&[STARTED, A_CANCELLED, CLOSED_CANCELLED], &[], &["/main/a"]),
        (&[STARTED, ROOT_CANCELLED, CLOSED_CANCELLED], &["/main"], &[]),
        (&[STARTED, ENDED, ROOT_CANCELLED, CLOSED_CANCELLED], &["/main"], &[]),
        (&[STARTED, A_CANCELLED, ROOT_CANCELLED, CLOSED_CANCELLED], &["/main"], &["/main/a"]),
        // The run was cancelled in its `finally`.
        (&[STARTED, ROOT_COMPLETED, TIDY_CANCELLED, CLOSED_CANCELLED], &[], &["/main/$finally/tidy"]),
        (
            &[STARTED, ROOT_COMPLETED, TIDY_CANCELLED, FINALLY_CANCELLED, CLOSED_CANCELLED],
            &["/main/$finally"],
            &["/main/$finally/tidy"],
        ),
    ];
    for (records, reopened, again) in table {
        let expected =
            (reopened.iter().map(ToString::to_string).collect(), again.iter().map(ToString::to_string).collect());
        assert_eq!(retry(records).unwrap(), expected, "{records:?}");
    }
}

#[test]
fn a_run_without_a_failed_step_that_was_not_cancelled_cannot_be_retried() {
    for records in [&[STARTED][..], &[STARTED, ENDED], &[STARTED, ENDED, CLOSED_COMPLETED]] {
        assert_eq!(retry(records), Err(RewindError::NothingFailed), "{records:?}");
    }
}
