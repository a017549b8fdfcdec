//! The engine accepts generated definitions.

use llmspell_workflows_basic::{
    Engine, Severity,
    activity::{Activities, function},
};
use llmspell_workflows_testing::generate;
use proptest::prelude::*;

fn engine() -> Engine {
    let mut activities = Activities::new();
    for (kind, name) in [("function", generate::FUNCTION), ("tool", generate::TOOL)] {
        activities.register(kind, name, function(|call| async move { Ok(call.input().clone()) }));
    }
    Engine::builder().activities(activities).build()
}

proptest! {
    #[test]
    fn generated_definitions_are_valid(definition in generate::definition()) {
        let problems = engine().validate(definition);
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        prop_assert!(errors.is_empty(), "{errors:#?}");
    }
}
