//! Crash tests: every pattern has the same result after a crash at any boundary as without a crash.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod faults;
mod forgetting;
mod layers;
mod migrating;
mod random;
mod secrets;
mod stuck;
mod undoing;

use llmspell_workflows_testing::patterns;

#[test]
fn every_pattern_has_the_same_result_after_a_crash_at_any_boundary() {
    for definition in patterns::all() {
        let name = definition.name.clone();
        let report =
            patterns::crash_test(definition).crash_everywhere().unwrap_or_else(|difference| panic!("{difference}"));
        println!("{name}: {report:?}");
        assert!(report.crashes > 60, "{name}: only {report:?}");
    }
}
