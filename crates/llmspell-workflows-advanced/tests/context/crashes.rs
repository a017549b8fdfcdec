//! Runs with hooks and events survive crashes at every boundary.

use std::sync::Arc;

use llmspell_workflows_basic::{engine::Position, model::ActivityName, state::Change};
use llmspell_workflows_hooks::{
    EventBus, HookContext, HookDispatcher, HookLayer, Registration, Selector,
    answer::{After, Before, BeforeBlock, HookRetry, OnError, OnItems},
    event::{EventLayer, Filter},
    hook_fn,
    point::{AfterStep, BeforeStep, BeforeWorkflowStart, LoopItems, StepError},
};
use llmspell_workflows_testing::patterns;
use serde_json::json;

/// Returns hooks that change the behavior of the patterns and give the same answer at every call.
fn hooks() -> HookDispatcher {
    let state = hook_fn(|_| async { Ok(BeforeBlock::ModifyState(vec![Change::key("hooked", json!(1))])) });
    let input = hook_fn(|_| async { Ok(Before::ModifyInput(json!("changed"))) });
    let output = hook_fn(|_| async { Ok(After::ModifyState(vec![Change::key("after", json!(2))])) });
    let items = hook_fn(|_| async { Ok(OnItems::Modify(vec![json!(5), json!(6)])) });
    // A permanent failure is first retried and then redirected.
    let again = hook_fn(|context: HookContext| async move {
        let is_first = context.generation() == 1;
        let other = OnError::Redirect(ActivityName::new("function", "echo"));
        Ok(if is_first { OnError::Retry(HookRetry::once()) } else { other })
    });
    HookDispatcher::builder()
        .register(Registration::new("state").at(BeforeWorkflowStart, state).at(LoopItems, items))
        .register(Registration::new("first").at(BeforeStep, input).select(Selector::all().id("first")))
        .register(Registration::new("last").at(AfterStep, output).select(Selector::all().id("last")))
        .register(Registration::new("again").at(StepError, again).select(Selector::all().id("flaky").id("fails")))
        .build()
}

#[test]
fn result_with_hooks_and_events_is_the_same_after_a_crash_at_any_boundary() {
    let mut crashes = 0;
    // Skip the race: the progress and the effects of its loser depend on how long hooks take.
    for definition in patterns::all().into_iter().filter(|definition| definition.name != "race") {
        let name = definition.name.clone();
        let bus = EventBus::new();
        let subscription = bus.subscribe(Filter::all());
        let (events, hooks) = (EventLayer::new(bus), HookLayer::new(Arc::new(hooks())));
        let test = patterns::crash_test(definition).engine(move |builder| {
            let builder = builder.interceptor(Position::Hooks, events.clone());
            builder.interceptor(Position::Hooks, hooks.clone())
        });
        let report = test.crash_everywhere().unwrap_or_else(|difference| panic!("{name}: {difference}"));
        crashes += report.crashes;
        drop(subscription);
    }
    assert!(crashes > 500, "only {crashes} crashes");
}
