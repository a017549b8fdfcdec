//! Prints how long typical conditions and templates take with a context of 5 kB.
//!
//! ```sh
//! cargo run --profile dist --example measure_expressions
//! ```

use std::hint::black_box;
use std::time::Instant;

use llmspell_workflows_basic::expr::{Expr, Template};
use serde_json::{Map, Value, json};

const ROUNDS: u32 = 9;
const RUNS: u32 = 200_000;

const CONDITIONS: &[&str] = &[
    "task.type !== 'hotfix'",
    "task.meta.kind == 'feature' && tries > 3",
    "context.state.get('qa_status') === 'pass'",
    "task.type in ['feature', 'fix'] && task.tags.includes('urgent') && tries < 10",
    "steps.step_7.output.rows[1].score >= 0.5 || tries > 100",
];

fn main() {
    let scope = context();
    println!("context: {} bytes", scope.to_string().len());
    for source in CONDITIONS {
        let expression = Expr::parse(source).expect("the condition is valid");
        let ns = median_ns(|| {
            black_box(expression.test(black_box(&scope)).expect("the condition evaluates"));
        });
        println!("{ns:6.0} ns  {source}");
    }
    let template = Template::parse(&json!({"name": "{{ task.type }}", "text": "try ${tries} of 9"}))
        .expect("the template is valid");
    let ns = median_ns(|| {
        black_box(template.render(black_box(&scope)).expect("the template renders"));
    });
    println!("{ns:6.0} ns  template {}", template.source());
}

/// Returns the median time of one call of `run`, over several rounds.
fn median_ns(mut run: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..RUNS).for_each(|_| run());
            start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn context() -> Value {
    let steps: Map<String, Value> = (0..20)
        .map(|at| {
            let rows: Vec<_> = (0..4)
                .map(|row| json!({"id": row, "score": 0.5 + f64::from(row), "title": "a row of some length"}))
                .collect();
            (format!("step_{at}"), json!({"output": {"rows": rows}}))
        })
        .collect();
    json!({
        "task": {"type": "feature", "meta": {"kind": "feature"}, "tags": ["ui", "urgent"]},
        "tries": 5,
        "context": {"state": {"qa_status": "pass", "planning_result": "done"}},
        "steps": steps,
    })
}
