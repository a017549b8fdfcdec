//! Nothing a crash does makes a difference: every pattern, crashed at every boundary.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod faults;
mod forgetting;
mod layers;
mod migrating;
mod random;
mod undoing;

use llmspell_workflows_testing::patterns;

#[test]
fn each_pattern_comes_to_the_same_end_wherever_it_is_crashed() {
    for definition in patterns::all() {
        let name = definition.name.clone();
        let report =
            patterns::crash_test(definition).crash_everywhere().unwrap_or_else(|difference| panic!("{difference}"));
        println!("{name}: {report:?}");
        assert!(report.crashes > 60, "{name}: only {report:?}");
    }
}
