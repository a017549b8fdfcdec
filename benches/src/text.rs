//! Benchmarks of conditions and YAML.

use std::fmt::Write as _;

use llmspell_workflows_basic::{Engine, expr::Expr};
use llmspell_workflows_definition::{StepTypes, check};
use serde_json::{Value, json};

use crate::figures::{Report, rounds};

pub(crate) fn measure(report: &mut Report) {
    const TIMES: u32 = 100_000;
    let context = context();
    let condition =
        Expr::parse("task.meta.kind == 'feature' && tries > 3 && !flags.skip").expect("the expression is valid");
    let timed =
        rounds(|| (0..TIMES).for_each(|_| assert!(condition.test(&context).expect("the condition can be evaluated"))));
    report.time("a condition with a context of 5 kB", TIMES, "≤ 0.5 µs", &timed);

    let (text, types, engine) = (yaml(2_000), StepTypes::new(), Engine::builder().build());
    let timed = rounds(|| {
        let checked = check(&text, "long.yaml", &types, |definition| engine.validate(definition.clone()));
        assert!(checked.is_ok());
    });
    report.time("2,000 steps of YAML read and validated", 1, "≤ 30 ms", &timed);
}

fn context() -> Value {
    let texts: Vec<String> =
        (0..60).map(|n| format!("a line of text, number {n}, like those in outputs of steps")).collect();
    let value = json!({"task": {"meta": {"kind": "feature", "lines": texts}}, "tries": 4, "flags": {"skip": false}});
    assert!((3_000..6_000).contains(&value.to_string().len()), "about 5 kB");
    value
}

fn yaml(steps: usize) -> String {
    let mut text = String::from("name: long\nsteps:\n");
    for n in 0..steps {
        let _ = write!(text, "  - id: s{n}\n    type: set\n    params:\n      k{n}: \"{{{{ input.n }}}}\"\n");
    }
    text
}
