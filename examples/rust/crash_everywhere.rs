//! A test that crashes a workflow at every boundary at which a process can die, and what it finds.
//!
//! ```console
//! $ cargo test --example crash_everywhere
//! $ cargo run --example crash_everywhere
//! ```
//!
//! Each crash is followed by a resumption, which must come to the output of a run that nothing disturbed. Two workflows
//! number invoices. One takes the next number of a counter; a crash between taking and recording it leaves a gap. The
//! other one derives the number from the idempotency key, which stays the same when a step runs again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use llmspell_workflows::model::{Definition, Step};
use llmspell_workflows_testing::crash::{CrashReport, CrashTest, Difference};
use serde_json::json;

/// Numbers an invoice, then sends it.
fn invoice() -> CrashTest {
    let steps = [
        Step::function("number", "number", json!({"customer": "{{ customer }}"})),
        Step::function("send", "send", json!({"number": "{{ number }}"})),
    ];
    let test = CrashTest::new(Definition::sequence("invoice", steps), json!({"customer": "Ada"}));
    test.activity("function", "send", |call| async move { Ok(call.input().clone().into()) })
}

/// Takes the next number of a counter.
fn counted() -> Result<CrashReport, Difference> {
    let last = Arc::new(AtomicU64::new(0));
    let fresh = last.clone();
    invoice()
        .activity("function", "number", move |_| {
            let number = last.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(json!(number).into()) }
        })
        // An engine is built once for each run that is tried, so each of them begins with a fresh counter.
        .engine(move |engine| {
            fresh.store(0, Ordering::SeqCst);
            engine
        })
        .crash_everywhere()
}

/// Takes the number that belongs to this step of this run.
fn derived() -> Result<CrashReport, Difference> {
    invoice()
        .activity("function", "number", |call| async move { Ok(json!(call.idempotency_key()).into()) })
        .crash_everywhere()
}

fn main() {
    for (name, found) in [("a counter", counted()), ("the idempotency key", derived())] {
        match found {
            Ok(report) => println!("{name}: {} crashes, and none makes a difference", report.crashes),
            Err(difference) => println!("{name}: {difference}"),
        }
    }
}
