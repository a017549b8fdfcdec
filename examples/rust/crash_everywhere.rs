//! A test that crashes a workflow at every boundary where a process can die.
//!
//! ```console
//! $ cargo test --example crash_everywhere
//! $ cargo run --example crash_everywhere
//! ```
//!
//! After each crash, the run is resumed and must produce the same output as an uninterrupted run.
//! Two workflows number invoices. The first workflow takes the next number from a counter; a crash
//! between taking and recording the number leaves a gap. The second workflow derives the number
//! from the idempotency key, which stays the same when a step runs again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use llmspell_workflows::model::{Definition, Step};
use llmspell_workflows_testing::crash::{CrashReport, CrashTest, Difference};
use serde_json::json;

/// Returns a crash test for a workflow that numbers an invoice and sends it.
fn invoice() -> CrashTest {
    let steps = [
        Step::function("number", "number", json!({"customer": "{{ customer }}"})),
        Step::function("send", "send", json!({"number": "{{ number }}"})),
    ];
    let test = CrashTest::new(Definition::sequence("invoice", steps), json!({"customer": "Ada"}));
    test.activity("function", "send", |call| async move { Ok(call.input().clone().into()) })
}

/// Crashes the workflow that takes the next number from a counter.
fn counted() -> Result<CrashReport, Difference> {
    let last = Arc::new(AtomicU64::new(0));
    let fresh = last.clone();
    invoice()
        .activity("function", "number", move |_| {
            let number = last.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(json!(number).into()) }
        })
        // An engine is built for each tested run, so each run starts with a fresh counter.
        .engine(move |engine| {
            fresh.store(0, Ordering::SeqCst);
            engine
        })
        .crash_everywhere()
}

/// Crashes the workflow that derives the number from the step's idempotency key.
fn derived() -> Result<CrashReport, Difference> {
    invoice()
        .activity("function", "number", |call| async move { Ok(json!(call.idempotency_key()).into()) })
        .crash_everywhere()
}

fn main() {
    for (name, found) in [("a counter", counted()), ("the idempotency key", derived())] {
        match found {
            Ok(report) => println!("{name}: {} crashes, no differences", report.crashes),
            Err(difference) => println!("{name}: {difference}"),
        }
    }
}
