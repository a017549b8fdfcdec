//! Random definitions come to the same end wherever they are crashed.
//!
//! `RANDOM_DEFINITIONS` says how many, `RANDOM_SEED` which.

use std::env;

use llmspell_workflows_basic::{
    activity::ActivityContext,
    engine::{SchemaCheck, Violation},
};
use llmspell_workflows_testing::{crash::CrashTest, generate};
use serde_json::{Value, json};

/// Takes everything for valid.
struct AnySchema;

impl SchemaCheck for AnySchema {
    fn check(&self, _schema: &Value, _data: &Value) -> Result<Vec<Violation>, String> {
        Ok(Vec::new())
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn random_definitions_come_to_the_same_end_wherever_they_are_crashed() {
    let (count, seed) = (number("RANDOM_DEFINITIONS", 30), number("RANDOM_SEED", 1));
    println!("{count} definitions from seed {seed}");
    let mut crashes = 0;
    for seed in seed..seed + count {
        let probe = |context: ActivityContext| async move {
            generate::probe(context.input(), context.attempt()).map(Into::into)
        };
        let definition = generate::settled(generate::from_seed(seed));
        let test = CrashTest::new(definition, json!({"n": 2, "items": [1, 2]}))
            .activity("function", generate::FUNCTION, probe)
            .activity("tool", generate::TOOL, probe)
            .engine(|builder| builder.concurrency(generate::LIMIT, 2).schemas(AnySchema));
        let report = test.crash_anywhere(6, seed).unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        crashes += report.crashes;
    }
    println!("{crashes} crashes");
    assert!(crashes >= count, "only {crashes} crashes");
}
