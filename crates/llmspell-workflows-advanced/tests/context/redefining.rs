//! Resuming runs under a newer version of their definition.

use std::sync::Arc;

use llmspell_workflows_advanced::{EnhancedExecutionContext, ExecutorError};
use llmspell_workflows_basic::{
    RunStatus,
    model::{Definition, InputSpec, Migration, OnConflict, Parallel, Step},
    state::Change,
};
use llmspell_workflows_hooks::{
    Registration,
    answer::{BeforeBlock, Permit},
    hook_fn,
    point::{BeforeWorkflowStart, StateMigration},
};
use serde_json::json;

use crate::support::{context, echo, elsewhere, finished, newest_run, put, sequence, start, wait_for, within_timeout};

fn version(version: &str, migration: Option<Migration>) -> Definition {
    let mut definition = sequence([put("a", 7), wait_for("gate", "go"), echo("b", json!("{{ state }}"))]);
    definition.version = version.to_owned();
    definition.migrations = migration.map(|migration| ("1".to_owned(), migration)).into_iter().collect();
    definition
}

fn rename() -> Migration {
    Migration { rename: [("k".to_owned(), "key".to_owned())].into(), ..Migration::default() }
}

/// Starts a run of version 1 and drives it until it waits. Returns a new context over the same
/// home, as in another process.
async fn waiting(context: EnhancedExecutionContext) -> EnhancedExecutionContext {
    let executor = context.executor();
    let run = start(&executor, version("1", None)).await;
    within_timeout(executor.drive(run)).await.unwrap();
    drop(executor);
    elsewhere(context)
}

#[tokio::test]
async fn host_function_can_migrate_the_state() {
    let context = waiting(context()).await;
    let engine = {
        let mut functions = llmspell_workflows_basic::Functions::default();
        functions.register_migration("twice", |state| Ok(json!({"twice": state["key"].as_i64().map(|key| key * 2)})));
        context.basic_context.engine().with_functions(functions)
    };
    let context = context.with_engine(engine);
    let migration = Migration { function: Some("twice".to_owned()), ..rename() };
    let executor = context.executor();
    let run = executor.resume_with(&newest_run(&context).await, Arc::new(version("2", Some(migration)))).await.unwrap();
    run.run().signal("go", json!(1));
    assert_eq!(*finished(&executor, run).await.output, json!({"twice": 14}));
    let state = context.state_manager.state(&newest_run(&context).await).await.unwrap().to_value();
    assert_eq!(state, json!({"twice": 14}));
}

#[tokio::test]
async fn forbidden_migration_leaves_the_run_unchanged() {
    let forbid = hook_fn(|context: llmspell_workflows_hooks::HookContext| {
        let data = context.input().unwrap().unwrap();
        let (from, to) = (data["from"].clone(), data["to"].clone());
        async move { Ok(Permit::Cancel(format!("not from {from} to {to}"))) }
    });
    let context = waiting(context()).await;
    let context = context.with_hooks(|hooks| hooks.register(Registration::new("no").at(StateMigration, forbid)));
    let executor = context.executor();
    let error =
        executor.resume_with(&newest_run(&context).await, Arc::new(version("2", Some(rename())))).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Forbidden { .. }), "{error}");
    assert!(error.to_string().contains("not from \"1\" to \"2\""), "{error}");
    let run = executor.resume(&newest_run(&context).await).await.unwrap();
    run.run().signal("go", json!(1));
    assert_eq!(*finished(&executor, run).await.output, json!({"k": 7}));
}

#[tokio::test]
async fn state_changed_by_a_hook_before_an_open_step_is_not_migrated() {
    let set = hook_fn(|_| async { Ok(BeforeBlock::ModifyState(vec![Change::key("from_hook", json!(1))])) });
    let context = context().with_hooks(|hooks| hooks.register(Registration::new("sets").at(BeforeWorkflowStart, set)));
    let context = waiting(context).await;
    let executor = context.executor();
    let error =
        executor.resume_with(&newest_run(&context).await, Arc::new(version("2", Some(rename())))).await.unwrap_err();
    let ExecutorError::Refused(error) = error else { panic!("{error}") };
    assert_eq!((&*error.code, error.path.as_deref()), ("migration_failed", Some("/main")));
    // Without migrations, the state is not migrated, so the run can be resumed.
    let run = executor.resume_with(&newest_run(&context).await, Arc::new(version("2", None))).await.unwrap();
    run.run().signal("go", json!(1));
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
}

#[tokio::test]
async fn driven_run_cannot_be_redefined() {
    let context = context();
    let executor = context.executor();
    let run = start(&executor, version("1", None)).await;
    let next = Arc::new(version("2", Some(rename())));
    let error = executor.resume_with(&newest_run(&context).await, next.clone()).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Driven { .. }), "{error}");
    assert_eq!(newest_run(&context).await.summary.version, "1");
    // Once the run waits, it is no longer driven.
    within_timeout(executor.drive(run)).await.unwrap();
    drop(executor.resume_with(&newest_run(&context).await, next).await.unwrap());
    assert_eq!(newest_run(&context).await.summary.version, "2");
}

/// Merging branches compares their changes, including changes that have no effect.
#[tokio::test]
async fn branches_merge_in_the_same_way_after_keys_are_renamed() {
    let definition = |version: &str| {
        let branch = |id: &str, step| Step::sequence(id, [step]);
        let both = Parallel {
            on_conflict: OnConflict::Last,
            ..Parallel::new([branch("l", put("two", 2)), branch("r", put("one", 1)), wait_for("gate", "go")])
        };
        let mut definition = sequence([put("first", 1), both.into_step("both"), echo("b", json!("{{ state }}"))]);
        definition.version = version.to_owned();
        definition
    };
    for (migrations, expected) in [(None, json!({"k": 1})), (Some(rename()), json!({"key": 1}))] {
        let context = context();
        let executor = context.executor();
        let run = start(&executor, definition("1")).await;
        within_timeout(executor.drive(run)).await.unwrap();
        drop(executor);
        let context = elsewhere(context);
        let mut later = definition("2");
        later.migrations = migrations.map(|migration| ("1".to_owned(), migration)).into_iter().collect();
        let executor = context.executor();
        let run = executor.resume_with(&newest_run(&context).await, Arc::new(later)).await.unwrap();
        run.run().signal("go", json!(1));
        assert_eq!(*finished(&executor, run).await.output, expected);
    }
}

#[tokio::test]
async fn resume_fails_and_records_nothing_if_the_new_definition_rejects_the_input() {
    let context = waiting(context()).await;
    let mut later = version("2", Some(rename()));
    later.inputs.insert("who".to_owned(), InputSpec { required: true, ..InputSpec::default() });
    let executor = context.executor();
    let error = executor.resume_with(&newest_run(&context).await, Arc::new(later)).await.unwrap_err();
    let ExecutorError::Refused(error) = error else { panic!("{error}") };
    assert_eq!(error.code, "invalid_input");
    let run = executor.resume(&newest_run(&context).await).await.unwrap();
    run.run().signal("go", json!(1));
    assert_eq!(*finished(&executor, run).await.output, json!({"k": 7}));
}

#[tokio::test]
async fn migration_sees_the_input_with_defaults() {
    let context = waiting(context()).await;
    let sum = [("sum".to_owned(), json!("{{ state.k + input.more }}"))].into();
    let mut later = version("2", Some(Migration { set: sum, ..Migration::default() }));
    later.inputs.insert("more".to_owned(), InputSpec { default: Some(json!(3)), ..InputSpec::default() });
    let executor = context.executor();
    let run = executor.resume_with(&newest_run(&context).await, Arc::new(later)).await.unwrap();
    run.run().signal("go", json!(1));
    assert_eq!(*finished(&executor, run).await.output, json!({"k": 7, "sum": 10}));
}
