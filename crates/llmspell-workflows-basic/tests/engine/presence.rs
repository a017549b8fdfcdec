//! Reading a step that may have no output causes a warning if, and only if, the template can fail.

use std::time::Duration;

use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    model::{
        Case, Conditional, Definition, Loop, LoopSource, OnError, Parallel, ParallelOutput, Route, Step, StepKind,
        Switch, Transition, TriggerRule,
    },
};
use serde_json::{Map, Value, json};

use crate::support::{Lab, fail, hang};

fn set(id: &str, value: &str) -> Step {
    Step::set(id, Map::from_iter([("x".to_owned(), json!(value))]))
}

fn needs(step: Step, ids: &[&str]) -> Step {
    Step { dependencies: ids.iter().map(|id| (*id).to_owned()).collect(), ..step }
}

fn warns(definition: Definition) -> bool {
    let problems = Engine::builder().build().validate(definition);
    assert!(problems.iter().all(|problem| problem.code == "may_be_absent"), "{problems:?}");
    !problems.is_empty()
}

#[test]
fn reading_a_step_that_may_be_skipped_or_fail_causes_a_warning() {
    let skipped = || set("a", "1").when("input.go");
    let continues = || Step { on_error: OnError::Continue, ..set("a", "1") };
    let table: [(&str, Vec<Step>, bool); 19] = [
        ("a field", vec![skipped(), set("b", "{{ a.x }}")], true),
        ("a field under `steps`", vec![skipped(), set("b", "{{ steps.a.output.x }}")], true),
        ("a field of the result", vec![skipped(), set("b", "{{ a.result.x }}")], true),
        ("the whole output", vec![skipped(), set("b", "{{ a }}")], false),
        ("the status", vec![skipped(), set("b", "{{ steps.a.status }}")], false),
        ("an optional field", vec![skipped(), set("b", "{{ a?.x }}")], false),
        ("a default", vec![skipped(), set("b", "{{ a.x ?? 'none' }}")], false),
        ("after a question", vec![skipped(), set("b", "{{ a ? a.x : 0 }}")], false),
        ("after its status", vec![skipped(), set("b", "{{ steps.a.status == 'completed' ? a.x : 0 }}")], false),
        ("after a question elsewhere", vec![skipped(), set("b", "{{ a }} {{ a.x }}")], true),
        ("in a condition", vec![skipped(), set("b", "1").when("a.x == 1")], false),
        ("under a condition about the step", vec![skipped(), set("b", "{{ a.x }}").when("a")], false),
        ("under the same condition", vec![skipped(), set("b", "{{ a.x }}").when("input.go")], false),
        ("under another condition", vec![skipped(), set("b", "{{ a.x }}").when("input.stop")], true),
        (
            "in a branch that depends on the step",
            vec![
                skipped(),
                Conditional::new("steps.a.status == 'completed'", [set("b", "{{ a.x }}")], []).into_step("c"),
            ],
            false,
        ),
        ("failed", vec![continues(), set("b", "{{ a.x }}")], true),
        ("a step that cannot be skipped", vec![set("a", "1"), set("b", "{{ a.x }}")], false),
        ("depends on it alone", vec![skipped(), needs(set("b", "{{ a.x }}"), &["a"])], false),
        ("depends on more", vec![skipped(), set("o", "1"), needs(set("b", "{{ a.x }}"), &["a", "o"])], true),
    ];
    for (what, steps, expected) in table {
        assert_eq!(warns(Definition::sequence("w", steps)), expected, "{what}");
    }
    let all = Step { trigger_rule: TriggerRule::AllSuccess, ..needs(set("b", "{{ a.x }}"), &["a", "o"]) };
    assert!(!warns(Definition::sequence("w", [skipped(), set("o", "1"), all])), "all must have succeeded");
}

#[test]
fn conditions_guard_a_step_only_if_they_are_false_without_the_output() {
    let table = [
        // Conditions that cannot be true if the step has no output.
        ("a", true),
        ("a.x", true),
        ("steps.a.output", true),
        ("steps.a.output.x == 'y'", true),
        ("a != null", true),
        ("not (a == null)", true),
        ("a.has('x')", true),
        ("a.x.length > 0", true),
        ("a.x > 3", true),
        ("a.x in ['one', 'two']", true),
        ("(a.x | default('none')) != 'none'", true),
        ("(a.x ?? 'none') == 'done'", true),
        ("a && input.other", true),
        ("input.other and a.x", true),
        ("a ? input.other : false", true),
        ("a.x or a.x == 1", true),
        ("steps.a.status == 'completed'", true),
        ("steps.a.status in ['completed', 'compensated']", true),
        ("steps.a.status != 'skipped'", true),
        ("conditions.ready", true),
        ("ready", true),
        ("input.go", true),
        ("false", true),
        // Conditions that can be true if the step has no output.
        ("not a", false),
        ("a == null", false),
        ("!a.x", false),
        ("a or input.other", false),
        ("a.x ?? true", false),
        ("input.other ? a : true", false),
        ("steps.a.status == 'skipped'", false),
        ("steps.a.status != 'failed'", false),
        ("steps.a", false),
        ("conditions.absent", false),
        ("input.other", false),
        ("a.x != 'y'", false),
        ("true", false),
    ];
    for (condition, guards) in table {
        let steps = || [set("a", "1").when("input.go"), set("b", "{{ a.x }}").when(condition)];
        let named = [("ready".to_owned(), "a.x == 1".to_owned()), ("absent".to_owned(), "not a".to_owned())];
        let with = |definition| Definition { conditions: named.clone().into_iter().collect(), ..definition };
        assert_eq!(warns(with(Definition::sequence("w", steps()))), !guards, "{condition}");
    }
    let table = [
        ("{{ a ? a.x : 0 }}", false),
        ("{{ a and a.x }}", false),
        ("{{ not a or a.x }}", false),
        ("{{ a == null ? 0 : a.x }}", false),
        ("{{ a?.x ? a.x : 0 }}", false),
        ("{{ ready ? a.x : 0 }}", false),
        ("{{ steps.a.status == 'completed' ? a.x : 0 }}", false),
        ("{{ steps.a.status != 'skipped' ? a.x : 0 }}", false),
        ("{{ a ? 0 : a.x }}", true),
        ("{{ a or a.x }}", true),
        ("{{ a.x ? a.x : 0 }}", true),
        ("{{ steps.a.status == 'skipped' ? a.x : 0 }}", true),
    ];
    for (template, expected) in table {
        let steps = [set("a", "1").when("input.go"), set("b", template)];
        let named = [("ready".to_owned(), "a != null".to_owned())].into_iter().collect();
        let definition = Definition { conditions: named, ..Definition::sequence("w", steps) };
        assert_eq!(warns(definition), expected, "{template}");
    }
}

#[test]
fn conditions_of_a_block_guard_the_steps_inside_it() {
    let skipped = || set("a", "1").when("input.go");
    let reads = || set("b", "{{ a.x }}");
    let none = || Vec::<Step>::new();
    let choice = |condition: &str, then: Vec<Step>, otherwise: Vec<Step>| {
        Definition::sequence("w", [skipped(), Conditional::new(condition, then, otherwise).into_step("c")])
    };
    let case = |when: &str, step: Step| Case { when: when.to_owned(), steps: vec![step.into()] };
    let switch = |cases: Vec<Case>, default: Vec<Step>| {
        let default = default.into_iter().map(Into::into).collect();
        Definition::sequence("w", [skipped(), Step::new("c", StepKind::Switch(Switch { cases, default }))])
    };
    let during = |condition: &str| {
        let each = Loop { max_iterations: Some(3), ..Loop::new(LoopSource::While(condition.into()), [reads()]) };
        Definition::sequence("w", [skipped(), each.into_step("each")])
    };
    let table = [
        ("then", choice("a", vec![reads()], none()), false),
        ("then of another", choice("input.other", vec![reads()], none()), true),
        ("else", choice("a", none(), vec![reads()]), true),
        ("else of the negation", choice("not a", none(), vec![reads()]), false),
        ("else of a failure", choice("a.x > 3", none(), vec![reads()]), true),
        ("case", switch(vec![case("input.other", set("n", "1")), case("a", reads())], vec![]), false),
        ("another case", switch(vec![case("a", set("n", "1")), case("input.other", reads())], vec![]), true),
        ("after a case", switch(vec![case("a == null", set("n", "1")), case("input.other", reads())], vec![]), false),
        ("default", switch(vec![case("not a.x", set("n", "1"))], vec![reads()]), false),
        ("while", during("a and loop.index < 2"), false),
        ("another while", during("loop.index < 2"), true),
    ];
    for (what, definition, expected) in table {
        assert_eq!(warns(definition), expected, "{what}");
    }
}

#[test]
fn indirect_dependencies_guard_a_step() {
    let over = |rule: TriggerRule| {
        let middle = Step { trigger_rule: rule, ..needs(set("m", "1"), &["a"]) };
        let steps = [set("a", "1").when("input.go"), middle, needs(set("b", "{{ a.x }}"), &["m"])];
        Definition::sequence("w", steps)
    };
    assert!(!warns(over(TriggerRule::default())), "`b` runs only after `m`, and `m` only after `a`");
    assert!(warns(over(TriggerRule::AllDone)));
    let always_true = Definition::sequence("w", [set("a", "1").when("true"), set("b", "{{ a.x }}")]);
    assert!(!warns(always_true), "the condition cannot be false");
}

#[test]
fn parts_of_a_completed_block_can_be_absent() {
    let block = |condition: Option<&str>| {
        let branch = Step { condition: condition.map(str::to_owned), ..set("one", "1") };
        let branches = Parallel::new([branch, set("two", "2")]);
        Parallel { output: ParallelOutput::ByBranch, ..branches }.into_step("p")
    };
    for (template, condition, expected) in [
        ("{{ p.one.x }}", None, true),
        ("{{ p.two.x }}", None, false),
        ("{{ p.one }}", None, false),
        ("{{ p.one.x }}", Some("p"), true),
        ("{{ p.one.x }}", Some("p.one"), false),
        ("{{ p.one.x }}", Some("p.one.x == 1"), false),
        ("{{ p.one.x }}", Some("p.two"), true),
        ("{{ p.one ? p.one.x : 0 }}", None, false),
        ("{{ steps.p.output.one.x }}", Some("steps.p.output.one"), false),
    ] {
        let reads = Step { condition: condition.map(str::to_owned), ..set("b", template) };
        let definition = Definition::sequence("w", [block(Some("input.go")), reads]);
        assert_eq!(warns(definition), expected, "{template} if {condition:?}");
        let surely = Step { condition: condition.map(str::to_owned), ..set("b", template) };
        assert!(!warns(Definition::sequence("w", [block(None), surely])), "no branch may be absent: {template}");
    }
}

#[test]
fn reading_a_step_that_the_trigger_rule_does_not_require_causes_a_warning() {
    let rule = |trigger_rule, ids: &[&str]| Step { trigger_rule, ..needs(set("b", "{{ a.x }}"), ids) };
    let table: [(&str, Vec<Step>, bool); 7] = [
        ("always", vec![set("a", "1"), rule(TriggerRule::Always, &[])], true),
        ("all_done", vec![set("a", "1"), rule(TriggerRule::AllDone, &["a"])], true),
        ("one of two", vec![set("a", "1"), set("o", "1"), rule(TriggerRule::OneSuccess, &["a", "o"])], true),
        ("the only one", vec![set("a", "1"), rule(TriggerRule::OneSuccess, &["a"])], false),
        ("by default", vec![set("a", "1"), rule(TriggerRule::default(), &["a"])], false),
        (
            "depends on a skipped step",
            vec![
                set("s", "1").when("input.go"),
                needs(set("a", "1"), &["s"]),
                set("o", "1"),
                rule(TriggerRule::default(), &["o"]),
            ],
            true,
        ),
        (
            "depends on a step that runs",
            vec![set("s", "1"), needs(set("a", "1"), &["s"]), rule(TriggerRule::default(), &["a"])],
            false,
        ),
    ];
    for (what, steps, expected) in table {
        let problems = Engine::builder().build().validate(Definition::sequence("w", steps));
        let found = problems.iter().any(|problem| problem.code == "may_be_absent");
        assert_eq!(found, expected, "{what}: {problems:?}");
    }
}

#[test]
fn reading_the_error_in_finally_causes_a_warning() {
    let finally = |step: Step| Definition { finally: vec![step.into()], ..Definition::sequence("w", [set("a", "1")]) };
    let handler = |step: Step| Definition { on_error: vec![step.into()], ..Definition::sequence("w", [set("a", "1")]) };
    for (template, expected) in [
        ("{{ error.code }}", true),
        ("{{ error?.code }}", false),
        ("{{ error.code ?? 'none' }}", false),
        ("{{ error }}", false),
    ] {
        assert_eq!(warns(finally(set("f", template))), expected, "{template}");
        assert!(!warns(handler(set("f", template))), "`on_error` runs only if there is an error: {template}");
    }
    assert!(!warns(finally(set("f", "{{ error.code }}").when("error != null"))));
}

#[test]
fn reading_a_step_that_may_not_have_run_causes_a_warning_in_cleanup_and_in_routes() {
    let table = [
        ("{{ a.x }}", true),
        ("{{ a }}", true),
        ("{{ steps.a.output.x }}", true),
        ("{{ a?.x }}", false),
        ("{{ steps.a.status }}", false),
        ("{{ steps.a.error }}", false),
        ("{{ steps.a }}", false),
    ];
    for (template, expected) in table {
        let steps = [set("first", "1"), set("a", "1")];
        let cleanup = || vec![set("f", template).into()];
        let finally = Definition { finally: cleanup(), ..Definition::sequence("w", steps.clone()) };
        let handled = Definition { on_error: cleanup(), ..Definition::sequence("w", steps) };
        assert_eq!((warns(finally), warns(handled)), (expected, expected), "{template}");
        let to = |id: &str| vec![Transition { target: Some(id.to_owned()), condition: None }];
        let to_either = ["a", "other"].map(to).concat();
        let by = |next: Vec<Transition>, template| {
            let steps = [
                Step { next, ..set("start", "1") },
                Step { next: to("last"), ..set("other", "1") },
                Step { next: to("last"), ..set("a", "1") },
                set("last", template),
            ];
            Definition::sequence("w", [Route::new("start", steps).into_step("r")])
        };
        assert_eq!(warns(by(to_either, template)), expected, "another way leads here: {template}");
        assert!(!warns(by(to("a"), template)), "every way here leads over the step: {template}");
        let first = || Step { next: to("a"), ..set("first", template) };
        for steps in [[first(), set("a", "1")], [set("a", "1"), first()]] {
            let route = Route::new("first", steps);
            assert_eq!(warns(Definition::sequence("w", [route.into_step("r")])), expected, "route: {template}");
        }
        let after = Route::new("a", [Step { next: to("first"), ..set("a", "1") }, set("first", template)]);
        assert!(!warns(Definition::sequence("w", [after.into_step("r")])), "the first step has run: {template}");
    }
    let ends = |steps: [Step; 1]| Definition { outputs: Some(json!("{{ a.x }}")), ..Definition::sequence("w", steps) };
    assert_eq!((warns(ends([set("a", "1")])), warns(ends([set("a", "1").when("input.go")]))), (false, true), "outputs");
    let guarded = vec![set("f", "{{ a.x }}").when("a").into()];
    assert!(!warns(Definition { finally: guarded, ..Definition::sequence("w", [set("a", "1")]) }));
}

/// Returns the statuses of `a`, `b` and `c`, and the error of `c`, as `finally` sees them.
async fn seen(steps: Vec<Step>, limit: Option<Duration>) -> Value {
    let template = "{{ steps.a.status }} {{ steps.b.status }} {{ steps.c.status }} {{ steps.c.error ?? 'none' }}";
    let definition = Definition {
        finally: vec![set("f", template).into()],
        total_timeout: limit.map(Into::into),
        ..Definition::sequence("w", steps)
    };
    let lab = Lab::new();
    let engine = lab.engine().build();
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    let step = finished.steps.iter().find(|step| step.path.to_string() == "/main/$finally/f");
    step.unwrap_or_else(|| panic!("`finally` ran: {:?}", finished.steps)).output.as_ref().unwrap()["x"].clone()
}

#[tokio::test]
async fn cleanup_sees_the_status_of_every_step() {
    let ok = |id: &str| set(id, "1");
    let table: [(&str, Vec<Step>, Option<Duration>, &str); 5] = [
        ("all completed", vec![ok("a"), ok("b"), ok("c")], None, "completed completed completed none"),
        ("the second failed", vec![ok("a"), fail("b"), ok("c")], None, "completed failed pending none"),
        (
            "the second timed out",
            vec![ok("a"), hang("b"), ok("c")],
            Some(Duration::from_millis(20)),
            "completed cancelled pending none",
        ),
        (
            "a step of a graph failed",
            vec![ok("a"), needs(fail("b"), &["a"]), needs(ok("c"), &["b"])],
            None,
            "completed failed skipped none",
        ),
        (
            "a step of a graph timed out",
            vec![ok("a"), needs(hang("b"), &["a"]), needs(ok("c"), &["b"])],
            Some(Duration::from_millis(20)),
            "completed cancelled pending none",
        ),
    ];
    for (what, steps, limit, expected) in table {
        assert_eq!(seen(steps, limit).await, json!(expected), "{what}");
    }
}
