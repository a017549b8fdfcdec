//! Tests that the answers of hooks called before a step, a block or a run take effect.

use std::time::Duration;

use llmspell_workflows_basic::{RunStatus, engine::StepStatus, model::*, state::Change};
use llmspell_workflows_hooks::{
    HookContext, HookDispatcher, Registration, Selector,
    answer::{After, Before, BeforeBlock, CacheEntry},
    hook_fn,
    point::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, code, echo, fixed, output, put, seconds, with};

fn state(key: &str, value: Value) -> Vec<Change> {
    vec![Change::key(key, value)]
}

fn other() -> ActivityName {
    ActivityName::new("function", "echo")
}

/// Checks each answer of `Before` at `point`.
async fn check_before<P: llmspell_workflows_hooks::Point<Answer = Before> + Copy>(point: P, kind: &str) {
    let step = |name: &str, params: Value| [Step::activity("a", kind, name, params)];
    let echo = || step("echo", json!("{{ state.k || 'unchanged' }}"));
    let fail = || step("fail", json!("in"));

    let ran = with(echo(), point, Before::Continue).await;
    assert_eq!(output(&ran), "unchanged");
    let ran = with(echo(), point, Before::ModifyInput(json!("another"))).await;
    assert_eq!(output(&ran), "another");
    let ran = with(echo(), point, Before::ModifyState(state("k", json!("set")))).await;
    assert_eq!((output(&ran), ran.finished.state_changes), (json!("set"), state("k", json!("set"))));
    let ran = with(echo(), point, Before::Delay(Duration::from_secs(7))).await;
    assert_eq!((output(&ran), seconds(&ran)), (json!("unchanged"), 7));
    let ran = with(fail(), point, Before::Skip("not today".into())).await;
    let record = ran.finished.step("a").unwrap();
    assert_eq!((record.status, &ran.started), (StepStatus::Skipped, &vec![]));
    let reason = record.skip_reason.as_ref().unwrap();
    assert_eq!((&*reason.code, &*reason.message), ("skipped_by_hook", "not today"));
    let ran = with(fail(), point, Before::Replace(json!("instead"))).await;
    assert_eq!((output(&ran), &ran.started), (json!("instead"), &vec![]));
    let ran = with(fail(), point, Before::Redirect(other())).await;
    assert_eq!(output(&ran), "in");
    let ran = with(echo(), point, Before::Fork(vec![json!(1), json!(2)])).await;
    assert_eq!((output(&ran), ran.started), (json!([1, 2]), vec!["/main/a[0]#1".into(), "/main/a[1]#1".into()]));
    let ran = with(fail(), point, Before::Cancel("stop".into())).await;
    assert_eq!((ran.finished.status, &ran.started), (RunStatus::Cancelled, &vec![]));
    assert_eq!(ran.finished.warnings[0].code, "cancelled_by_hook");
    assert!(ran.finished.warnings[0].message.contains("stop"));
}

#[tokio::test(start_paused = true)]
async fn hook_answers_before_steps_stages_tools_and_agents_are_applied() {
    check_before(BeforeStep, "function").await;
    check_before(BeforeWorkflowStage, "function").await;
    check_before(BeforeToolExecution, "tool").await;
    check_before(BeforeAgentExecution, "persona-request").await;
}

#[tokio::test(start_paused = true)]
async fn cached_output_is_used_until_it_expires() {
    let entry = CacheEntry { key: "k".into(), ttl: Duration::from_secs(60) };
    let loops = |ms: u64| {
        let pause = Step::new("pause", StepKind::Sleep(Delay::Fixed(Duration::from_millis(ms))));
        let step = echo("a", json!("{{ loop.index }}"));
        [Loop::items(json!([1, 2, 3]), [step, pause]).into_step("each")]
    };
    for (ms, calls) in [(1_000, 1), (31_000, 2), (61_000, 3)] {
        let hooks = HookDispatcher::builder()
            .register(fixed(BeforeStep, Before::Cache(entry.clone())).select(Selector::all().id("a")));
        let ran = Lab::new().run(Definition::sequence("test", loops(ms)), hooks).await;
        assert_eq!(ran.started.len(), calls, "with {ms} ms between iterations");
    }
    let hooks = HookDispatcher::builder().register(fixed(BranchStart, BeforeBlock::Cache(entry)));
    let block = Parallel { max_parallelism: Some(1), ..Parallel::new([echo("x", json!("x")), echo("y", json!("y"))]) };
    let ran = Lab::new().run(Definition::sequence("test", [block.into_step("both")]), hooks).await;
    assert_eq!((output(&ran), ran.started.len()), (json!(["x", "x"]), 1));
}

/// Checks each answer of `BeforeBlock` at `point` in a run of `steps`, whose output is `own`.
async fn check_before_block<P>(point: P, steps: impl Fn() -> Vec<Step>, own: Value, replaced: Value, skipped: Value)
where
    P: llmspell_workflows_hooks::Point<Answer = BeforeBlock> + Copy,
{
    assert_eq!(output(&with(steps(), point, BeforeBlock::Continue).await), own);
    let ran = with(steps(), point, BeforeBlock::ModifyState(state("k", json!("set")))).await;
    assert_eq!(ran.finished.state_changes.last(), state("k", json!("set")).last(), "{}", P::POINT);
    assert!(ran.finished.output.to_string().contains("set"), "{}: the block's steps see the changed state", P::POINT);
    let ran = with(steps(), point, BeforeBlock::Delay(Duration::from_secs(7))).await;
    assert_eq!((output(&ran), seconds(&ran)), (own, 7));
    let ran = with(steps(), point, BeforeBlock::Replace(json!("instead"))).await;
    assert_eq!((output(&ran), &ran.started), (replaced, &vec![]), "{}", P::POINT);
    let ran = with(steps(), point, BeforeBlock::Skip("not today".into())).await;
    assert_eq!((&*ran.finished.output, &ran.started), (&skipped, &vec![]), "{}", P::POINT);
    let ran = with(steps(), point, BeforeBlock::Cancel("stop".into())).await;
    assert_eq!((ran.finished.status, &ran.started), (RunStatus::Cancelled, &vec![]), "{}", P::POINT);
}

#[tokio::test(start_paused = true)]
async fn hook_answers_before_the_run_are_applied() {
    let steps = || vec![echo("a", json!("{{ state.k || 'own' }}"))];
    check_before_block(BeforeWorkflowStart, steps, json!("own"), json!("instead"), json!(null)).await;
}

#[tokio::test(start_paused = true)]
async fn hook_answers_before_loops_and_iterations_are_applied() {
    let steps = || vec![Loop::items(json!([1]), [echo("a", json!("{{ state.k || 'own' }}"))]).into_step("each")];
    let loop_output = |result: Value| json!({"iterations": 1, "total_count": 1, "failed_count": 0, "errors": [], "results": [result]});
    check_before_block(LoopStart, steps, loop_output(json!("own")), json!("instead"), json!(null)).await;
    let (replaced, skipped) = (loop_output(json!("instead")), loop_output(json!(null)));
    check_before_block(IterationStart, steps, loop_output(json!("own")), replaced, skipped).await;
}

#[tokio::test(start_paused = true)]
async fn hook_answers_before_parallel_blocks_and_branches_are_applied() {
    let steps = || vec![Parallel::new([echo("x", json!("{{ state.k || 'own' }}"))]).into_step("both")];
    check_before_block(ParallelFork, steps, json!(["own"]), json!("instead"), json!(null)).await;
    check_before_block(BranchStart, steps, json!(["own"]), json!(["instead"]), json!([null])).await;
}

#[tokio::test(start_paused = true)]
async fn unfit_answers_are_reported_and_change_nothing() {
    for answer in [
        Before::ModifyInput(json!(1)),
        Before::Redirect(ActivityName::new("function", "echo")),
        Before::Fork(vec![json!(1)]),
    ] {
        let set = Step::set("a", serde_json::Map::from_iter([("k".to_owned(), json!(1))]));
        let ran = with([set], BeforeStep, answer).await;
        assert_eq!(output(&ran), json!({"k": 1}));
        assert_eq!(ran.finished.warnings[0].code, "hook_answer_unfit");
    }
    let ran = with([echo("a", json!(1))], BeforeStep, Before::Redirect(ActivityName::new("tool", "nobody"))).await;
    assert_eq!(code(&ran), "unknown_activity");
    let nested = put("a", "k", json!(1));
    let blocked: Vec<Change> = vec![Change::set("k.inner".parse().unwrap(), json!(2))];
    let ran = with([nested, echo("b", json!(1))], BeforeStep, Before::ModifyState(blocked)).await;
    assert_eq!(code(&ran), "state_blocked");
}

#[tokio::test(start_paused = true)]
async fn hook_context_contains_the_step_and_its_data() {
    let seen: std::sync::Arc<std::sync::Mutex<Vec<Value>>> = std::sync::Arc::default();
    let seen_by_hook = seen.clone();
    let before = hook_fn(move |context: HookContext| {
        let seen = json!({
            "point": context.point(), "path": context.path(), "id": context.step().unwrap().id,
            "input": context.input().unwrap(), "state": context.state().to_value(), "workflow": context.workflow(),
            "generation": context.generation(), "attempt": context.attempt(), "tenant": context.metadata("tenant"),
            "correlated": *context.correlation_id().unwrap() == *context.run_id().unwrap().to_string(),
        });
        seen_by_hook.lock().unwrap().push(seen);
        async { Ok(Before::Continue) }
    });
    let seen_by_hook = seen.clone();
    let after = hook_fn(move |context: HookContext| {
        seen_by_hook.lock().unwrap().push(json!({"output": context.output(), "changes": context.changes()}));
        async { Ok(After::Continue) }
    });
    let registration = Registration::new("observer").at(BeforeStep, before).at(AfterStep, after);
    let hooks = HookDispatcher::builder().register(registration).metadata("tenant", "t1");
    let steps = [put("a", "k", json!("{{ 1 + 1 }}"))];
    Lab::new().run(Definition::sequence("test", steps), hooks).await;
    let expected = [
        json!({
            "point": "before_step", "path": "/main/a", "id": "a", "input": {"k": 2}, "state": {}, "workflow": "test",
            "generation": 1, "attempt": 1, "tenant": "t1", "correlated": true,
        }),
        json!({"output": {"k": 2}, "changes": [{"path": "k", "value": 2}]}),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}
