//! Random definitions have the same result after crashes as without a crash.
//!
//! `RANDOM_DEFINITIONS` sets the number of definitions, and `RANDOM_SEED` selects them.

use std::env;

use llmspell_workflows_testing::generate;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn random_definitions_have_the_same_result_after_crashes() {
    let (count, seed) = (number("RANDOM_DEFINITIONS", 30), number("RANDOM_SEED", 1));
    println!("{count} definitions from seed {seed}");
    let mut crashes = 0;
    for seed in seed..seed + count {
        let test = generate::crash_test(seed, |_| {});
        let report = test.crash_anywhere(6, seed).unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        crashes += report.crashes;
    }
    println!("{crashes} crashes");
    assert!(crashes >= count, "only {crashes} crashes");
}
