//! Definitions at their limits: deep nesting, long lists, many iterations.

use std::time::Duration;

use llmspell_workflows_basic::{RunStatus, model::*};
use serde_json::json;

use crate::support::{Lab, echo, fail, put};

fn deep(levels: usize, leaf: Step, around: impl Fn(String, Step) -> Step) -> Step {
    (0..levels).fold(leaf, |inner, level| around(format!("l{level}"), inner))
}

type Around = fn(String, Step) -> Step;

#[tokio::test(start_paused = true)]
async fn maximum_nesting_does_not_overflow_the_stack() {
    let retry = || Retry::attempts(2).with_backoff(Backoff::Immediate);
    let shapes: [(&str, usize, Around); 5] = [
        ("lists", 63, |id, inner| Step::sequence(id, [inner]).when("true")),
        ("choices", 31, |id, inner| Conditional::new("true", [inner], []).into_step(id)),
        ("loops", 63, |id, inner| Loop::items(json!([1]), [inner]).into_step(id)),
        ("branches", 63, |id, inner| Parallel::new([inner]).into_step(id)),
        ("limits", 63, |id, inner| {
            Step::sequence(id, [inner]).with_timeout(Duration::from_secs(99)).with_on_error(OnError::Continue)
        }),
    ];
    for (name, levels, around) in shapes {
        let finished = Lab::new().steps([deep(levels, put("leaf", "k", json!(1)), around)]).await;
        assert_eq!((finished.status, &finished.error), (RunStatus::Completed, &None), "{name}");
        assert_eq!(finished.state_changes.len(), 1, "{name}");
        let too_deep = deep(levels + 1, echo("leaf", json!(1)), around);
        let problems = Lab::new().engine().build().validate(Definition::sequence("deep", [too_deep]));
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["nesting_max"], "{name}");
    }
    // Each retry enters the whole block again.
    let lab = Lab::new();
    let finished =
        lab.steps([deep(5, fail("leaf"), |id, inner| Step::sequence(id, [inner]).with_retry(retry()))]).await;
    assert_eq!((finished.status, lab.started().len()), (RunStatus::Failed, 32));
}

#[tokio::test(start_paused = true)]
async fn nested_error_handlers_do_not_overflow_the_stack() {
    let step = (0..31)
        .fold(fail("last"), |handler, n| fail(&format!("f{n}")).with_on_error(OnError::Steps(vec![handler.into()])));
    let finished = Lab::new().steps([step]).await;
    let causes = std::iter::successors(finished.error.as_ref(), |error| error.cause.as_deref()).count();
    assert_eq!((finished.status, causes), (RunStatus::Failed, 32));
}

#[tokio::test(start_paused = true)]
async fn runs_of_ten_thousand_iterations_or_steps_complete() {
    let repeat = |parallel: bool| {
        let repeat = Loop::new(
            LoopSource::Range { start: json!(0), end: json!(10_000), step: json!(1) },
            [echo("i", json!("{{ loop.index }}"))],
        );
        if parallel { repeat.parallel(100) } else { repeat }.into_step("each")
    };
    for parallel in [false, true] {
        let finished = Lab::new().steps([repeat(parallel)]).await;
        assert_eq!(
            (&finished.output["iterations"], &finished.output["results"][9_999]),
            (&json!(10_000), &json!(9_999))
        );
    }
    let finished = Lab::new().steps((0..9_998).map(|n| echo(&format!("s{n}"), json!(n)))).await;
    assert_eq!((finished.error, &*finished.output), (None, &json!(9_997)));
}

#[tokio::test(start_paused = true)]
async fn wide_graphs_merge_the_state_changes_of_all_steps() {
    let layer = |n: usize| {
        (0..20).map(move |m| {
            let step = put(&format!("s{n}_{m}"), &format!("k{n}_{m}"), json!(n));
            if n == 0 { step } else { step.after((0..20).map(|m| format!("s{}_{m}", n - 1))) }
        })
    };
    let finished = Lab::new().steps((0..25).flat_map(layer)).await;
    assert_eq!((finished.error, finished.state_changes.len()), (None, 500));
}
