//! A block's known fields are the fields its steps return.

use llmspell_workflows_basic::{
    Engine,
    model::{
        Aggregation, Branch, Conditional, Definition, ErrorMode, Loop, LoopSource, OnError, Parallel, ParallelOutput,
        Step,
    },
};
use serde_json::{Map, json};

/// Returns the problem codes of a workflow in which `template` reads `block`.
fn problems(block: Step, template: &str) -> Vec<&'static str> {
    let definition =
        Definition::sequence("w", [block, Step::set("b", Map::from_iter([("x".to_owned(), json!(template))]))]);
    Engine::builder().build().validate(definition).into_iter().map(|problem| problem.code).collect()
}

#[test]
fn blocks_have_the_fields_their_steps_return() {
    let of = |id: &str, field: &str| Step::set(id, Map::from_iter([(field.to_owned(), json!(1))]));
    let choice = || Conditional::new("input.go", [of("x", "x")], [of("y", "y")]).into_step("c");
    let handled = || Step { on_error: OnError::Steps(vec![of("h", "y").into()]), ..of("c", "x") };
    let parallel = |aggregation, output| {
        let parallel = Parallel { aggregation, output, ..Parallel::new([of("x", "x"), of("y", "y")]) };
        parallel.into_step("c")
    };
    let values = |aggregation| parallel(aggregation, ParallelOutput::Values);
    let by_branch = |aggregation| parallel(aggregation, ParallelOutput::ByBranch);
    let best_effort = |required| {
        let parallel = Parallel { error_mode: ErrorMode::BestEffort, ..Parallel::new([of("x", "x"), of("y", "y")]) };
        let branches = parallel.branches.into_iter().map(|branch| Branch { required, ..branch }).collect();
        Parallel { branches, output: ParallelOutput::ByBranch, error_mode: ErrorMode::BestEffort, ..Parallel::new([]) }
            .into_step("c")
    };
    let each = || Loop::new(LoopSource::Items(json!([1, 2])), [of("x", "x")]).into_step("c");
    let last = |last: Step| Loop::new(LoopSource::Items(json!([1, 2])), [of("x", "x"), last]).into_step("c");
    let skipped = || last(of("y", "x").when("input.go"));
    let ignored = || last(Step { on_error: OnError::Continue, ..of("y", "x") });
    let (absent, unknown, fine) = (["may_be_absent"].as_slice(), ["unknown_field"].as_slice(), [].as_slice());
    let table = [
        (skipped(), "{{ c.results[0].x }}", absent),
        (ignored(), "{{ c.results[0].x }}", absent),
        (skipped(), "{{ c.results[0] }}", fine),
        (skipped(), "{{ c.results[0]?.x }}", fine),
        (skipped(), "{{ c.total_count }}", fine),
        (choice(), "{{ c.x }}", absent),
        (choice(), "{{ c.y }}", absent),
        (choice(), "{{ c?.y }}", fine),
        (choice(), "{{ c.z }}", unknown),
        (handled(), "{{ c.x }}", absent),
        (handled(), "{{ c.y ?? 0 }}", fine),
        (handled(), "{{ c.z }}", unknown),
        (values(Aggregation::All), "{{ c[0].x }}", fine),
        (values(Aggregation::All), "{{ c[-1].y }}", fine),
        (values(Aggregation::All), "{{ c[0].y }}", unknown),
        (values(Aggregation::All), "{{ c[2].y }}", unknown),
        (values(Aggregation::Majority), "{{ c[0].x }}", absent),
        (values(Aggregation::Majority), "{{ c[0]?.x }}", fine),
        (values(Aggregation::First), "{{ c.x }}", absent),
        (values(Aggregation::First), "{{ c.z }}", unknown),
        (by_branch(Aggregation::All), "{{ c.x.x }}", fine),
        (by_branch(Aggregation::All), "{{ c.x.y }}", unknown),
        (by_branch(Aggregation::All), "{{ c.x.error.code }}", unknown),
        (by_branch(Aggregation::AtLeast(1)), "{{ c.x.x }}", absent),
        (by_branch(Aggregation::AtLeast(1)), "{{ c.x.error.code }}", absent),
        (by_branch(Aggregation::AtLeast(1)), "{{ c.x }}", fine),
        (best_effort(false), "{{ c.x.x }}", absent),
        (best_effort(false), "{{ c.x.error.code }}", absent),
        (best_effort(true), "{{ c.x.x }}", fine),
        (best_effort(true), "{{ c.x.error.code }}", unknown),
        (each(), "{{ c.results[0].x }}", fine),
        (each(), "{{ c.results[0].y }}", unknown),
        (each(), "{{ c.results.x }}", unknown),
        (each(), "{{ c.errors[0].error.code }}", fine),
        (each(), "{{ c.errors[0].code }}", unknown),
        (each(), "{{ c.iterations.x }}", unknown),
    ];
    for (block, template, expected) in table {
        assert_eq!(problems(block.clone(), template), expected, "{template} of {:?}", block.kind);
    }
}
