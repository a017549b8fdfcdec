//! Random graphs with failures and skips run exactly the steps that a trigger-rule model predicts.
//!
//! `GRAPHS` sets how many graphs to try, and `SEED` seeds the random generator.

use std::collections::BTreeMap;

use llmspell_workflows_basic::{
    RunStatus, WorkflowInput,
    engine::StepStatus,
    model::{Definition, OnError, TriggerRule},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::json;

use crate::support::{Lab, echo, fail};

/// What a step does unless its trigger rule skips it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Behavior {
    Succeed,
    Fail,
    /// Fails with `on_error: continue`.
    FailHandled,
    /// Has a false condition.
    Condition,
}

#[derive(Debug, Clone)]
struct Node {
    behavior: Behavior,
    rule: TriggerRule,
    /// The indices of earlier steps.
    dependencies: Vec<usize>,
}

/// How a step ends.
#[derive(Debug, Clone, PartialEq)]
enum End {
    Completed,
    Failed,
    Skipped(&'static str),
}

/// Returns how each step ends according to the documented rules.
fn expected(nodes: &[Node]) -> Vec<End> {
    let mut ends: Vec<End> = Vec::new();
    // Whether each step had an unhandled failure, or was skipped because an ancestor had one.
    let mut is_blocked: Vec<bool> = Vec::new();
    for node in nodes {
        let all = |test: &dyn Fn(usize) -> bool| node.dependencies.iter().all(|other| test(*other));
        let any = |test: &dyn Fn(usize) -> bool| node.dependencies.iter().any(|other| test(*other));
        let is_skipped = |other: usize| matches!(ends[other], End::Skipped(_));
        let succeeded = |other: usize| !is_blocked[other] && !is_skipped(other);
        let is_met = node.dependencies.is_empty()
            || match node.rule {
                TriggerRule::Always | TriggerRule::AllDone => true,
                TriggerRule::AllSuccess => all(&succeeded),
                TriggerRule::OneSuccess => any(&succeeded),
                TriggerRule::NoneFailedMinOneSuccess => !any(&|other| is_blocked[other]) && any(&succeeded),
            };
        let has_failure = any(&|other| is_blocked[other]);
        let (end, blocks) = match (is_met, node.behavior) {
            (false, _) if has_failure => (End::Skipped("dependency_failed"), true),
            (false, _) if all(&is_skipped) => (End::Skipped("dependencies_skipped"), false),
            (false, _) => (End::Skipped("trigger_rule"), false),
            (true, Behavior::Condition) => (End::Skipped("condition_false"), false),
            (true, Behavior::Fail) => (End::Failed, true),
            (true, Behavior::FailHandled) => (End::Failed, false),
            (true, Behavior::Succeed) => (End::Completed, false),
        };
        ends.push(end);
        is_blocked.push(blocks);
    }
    ends
}

fn graphs() -> impl Strategy<Value = Vec<Node>> {
    let behavior = prop_oneof![
        4 => Just(Behavior::Succeed),
        3 => Just(Behavior::Fail),
        1 => Just(Behavior::FailHandled),
        2 => Just(Behavior::Condition),
    ];
    let rule = prop_oneof![
        4 => Just(TriggerRule::NoneFailedMinOneSuccess),
        1 => Just(TriggerRule::AllSuccess),
        1 => Just(TriggerRule::OneSuccess),
        1 => Just(TriggerRule::AllDone),
        1 => Just(TriggerRule::Always),
    ];
    let node = (behavior, rule, proptest::collection::vec(any::<prop::sample::Index>(), 0..4));
    proptest::collection::vec(node, 2..9).prop_map(|nodes| {
        let node = |(number, (behavior, rule, others)): (usize, (_, _, Vec<prop::sample::Index>))| {
            let mut dependencies: Vec<usize> =
                others.iter().filter(|_| number > 0).map(|other| other.index(number)).collect();
            dependencies.sort_unstable();
            dependencies.dedup();
            Node { behavior, rule, dependencies }
        };
        nodes.into_iter().enumerate().map(node).collect()
    })
}

fn definition(nodes: &[Node]) -> Definition {
    let steps = nodes.iter().enumerate().map(|(number, node)| {
        let id = format!("s{number}");
        let mut step = match node.behavior {
            Behavior::Fail | Behavior::FailHandled => fail(&id),
            Behavior::Succeed | Behavior::Condition => echo(&id, json!(number)),
        };
        if node.behavior == Behavior::FailHandled {
            step.on_error = OnError::Continue;
        }
        if node.behavior == Behavior::Condition {
            step = step.when("false");
        }
        let names: Vec<String> = node.dependencies.iter().map(|other| format!("s{other}")).collect();
        step.after(names).with_trigger_rule(node.rule)
    });
    Definition::sequence("graph", steps)
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().expect("the variable is a number"))
}

#[test]
fn random_graphs_follow_the_trigger_rules() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let seed = number("SEED", 1).to_le_bytes().repeat(8);
    let rng = prop::test_runner::TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let engine = Lab::new().engine().build();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut tried = 0;
    while tried < number("GRAPHS", 1_000) {
        let nodes = graphs().new_tree(&mut runner).unwrap().current();
        if nodes.iter().all(|node| node.dependencies.is_empty()) {
            // Without dependencies, the steps form a list.
            continue;
        }
        tried += 1;
        let expected = expected(&nodes);
        let finished = runtime.block_on(engine.run(definition(&nodes), WorkflowInput::default())).unwrap();
        for (number, end) in expected.iter().enumerate() {
            let step = finished.step(&format!("s{number}")).unwrap();
            let found = match (step.status, &step.skip_reason) {
                (StepStatus::Completed, None) => "completed",
                (StepStatus::Failed, None) => "failed",
                (StepStatus::Skipped, Some(reason)) => &*reason.code,
                other => panic!("{other:?}: {nodes:?}"),
            };
            let code = match end {
                End::Completed => "completed",
                End::Failed => "failed",
                End::Skipped(code) => code,
            };
            assert_eq!(found, code, "s{number} of {nodes:?}");
            *seen.entry(code).or_default() += 1;
        }
        let fails =
            (0..nodes.len()).any(|step| expected[step] == End::Failed && nodes[step].behavior == Behavior::Fail);
        let status = if fails { RunStatus::Failed } else { RunStatus::Completed };
        assert_eq!(finished.status, status, "{nodes:?}");
    }
    println!("{tried} graphs: {seen:?}");
    assert!(seen.len() == 6 && seen.values().all(|count| *count * 100 > tried), "too few of some kind: {seen:?}");
}
