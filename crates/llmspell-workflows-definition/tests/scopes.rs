//! Errors in separate scopes point at the expression and say what is visible there.

use llmspell_workflows_basic::Engine;
use llmspell_workflows_definition::{StepTypes, read};

/// Checks `text`; returns the marked text and the help of each problem.
fn problems(text: &str) -> Vec<(String, String)> {
    let document = read(text, "flow.yaml", &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let mut activities = llmspell_workflows_basic::activity::Activities::new();
    let echo = || llmspell_workflows_basic::activity::function(|context| async move { Ok(context.input().clone()) });
    activities.register("tool", "t", echo());
    let engine = Engine::builder().activities(activities).build();
    let diagnostics = document.to_diagnostics(&engine.validate(document.definition.clone()));
    let marked = |at: &llmspell_workflows_definition::Diagnostic| {
        let line = text.lines().nth(at.line - 1).expect("the line exists");
        line.chars().skip(at.column - 1).take(at.end_column - at.column).collect::<String>()
    };
    diagnostics.list().iter().map(|at| (marked(at), at.help.clone().unwrap_or_default())).collect()
}

fn loops(compensate: &str) -> String {
    format!(
        "name: w\nsteps:\n  - id: l\n    type: loop\n    items: [1]\n    steps:\n      - {{id: before, tool: t, parameters: {{}}}}\n      \
         - id: x\n        tool: t\n        parameters: {{env: {{I: '{{{{ loop.item }}}}', list: ['{{{{ before.n }}}}']}}}}\n        \
         compensate: {compensate}\n"
    )
}

#[test]
fn a_compensation_sees_only_the_step_it_undoes() {
    let only = |example: &str| {
        format!("a compensation sees no steps, only `input`, `output` and `certain` of the step it undoes{example}")
    };
    for (compensate, mark, example) in [
        ("{tool: t, parameters: {i: '{{ loop.item }}'}}", "loop.item", ", such as `input.env.I`"),
        ("{tool: t, parameters: {a: {b: 'x {{ before.n }}'}}}", "before.n", ", such as `input.env.list[0]`"),
        ("{id: own, tool: t, parameters: {i: '{{ steps.before.m }}'}}", "steps.before.m", ""),
        ("{tool: t, condition: 'loop.index > 1'}", "loop.index", ""),
        (
            "{type: sequence, steps: [{id: in, tool: t, parameters: {i: '{{ loop.item }}'}}]}",
            "loop.item",
            ", such as `input.env.I`",
        ),
    ] {
        assert_eq!(problems(&loops(compensate)), [(mark.to_owned(), only(example))], "{compensate}");
    }
    let fine = "{type: loop, items: [1], steps: [{id: in, tool: t, parameters: {i: '{{ loop.item }} {{ input.env.I }} {{ certain }}'}}]}";
    assert_eq!(problems(&loops(fine)), []);
}

#[test]
fn errors_in_separate_scopes_point_at_the_expression() {
    let head = "name: w\ninputs: {n: {type: number}}\nsteps:\n  - {id: a, tool: t}\n";
    for (rest, mark) in [
        ("finally: [{id: f, tool: t, parameters: {x: '{{ nobody.x }}'}}]\n", "nobody.x"),
        ("finally: [{id: f, tool: t, condition: 'nobody.x'}]\n", "nobody.x"),
        ("finally: [{id: f, tool: t, parameters: {x: '{{ loop.item }}'}}]\n", "loop.item"),
        ("on_error: [{id: h, tool: t, parameters: {x: '{{ nobody.x }}'}}]\n", "nobody.x"),
        ("outputs: {found: '{{ nobody.x }}'}\n", "nobody.x"),
        (
            "  - {id: b, tool: t, on_error: {steps: [{id: h, tool: t, parameters: {x: '{{ nobody.x }}'}}]}}\n",
            "nobody.x",
        ),
        ("  - {id: b, type: loop, items: [1], until: 'nobody.x', steps: [{id: c, tool: t}]}\n", "nobody.x"),
        ("  - {id: b, type: loop, while: 'nobody.x', steps: [{id: c, tool: t}]}\n", "nobody.x"),
        ("  - {id: b, tool: t, compensate: {tool: t, parameters: {x: '{{ nobody.x }}'}}}\n", "nobody.x"),
        ("  - {id: b, tool: t, compensate: {tool: t, total_timeout: '{{ nobody }}'}}\n", "nobody"),
    ] {
        let marked: Vec<_> = problems(&format!("{head}{rest}")).into_iter().map(|(mark, _)| mark).collect();
        assert_eq!(marked, [mark], "{rest}");
    }
}
