//! The execution order of a graph's steps does not affect which steps run.

use llmspell_workflows_basic::{Finished, Limits, RunStatus, WorkflowInput, engine::StepStatus, model::Definition};
use serde_json::json;

use crate::support::{Lab, echo, fail, ids, put};

fn skipped(finished: &Finished) -> Vec<(String, String)> {
    let skipped = finished.steps.iter().filter_map(|record| {
        let reason = record.skip_reason.as_ref()?;
        Some((record.path.id().unwrap().to_string(), reason.code.to_string()))
    });
    skipped.collect()
}

async fn started_at(start: &str) -> Finished {
    // The list is deliberately not in execution order.
    let definition = Definition::sequence(
        "graph",
        [
            echo("last", json!(3)).after(["middle"]),
            echo("middle", json!(2)).after(["first"]),
            echo("first", json!(1)),
            echo("beside", json!(9)),
        ],
    );
    Lab::new().engine().build().run(definition, WorkflowInput::default().starting_at(start)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_graph_skips_the_steps_before_the_starting_step() {
    let finished = started_at("middle").await;
    assert_eq!(skipped(&finished), [("first".into(), "before_starting_step".into())]);
    assert_eq!(ids(&finished, StepStatus::Completed), ["beside", "middle", "last"]);
}

#[tokio::test(start_paused = true)]
async fn a_graph_can_start_at_its_first_listed_step() {
    let finished = started_at("last").await;
    let before = |id: &str| (id.to_owned(), "before_starting_step".to_owned());
    assert_eq!(skipped(&finished), [before("first"), before("middle")]);
    assert_eq!(ids(&finished, StepStatus::Completed), ["beside", "last"]);
}

#[tokio::test(start_paused = true)]
async fn failures_skip_only_dependent_steps() {
    for parallelism_max in [1, 100] {
        let lab = Lab::new();
        let definition = Definition::sequence(
            "graph",
            [fail("x"), echo("y", json!(1)), echo("z", json!(2)).after(["y"]), echo("never", json!(3)).after(["x"])],
        );
        let engine = lab.engine().limits(Limits { parallelism_max, ..Limits::default() }).build();
        let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
        assert_eq!((finished.status, finished.error.as_ref().unwrap().code.as_ref()), (RunStatus::Failed, "boom"));
        assert_eq!(ids(&finished, StepStatus::Completed), ["y", "z"], "{parallelism_max} at once");
        assert_eq!(skipped(&finished), [("never".into(), "dependency_failed".into())]);
    }
}

#[tokio::test(start_paused = true)]
async fn changing_a_part_of_a_value_set_by_a_dependency_is_not_a_conflict() {
    use llmspell_workflows_basic::{activity::ActivityOutput, state::Change};
    let mut lab = Lab::new();
    lab.register("part", |_| async move {
        let change = Change::set("whole.part".parse().unwrap(), json!(2));
        Ok(ActivityOutput { output: json!(null), state_changes: vec![change] })
    });
    let part = llmspell_workflows_basic::model::Step::function("part", "part", json!(null)).after(["whole"]);
    let steps = [
        put("whole", "whole", json!({"part": 1, "rest": 1})),
        part,
        put("beside", "beside", json!(1)),
        echo("seen", json!("{{ state }}")).after(["part", "beside"]),
    ];
    let finished = lab.steps(steps).await;
    assert_eq!(finished.error, None);
    assert_eq!(*finished.output, json!({"whole": {"part": 2, "rest": 1}, "beside": 1}));
}

#[tokio::test(start_paused = true)]
async fn long_chains_of_changes_merge_in_linear_time() {
    let step = |n: usize| {
        let step = put(&format!("s{n}"), &format!("k{n}"), json!(n));
        if n == 0 { step } else { step.after([format!("s{}", n - 1)]) }
    };
    let begun = std::time::Instant::now();
    let finished = Lab::new().steps((0..1_000).map(step)).await;
    assert_eq!(finished.state_changes.len(), 1_000);
    println!("1,000 steps: {:?}", begun.elapsed());
}
