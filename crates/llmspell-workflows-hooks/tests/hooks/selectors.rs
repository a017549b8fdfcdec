//! Tests how selectors choose the steps that a hook is called for.

use llmspell_workflows_basic::model::{Definition, Loop, Parallel, Step};
use llmspell_workflows_hooks::{
    HookContext, HookDispatcher, Registration, Selector,
    answer::{Before, BeforeBlock},
    hook_fn,
    point::{BeforeStep, BeforeWorkflowStage, IterationStart},
};
use serde_json::json;

use crate::support::{Lab, echo};

/// Runs the workflow `name`, and returns the steps for which a hook with `selector` is called.
async fn calls_with(
    name: &str,
    selector: Selector,
    registration: impl FnOnce(Registration, Calls) -> Registration,
) -> Vec<String> {
    let calls = Calls::default();
    let registration = registration(Registration::new("called").select(selector), calls.clone());
    let steps = [
        Loop::items(json!([1, 2]), [echo("i", json!(1))]).into_step("each"),
        Parallel::new([Step::tool("x", "echo", json!(1))]).into_step("both"),
        echo("last", json!(1)),
    ];
    Lab::new().run(Definition::sequence(name, steps), HookDispatcher::builder().register(registration)).await;
    calls.0.lock().unwrap().clone()
}

#[derive(Clone, Default)]
struct Calls(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl Calls {
    fn record(&self, context: &HookContext) {
        self.0.lock().unwrap().push(context.path());
    }
}

fn before(registration: Registration, calls: Calls) -> Registration {
    let hook = hook_fn(move |context: HookContext| {
        calls.record(&context);
        async { Ok(Before::Continue) }
    });
    registration.at(BeforeStep, hook)
}

#[tokio::test(start_paused = true)]
async fn selectors_match_by_id_kind_path_and_workflow() {
    let all = ["/main/each", "/main/each[0]/i", "/main/each[1]/i", "/main/both", "/main/both/x", "/main/last"];
    for (selector, expected) in [
        (Selector::all(), &all[..]),
        (Selector::all().id("i"), &all[1..3]),
        (Selector::all().id("both").id("last"), &[all[3], all[5]]),
        (Selector::all().kind("loop"), &all[..1]),
        (Selector::all().kind("tool"), &all[4..5]),
        (Selector::all().path("/main/*"), &[all[0], all[3], all[5]]),
        (Selector::all().path("/main/each[1]/**"), &all[2..3]),
        (Selector::all().path("/main/**").kind("function"), &[all[1], all[2], all[5]]),
        (Selector::all().workflow("te*"), &all[..]),
        (Selector::all().workflow("other"), &[]),
        (Selector::all().id("nobody"), &[]),
    ] {
        let calls = calls_with("test", selector.clone(), before).await;
        assert_eq!(calls, expected, "{selector:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn selectors_apply_to_stage_and_iteration_hooks() {
    let stages = calls_with("test", Selector::all(), |registration, calls| {
        let hook = hook_fn(move |context: HookContext| {
            calls.record(&context);
            async { Ok(Before::Continue) }
        });
        registration.at(BeforeWorkflowStage, hook)
    });
    assert_eq!(stages.await, ["/main/each", "/main/both", "/main/last"]);
    let iterations = calls_with("test", Selector::all().kind("loop").id("each"), |registration, calls| {
        let hook = hook_fn(move |context: HookContext| {
            calls.record(&context);
            async { Ok(BeforeBlock::Continue) }
        });
        registration.at(IterationStart, hook)
    });
    assert_eq!(iterations.await, ["/main/each[0]", "/main/each[1]"]);
}
