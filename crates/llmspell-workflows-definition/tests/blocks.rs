//! Tests all spellings of composite steps.

mod common;

use std::time::Duration;

use common::{definition, step, steps};
use llmspell_workflows_basic::model::{
    Aggregation, Case, Conditional, Delay, ErrorMode, IterationErrors, IterationMode, Loop, LoopSource, OnConflict,
    OnError, Parallel, ParallelOutput, Route, Step, StepKind, Switch, Transition,
};
use serde_json::{Value, json};

fn tool(id: &str) -> Step {
    Step::tool(id, "t", Value::Null)
}

fn list(ids: &[&str]) -> Vec<std::sync::Arc<Step>> {
    ids.iter().map(|id| std::sync::Arc::new(tool(id))).collect()
}

#[test]
fn conditionals_accept_all_spellings() {
    let expected = Conditional::new("a > 1", [tool("b")], [tool("c")]).into_step("x");
    for text in [
        "condition: a > 1, then_steps: [{id: b, tool: t}], else_steps: [{id: c, tool: t}]",
        "when: \"{{ a > 1 }}\", then: [{id: b, tool: t}], else: [{id: c, tool: t}]",
    ] {
        assert_eq!(step(&format!("{{id: x, type: conditional, {text}}}")), expected);
        assert_eq!(step(&format!("{{id: x, {text}}}")), expected, "the fields imply the type");
    }
    let skipped = step("{id: x, if: a, then: [], only_if: b}");
    assert_eq!(skipped.condition.as_deref(), Some("b"));
}

#[test]
fn steps_referenced_by_id_move_into_the_block() {
    let moved = steps(
        "[{id: x, if: a, then: [b, {id: i, tool: t}], else: y}, {id: b, tool: t, needs: x},
          {id: y, type: switch, cases: [{when: c, steps: [d]}], default: [e]}, {id: d, tool: t}, {id: e, tool: t}, {id: z, tool: t}]",
    );
    let inner =
        StepKind::Switch(Switch { cases: vec![Case { when: "c".into(), steps: list(&["d"]) }], default: list(&["e"]) });
    let expected = Conditional::new("a", [tool("b"), tool("i")], [Step::new("y", inner)]).into_step("x");
    assert_eq!(moved, [expected, tool("z")]);
}

#[test]
fn loops_accept_all_spellings() {
    let plain = Loop::items("{{ list }}", [tool("b")]);
    for (text, expected) in [
        ("items: \"{{ list }}\", steps: [{id: b, tool: t}]", plain.clone()),
        ("collection: \"{{ list }}\", loop_body: [{id: b, tool: t}], execution_mode: sequential", plain.clone()),
        (
            "items: [1], body: [{id: b, tool: t}], mode: parallel, max_concurrency: 3, max_iterations: 5, on_error: collect",
            Loop {
                max_iterations: Some(5),
                on_error: IterationErrors::Collect,
                ..Loop::items(json!([1]), [tool("b")]).parallel(3)
            },
        ),
        (
            "range: {end: \"{{ n }}\"}, steps: [{id: b, tool: t}], break_condition: done",
            Loop {
                until: Some("done".into()),
                mode: IterationMode::Sequential,
                ..Loop::new(LoopSource::Range { start: json!(0), end: json!("{{ n }}"), step: json!(1) }, [tool("b")])
            },
        ),
        ("while: \"${ more }\", steps: [{id: b, tool: t}]", Loop::new(LoopSource::While("more".into()), [tool("b")])),
    ] {
        assert_eq!(step(&format!("{{id: x, {text}}}")).kind, StepKind::Loop(expected.clone()), "{text}");
        assert_eq!(step(&format!("{{id: x, type: foreach, {text}}}")).kind, StepKind::Loop(expected), "{text}");
    }
    let both = step("{id: x, items: [], steps: [], on_error: continue, on_iteration_error: collect}");
    assert_eq!(both.on_error, OnError::Continue);
    assert!(matches!(both.kind, StepKind::Loop(Loop { on_error: IterationErrors::Collect, .. })));
}

#[test]
fn parallel_blocks_accept_all_spellings() {
    let both = || Parallel::new([tool("a"), tool("b")]);
    let members = "[{id: a, tool: t}, {id: b, tool: t}]";
    for (text, expected) in [
        (format!("steps: {members}"), both()),
        (
            format!("branches: {members}, wait_for: all, error_mode: fail_fast"),
            both().with_error_mode(ErrorMode::FailFast),
        ),
        (format!("parallel_steps: {members}, wait_for: any"), both().with_aggregation(Aggregation::First)),
        (format!("steps: {members}, aggregation: \"partial:2\""), both().with_aggregation(Aggregation::AtLeast(2))),
        (format!("steps: {members}, aggregation: majority"), both().with_aggregation(Aggregation::Majority)),
        (format!("steps: {members}, aggregation: best"), both().with_aggregation(Aggregation::Custom("best".into()))),
        (format!("steps: {members}, on_conflict: merge"), both().with_on_conflict(OnConflict::Merge)),
        (
            format!("steps: {members}, on_conflict: {{custom: merge}}"),
            both().with_on_conflict(OnConflict::Custom("merge".into())),
        ),
        (format!("steps: {members}, max_parallelism: 2"), Parallel { max_parallelism: Some(2), ..both() }),
    ] {
        assert_eq!(step(&format!("{{id: x, type: parallel, {text}}}")).kind, StepKind::Parallel(expected), "{text}");
    }
    let StepKind::Parallel(block) =
        step("{id: x, type: parallel, steps: [{id: a, steps: [{id: b, tool: t}], required: true}]}").kind
    else {
        panic!("expected a parallel block")
    };
    assert!(block.branches[0].required);
    assert_eq!(*block.branches[0].step, Step::sequence("a", [tool("b")]));
}

#[test]
fn fork_joins_accept_all_policies() {
    let timed = Step::sequence("l", [tool("a")]).with_timeout(Duration::from_secs(5));
    let expected = |aggregation| Parallel {
        aggregation,
        output: ParallelOutput::ByBranch,
        branch_timeout: Some(Delay::Fixed(Duration::from_secs(30))),
        ..Parallel::new([timed.clone(), Step::sequence("r", [tool("b"), tool("c")])])
    };
    let branches = "{l: {steps: [{id: a, tool: t}], timeout: 5}, r: [{id: b, tool: t}, {id: c, tool: t}]}";
    for (policy, aggregation) in [
        ("all", Aggregation::All),
        ("any", Aggregation::First),
        ("majority", Aggregation::Majority),
        ("n_of_m, n_required: 2", Aggregation::AtLeast(2)),
    ] {
        let text = format!(
            "{{id: x, type: fork-join, branches: {branches}, join_policy: {policy}, branch_timeout_seconds: 30}}"
        );
        assert_eq!(step(&text).kind, StepKind::Parallel(expected(aggregation)), "{policy}");
    }
}

#[test]
fn steps_with_next_step_form_a_route() {
    let expected = Route::new(
        "a",
        [
            tool("a").then_if("output.bad", "c").then("b"),
            tool("b").then("c"),
            Step {
                next: vec![
                    Transition { condition: Some("again".into()), target: Some("a".into()) },
                    Transition { condition: None, target: None },
                ],
                ..tool("c")
            },
            tool("d"),
        ],
    );
    let text = "
name: x
steps:
  - {id: a, tool: t, branches: [{condition: output.bad, next_step: c}, {next_step: b}]}
  - {id: b, tool: t}
  - {id: c, tool: t, next_step: [{when: again, target: a}, {target: end}]}
  - {id: d, tool: t, next_step: end}
";
    assert_eq!(definition(text).body, StepKind::Route(expected.clone()));
    let bounded = Route { transitions_max: Some(9), ..Route { start: "b".into(), ..expected.clone() } };
    assert_eq!(definition(&format!("{text}start_step: b\nmax_transitions: 9\n")).body, StepKind::Route(bounded));
    let inner = step("{id: x, items: [], steps: [{id: a, tool: t, next_step: b}, {id: b, tool: t}]}");
    let StepKind::Loop(inner) = inner.kind else { panic!("expected a loop") };
    assert_eq!(*inner.steps[0], Route::new("a", [tool("a").then("b"), tool("b")]).into_step("route"));
}

#[test]
fn a_step_named_end_is_a_valid_target() {
    let route = definition("{name: x, steps: [{id: a, tool: t, next_step: end}, {id: end, tool: t, next_step: null}]}");
    assert_eq!(route.body, StepKind::Route(Route::new("a", [tool("a").then("end"), tool("end")])));
}
