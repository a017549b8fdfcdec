//! Hooks and subscribers see masks, while steps see the actual secrets.

use std::sync::{Arc, Mutex};

use llmspell_workflows_basic::{
    WorkflowInput,
    engine::{Decision, Position, StepStatus},
    model::{Definition, Loop, Step},
    state::Change,
};
use llmspell_workflows_hooks::{
    EventBus, HookContext, HookDispatcher, HookLayer, Registration,
    answer::{After, Before, OnItems, OnWrite},
    builtin::Capture,
    event::{EventLayer, Filter},
    hook_fn,
    point::{AfterStep, BeforeStateWrite, BeforeStep, LoopItems},
};
use serde_json::{Value, json};

use crate::support::Lab;

const KEY: &str = "s3cret-key";

/// Returns hooks that add a field to `login`'s output, an item to each loop, and a state change
/// to each step.
fn registrations() -> Vec<Registration> {
    let output = hook_fn(|context: HookContext| async move {
        let Some(Value::Object(fields)) = context.output().filter(|_| context.path().ends_with("/login")) else {
            return Ok(After::Continue);
        };
        let mut fields = fields.clone();
        fields.insert("added".to_owned(), json!(true));
        Ok(After::ModifyOutput(Value::Object(fields)))
    });
    let items = hook_fn(|context: HookContext| async move {
        let Some(Decision::Items(items)) = context.choice() else { return Ok(OnItems::Continue) };
        Ok(OnItems::Modify([items.to_vec(), vec![json!("added")]].concat()))
    });
    let write = hook_fn(|context: HookContext| async move {
        let mut changes: Vec<Change> = context.changes().to_vec();
        changes.push(Change::key("extra", json!("added")));
        Ok(OnWrite::Modify(changes))
    });
    vec![
        Registration::new("output").at(AfterStep, output),
        Registration::new("items").at(LoopItems, items),
        Registration::new("write").at(BeforeStateWrite, write),
    ]
}

#[tokio::test(start_paused = true)]
async fn hooks_and_subscribers_see_masks_and_steps_see_secrets() {
    let (seen, capture, bus): (Arc<Mutex<Vec<Value>>>, _, _) = (Arc::default(), Capture::new(100), EventBus::new());
    let mut subscription = bus.subscribe(Filter::all());
    let mut lab = Lab::new();
    let note = seen.clone();
    lab.register("note", move |context| {
        note.lock().unwrap().push(context.input().clone());
        async { Ok(json!(null).into()) }
    });
    lab.register("login", |context| async move { Ok(json!({"token": context.input(), "n": 1}).into()) });
    let mut hooks = HookDispatcher::builder().events(bus.clone()).register(capture.registration());
    for registration in registrations() {
        hooks = hooks.register(registration);
    }
    let engine = lab
        .engine()
        .secrets([("KEY".to_owned(), KEY.to_owned())])
        .interceptor(Position::Hooks, EventLayer::new(bus))
        .interceptor(Position::Hooks, HookLayer::new(Arc::new(hooks.build())))
        .build();
    let object = json!({"t": "<{{ login.token }}>"});
    let steps = [
        Step::function("login", "login", json!("{{ secrets.KEY }}")),
        Step::function("read", "note", json!("{{ login }}")),
        Step::set("keep", object.as_object().unwrap().clone()),
        Step::function("kept", "note", json!(["{{ state.t }}", "{{ state.extra }}"])),
        Loop::items("{{ [login.token] }}", [Step::function("item", "note", json!("{{ loop.item }}"))])
            .into_step("each"),
    ];
    let definition = Definition { secrets: vec!["KEY".into()], ..Definition::sequence("test", steps) };
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    assert_eq!(finished.error, None);
    let expected = [
        json!({"token": KEY, "n": 1, "added": true}),
        json!([format!("<{KEY}>"), "added"]),
        json!(KEY),
        json!("added"),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    let captured = format!("{:?}", capture.captured());
    assert!(captured.contains("***") && !captured.contains(KEY), "{captured}");
    let events = std::iter::from_fn(|| subscription.try_next()).map(|event| format!("{event:?}")).collect::<String>();
    assert!(events.contains("LoopItems") && events.contains("***") && !events.contains(KEY), "{events}");
}

#[tokio::test(start_paused = true)]
async fn reasons_given_by_hooks_are_masked() {
    let skip = hook_fn(|_: HookContext| async { Ok(Before::Skip(format!("because of {KEY}"))) });
    let hooks = HookDispatcher::builder().register(Registration::new("skip").at(BeforeStep, skip)).build();
    let engine = Lab::new()
        .engine()
        .secrets([("KEY".to_owned(), KEY.to_owned())])
        .interceptor(Position::Hooks, HookLayer::new(Arc::new(hooks)))
        .build();
    let definition = Definition::sequence("test", [crate::support::echo("a", json!(1))]);
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    let step = finished.step("a").unwrap();
    assert_eq!(
        (step.status, step.skip_reason.as_ref().unwrap().message.as_str()),
        (StepStatus::Skipped, "because of ***")
    );
}
