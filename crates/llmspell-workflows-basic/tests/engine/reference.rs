//! Random definitions produce the same results as a naive interpreter, stop when cancelled, and resume after crashes.

use std::{collections::BTreeMap, time::Duration};

use llmspell_workflows_basic::{Driven, RunOptions, RunStatus, WorkflowInput, WorkflowState, state::Change};
use llmspell_workflows_testing::generate;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{AnySchema, FrozenClock, Lab, Naive, crash_generated};

/// Returns `value` with each error replaced by its code.
fn with_error_codes(value: Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("code") && map.contains_key("retryable") => map["code"].clone(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, with_error_codes(value))).collect(),
        Value::Array(items) => items.into_iter().map(with_error_codes).collect(),
        other => other,
    }
}

fn state(changes: Vec<Change>) -> Value {
    let mut state = WorkflowState::default();
    changes.into_iter().for_each(|change| state.apply(change, jiff::Timestamp::UNIX_EPOCH).unwrap());
    with_error_codes(state.to_value())
}

/// Creates the activities that generated definitions call.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.register(
        generate::FUNCTION,
        |call| async move { generate::probe(call.input(), call.attempt()).map(Into::into) },
    );
    lab.register_tool(
        generate::TOOL,
        |call| async move { generate::probe(call.input(), call.attempt()).map(Into::into) },
    );
    lab
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn runs_produce_the_same_results_as_the_naive_interpreter(definition in generate::definition()) {
        let definition = generate::settled(definition);
        let input = json!({"n": 2, "items": [1, 2]});
        let mut naive = Naive::default();
        let expected = naive.run(&definition, &input);
        prop_assume!(!naive.conflicted);
        let finished = block_on(async {
            let engine = lab().engine().schemas(AnySchema).clock(FrozenClock).timers(FrozenClock).build();
            engine.run(definition, WorkflowInput::default()).await
        });
        let finished = finished.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let steps: BTreeMap<_, _> = finished
            .steps
            .iter()
            .map(|record| (record.path.to_string(), (record.status.as_str(), record.attempts)))
            .collect();
        prop_assert_eq!(steps, naive.statuses, "{:?}", finished.error);
        match expected {
            Ok((output, changes)) => {
                prop_assert_eq!(finished.error, None);
                prop_assert_eq!(with_error_codes((*finished.output).clone()), with_error_codes(output));
                prop_assert_eq!(state(finished.state_changes), state(changes));
            }
            Err(error) => {
                let found = finished.error.unwrap();
                prop_assert_eq!((found.code, found.class), (error.code, error.class));
                prop_assert_eq!(finished.status, RunStatus::Failed);
            }
        }
    }

    #[test]
    fn cancelled_runs_leave_no_activity_running(definition in generate::definition(), after_ms in 0_u64..40) {
        let mut lab = lab();
        let slowly = |call: llmspell_workflows_basic::activity::ActivityContext| async move {
            let length = Duration::from_millis(1 + call.input().to_string().len() as u64 % 5);
            tokio::time::sleep(length).await;
            generate::probe(call.input(), call.attempt()).map(Into::into)
        };
        lab.register(generate::FUNCTION, slowly);
        lab.register_tool(generate::TOOL, slowly);
        let (status, live, begun, later) = block_on(async {
            let engine = lab.engine().schemas(AnySchema).build();
            let plan = engine.prepare(definition).unwrap();
            let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
            let (driven, ()) = tokio::join!(engine.drive(&run), async {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                run.cancel();
            });
            let Driven::Done(finished) = driven else { panic!("the run parked") };
            let (live, begun) = (lab.live(), lab.started().len());
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            (finished.status, live, begun, lab.started().len())
        });
        prop_assert_eq!((live, begun), (0, later));
        prop_assert!(status != RunStatus::Running);
    }
}

#[test]
fn random_definitions_resume_after_a_crash_at_every_boundary() {
    for seed in 0..24 {
        crash_generated(&format!("seed {seed}"), &generate::settled(generate::from_seed(seed)));
    }
}
