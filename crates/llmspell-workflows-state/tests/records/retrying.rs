//! Tests which steps a retry runs again if the run did not end with a failed step, and which
//! requests a retry revokes.

use std::sync::Arc;

use llmspell_workflows_basic::{
    Engine,
    model::{Definition, Step},
};
use llmspell_workflows_state::{Arrival, Epoch, Journal, MemoryJournal, Record, RewindError, Rewinding, RunJournal};
use serde_json::Map;
use uuid::Uuid;

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

/// Returns the steps reopened by a retry of a run with these records, and the leaves that run
/// again.
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
    // The records, the steps that a retry reopens, and the steps that it runs again.
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
fn a_run_without_a_failed_step_or_a_cancellation_cannot_be_retried() {
    for records in [&[STARTED][..], &[STARTED, ENDED], &[STARTED, ENDED, CLOSED_COMPLETED]] {
        assert_eq!(retry(records), Err(RewindError::NothingFailed), "{records:?}");
    }
}

/// Returns the steps that a retry reopens and the leaves that it runs again. The run's
/// `finally` consists of `steps`, each of which ended as given.
fn retried(
    main: &str,
    steps: &[(&str, &[&str], &str)],
    only_cleanup: bool,
) -> Result<(Vec<String>, Vec<String>), RewindError> {
    let finally = steps.iter().map(|(id, after, _)| Step::set(*id, Map::new()).after(after.to_vec()).into());
    let definition =
        Definition { finally: finally.collect(), ..Definition::sequence("w", [Step::set("a", Map::new())]) };
    let plan = Engine::builder().build().prepare(definition).unwrap();
    let failed = r#"{"failed":{"error":{"class":"agent","code":"x","message":"x","retryable":false,"attempt":1}}}"#;
    let end = |how: &str| match how {
        "completed" => r#"{"completed":{"output":{"v":1}}}"#.to_owned(),
        "cancelled" => r#"{"cancelled":{"reason":"requested"}}"#.to_owned(),
        _ => failed.to_owned(),
    };
    let ended = |path: &str, how: &str| format!(r#"{{"ended":{{"path":"{path}","end":{},"t":2}}}}"#, end(how));
    let mut lines = vec![STARTED.to_owned(), ended("/main/a", main), ended("/main", main)];
    for (id, _, how) in steps {
        lines.push(match *how {
            "skipped" => format!(
                r#"{{"decided":{{"path":"/main/$finally/{id}","choice":{{"enter":{{"code":"dependency_failed","message":"x"}}}},"t":2}}}}"#
            ),
            how => ended(&format!("/main/$finally/{id}"), how),
        });
    }
    let has_failed = steps.iter().any(|(.., how)| *how != "completed");
    lines.push(ended("/main/$finally", if has_failed { "failed" } else { "completed" }));
    lines.push(format!(r#"{{"closed":{{"end":{failed},"t":3}}}}"#));
    let records: Vec<_> = lines.iter().map(|line| Record::decode(line.as_bytes()).unwrap()).collect();
    let mut rewinding = Rewinding::new(&plan, &records)?;
    if only_cleanup {
        rewinding.retry_cleanup()?
    } else {
        rewinding.retry()?
    }
    let rewound = rewinding.rewound("2026-01-01T00:01:00Z".parse().unwrap());
    Ok((rewound.reopened, rewound.reentered.into_iter().map(|(path, _)| path.replace("/main/", "")).collect()))
}

#[test]
fn a_retry_runs_only_the_failed_steps_of_finally_again() {
    const ONE: &str = "$finally/one";
    const TWO: &str = "$finally/two";
    type Case<'c> = (&'c str, bool, &'c [(&'c str, &'c [&'c str], &'c str)], &'c [&'c str]);
    let table: [Case<'_>; 7] = [
        ("completed", false, &[("one", &[], "failed"), ("two", &[], "completed")], &[ONE]),
        ("completed", false, &[("one", &[], "completed"), ("two", &[], "failed")], &[TWO]),
        ("completed", false, &[("one", &[], "failed"), ("two", &[], "cancelled")], &[ONE, TWO]),
        // A step of a graph runs again after its dependency.
        ("completed", false, &[("one", &[], "failed"), ("two", &["one"], "completed")], &[ONE, TWO]),
        // All of `finally` runs again, since it is part of the run's end.
        ("failed", false, &[("one", &[], "failed"), ("two", &[], "completed")], &[ONE, TWO, "a"]),
        ("failed", true, &[("one", &[], "failed"), ("two", &[], "completed")], &[ONE]),
        ("cancelled", true, &[("one", &[], "completed"), ("two", &[], "failed")], &[TWO]),
    ];
    for (main, only_cleanup, steps, expected) in table {
        let (reopened, mut again) = retried(main, steps, only_cleanup).unwrap();
        again.sort();
        assert_eq!(again, expected, "{main}: {steps:?}");
        let has_main = reopened.iter().any(|path| path == "/main");
        assert_eq!(has_main, main == "failed" && !only_cleanup, "{reopened:?}");
        assert!(reopened.iter().any(|path| path == "/main/$finally"), "{reopened:?}");
    }
    let skipped = retried("completed", &[("one", &[], "failed"), ("two", &["one"], "skipped")], false).unwrap();
    assert_eq!(skipped, (vec!["/main/$finally".to_owned(), "/main/$finally/two".to_owned()], vec![ONE.to_owned()]));
    let none = [("one", &[][..], "completed")];
    assert_eq!(retried("failed", &none, true), Err(RewindError::NothingFailed));
}

/// A cancel request repeated during the cancellation is not recorded; a retry revokes it
/// nevertheless.
#[test]
fn a_retry_revokes_all_requests_to_cancel_the_run() {
    const ASKED: &str = r#"{"asked":{"request":"cancel","by":{"who":"user","message":3},"t":2}}"#;
    const REWOUND: &str = r#"{"rewound":{"t":4}}"#;
    const REWOUND_AFTER_FIVE: &str = r#"{"rewound":{"t":4,"settled_messages":5}}"#;
    for (rewound, settled) in [(REWOUND, 3), (REWOUND_AFTER_FIVE, 5)] {
        let lines = [STARTED, ASKED, CLOSED_CANCELLED, rewound];
        let records: Vec<_> = lines.iter().map(|line| Record::decode(line.as_bytes()).unwrap()).collect();
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let run = runtime.block_on(async {
            let arrival = Arrival { run: Uuid::nil(), after: Epoch::default(), records };
            journal.arrive(vec![arrival]).await.unwrap();
            RunJournal::open(journal, Uuid::nil()).await.unwrap()
        });
        assert_eq!(run.settled_messages(), settled, "{rewound}");
    }
}
