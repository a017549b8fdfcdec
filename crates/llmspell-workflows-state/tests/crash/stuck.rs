//! A step with an unknown outcome stays stuck in every later process, wherever the processes crash.

use std::sync::Arc;

use llmspell_workflows_basic::{
    RunStatus,
    model::{Definition, Step},
};
use llmspell_workflows_testing::crash::{CrashPoint, CrashTest, Journal, MemoryJournal, SimClock, WatchedJournal};
use serde_json::json;

/// Runs one process. Returns the run's status, or `None` if the process crashed.
fn process(test: &CrashTest, journal: &Arc<MemoryJournal>, crash_at: u64) -> Option<RunStatus> {
    let point = CrashPoint::at(crash_at);
    let watched: Arc<dyn Journal> = Arc::new(WatchedJournal::new(journal.clone(), point.clone()));
    test.run_until(&watched, &SimClock::default(), &point).unwrap().map(|finished| finished.status)
}

#[test]
fn stuck_step_is_not_executed_by_any_later_process() {
    let pays = Definition::sequence("pays", [Step::function("pay", "pay", json!(5)).at_most_once()]);
    let test = CrashTest::new(pays, json!({})).activity("function", "pay", |_| async { Ok(json!("paid").into()) });
    let mut stuck = 0;
    for first in 0..12 {
        for second in 0..12 {
            for third in (0..12).step_by(3) {
                let journal = Arc::new(MemoryJournal::new());
                let mut executed = 0;
                let mut status = None;
                for crash_at in [first, second, third, u64::MAX] {
                    status = process(&test, &journal, crash_at);
                    executed += test.performed().values().sum::<u32>();
                }
                assert!(executed <= 1, "executed {executed} times with crashes at {first}, {second}, {third}");
                match status {
                    Some(RunStatus::Stuck) => stuck += 1,
                    other => assert_eq!(other, Some(RunStatus::Completed), "{first}, {second}, {third}"),
                }
            }
        }
    }
    assert!(stuck > 50, "only {stuck} runs were stuck");
}
