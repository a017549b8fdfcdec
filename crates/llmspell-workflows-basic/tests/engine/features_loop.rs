//! Loops: sources, order, concurrency, errors and limits.

use llmspell_workflows_basic::{Engine, Finished, Limits, RunStatus, WorkflowInput, model::*};
use serde_json::{Value, json};

use crate::support::{Lab, crash_everywhere, echo, put, slow};

async fn run(repeat: Loop) -> Finished {
    Lab::new().steps([repeat.into_step("each")]).await
}

fn each(items: Value) -> Loop {
    Loop::items(items, [echo("i", json!("{{ loop.item }}"))])
}

fn in_parallel(repeat: Loop) -> Loop {
    repeat.parallel(2)
}

/// Returns a loop whose items 2 and 4 fail, item 4 first.
fn failing(on_error: IterationErrors) -> Loop {
    let params =
        json!({"ms": "{{ 50 - loop.item * 10 }}", "value": "{{ loop.item }}", "fails": "{{ loop.item % 2 == 0 }}"});
    Loop { on_error, ..Loop::items(json!([1, 2, 3, 4]), [Step::function("i", "slow", params)]) }
}

#[tokio::test(start_paused = true)]
async fn iterations_see_their_item_and_index() {
    let whole = json!(["{{ loop.item }}", "{{ loop.index }}", "{{ loop.is_first }}", "{{ loop.is_last }}"]);
    for parallel in [false, true] {
        let repeat = Loop::items("{{ input.items }}", [echo("i", whole.clone())]);
        let finished = run(if parallel { in_parallel(repeat) } else { repeat }).await;
        let expected = json!([[1, 0, true, false], [2, 1, false, false], [3, 2, false, true]]);
        assert_eq!(finished.output["results"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn results_are_in_iteration_order() {
    let params = json!({"ms": "{{ 40 - loop.item * 10 }}", "value": "{{ loop.item }}"});
    let repeat = Loop::items(json!([1, 2, 3]), [Step::function("i", "slow", params)]).parallel(3);
    let expected = json!({"iterations": 3, "total_count": 3, "failed_count": 0, "errors": [], "results": [1, 2, 3]});
    assert_eq!(*run(repeat).await.output, expected);
}

#[tokio::test(start_paused = true)]
async fn iterations_reach_but_do_not_exceed_max_parallelism() {
    for (repeat, most) in [
        (Loop::items(json!(vec![0; 9]), [slow("i", 5)]), 1),
        (in_parallel(Loop::items(json!(vec![0; 9]), [slow("i", 5)])), 2),
    ] {
        let lab = Lab::new();
        lab.steps([repeat.into_step("each")]).await;
        assert_eq!((lab.most(), lab.started().len()), (most, 9));
    }
}

#[tokio::test(start_paused = true)]
async fn on_error_stop_fails_at_the_first_error() {
    let finished = run(failing(IterationErrors::Stop)).await;
    assert_eq!(finished.error.unwrap().path.as_deref(), Some("/main/each[1]/i"));
    assert!(finished.steps.iter().all(|record| !record.path.to_string().contains("[2]")));
    let finished = run(failing(IterationErrors::Stop).parallel(4)).await;
    assert_eq!(finished.error.as_ref().unwrap().path.as_deref(), Some("/main/each[3]/i"));
    assert_eq!(finished.step("/main/each[0]/i").unwrap().status.as_str(), "cancelled");
}

#[tokio::test(start_paused = true)]
async fn on_error_continue_succeeds_and_outputs_the_errors() {
    for parallel in [false, true] {
        let repeat = failing(IterationErrors::Continue);
        let finished = run(if parallel { in_parallel(repeat) } else { repeat }).await;
        assert_eq!(finished.error, None);
        let output = &finished.output;
        assert_eq!(output["results"], json!([1, null, 3, null]));
        assert_eq!((&output["iterations"], &output["failed_count"]), (&json!(4), &json!(2)));
        let errors = output["errors"].as_array().unwrap();
        let errors: Vec<_> = errors.iter().map(|e| (&e["index"], &e["error"]["code"])).collect();
        assert_eq!(errors, [(&json!(1), &json!("boom")), (&json!(3), &json!("boom"))]);
    }
}

#[tokio::test(start_paused = true)]
async fn on_error_collect_runs_all_iterations_and_fails_with_all_errors() {
    for parallel in [false, true] {
        let repeat = failing(IterationErrors::Collect);
        let finished = run(if parallel { in_parallel(repeat) } else { repeat }).await;
        let error = finished.error.unwrap();
        assert_eq!(error.code, "iterations_failed");
        let errors = error.details.unwrap();
        let indices: Vec<_> = errors["errors"].as_array().unwrap().iter().map(|e| e["index"].clone()).collect();
        assert_eq!(indices, [1, 3]);
        assert_eq!(finished.steps.iter().filter(|record| record.is_leaf).count(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn loops_over_empty_arrays_run_no_iterations() {
    for repeat in [each(json!([])), in_parallel(each(json!([])))] {
        let finished = run(repeat).await;
        let expected = json!({"iterations": 0, "total_count": 0, "failed_count": 0, "errors": [], "results": []});
        assert_eq!((finished.status, &*finished.output), (RunStatus::Completed, &expected));
        assert_eq!(finished.steps.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_show_the_value_if_a_loop_source_is_not_an_array() {
    let error = run(each(json!("{{ input.yes }}"))).await.error.unwrap();
    assert_eq!((error.code.as_ref(), error.class.as_str()), ("not_a_collection", "validation"));
    assert!(error.message.contains("input.yes") && error.message.contains("true"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn loops_end_after_max_iterations() {
    for repeat in [each(json!([7, 8, 9])), in_parallel(each(json!([7, 8, 9])))] {
        let finished = run(Loop { max_iterations: Some(2), ..repeat }).await;
        let output = &finished.output;
        assert_eq!((&output["results"], &output["iterations"]), (&json!([7, 8]), &json!(2)));
        assert_eq!(output["total_count"], 3);
    }
}

#[tokio::test(start_paused = true)]
async fn ranges_count_up_and_down() {
    for (range, numbers) in [([0, 5, 2], json!([0, 2, 4])), ([3, 0, -1], json!([3, 2, 1])), ([2, 2, 1], json!([]))] {
        let [start, end, step] = range.map(Value::from);
        let over = LoopSource::Range { start, end, step };
        assert_eq!(run(Loop { over, ..each(json!([])) }).await.output["results"], numbers);
    }
}

#[tokio::test(start_paused = true)]
async fn while_is_tested_before_and_until_after_each_iteration() {
    let count = || put("i", "n", json!("{{ (state.n || 0) + 1 }}"));
    let finished = run(Loop::new(LoopSource::While("(state.n || 0) < 3".into()), [count()])).await;
    assert_eq!(finished.output["iterations"], 3);
    assert_eq!(run(Loop::new(LoopSource::While("false".into()), [count()])).await.output["iterations"], 0);
    let until = Loop { until: Some("output.n == 2".into()), ..Loop::items("{{ input.items }}", [count()]) };
    let finished = run(until).await;
    assert_eq!((&finished.output["iterations"], &finished.output["total_count"]), (&json!(2), &json!(3)));
    let broken = run(Loop::new(LoopSource::While("'x' < 1".into()), [count()])).await;
    assert_eq!(broken.status, RunStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn only_sequential_iterations_see_earlier_state() {
    let body = [put("i", "k", json!("{{ (state.k || 0) + 1 }}"))];
    let finished = run(Loop::items(json!([1, 2, 3]), body.clone())).await;
    assert_eq!(finished.output["results"], json!([{"k": 1}, {"k": 2}, {"k": 3}]));
    let finished = run(in_parallel(Loop::items(json!([1, 2, 3]), body))).await;
    assert_eq!(finished.output["results"], json!([{"k": 1}, {"k": 1}, {"k": 1}]));
}

#[tokio::test(start_paused = true)]
async fn loops_longer_than_the_engine_limit_need_max_iterations() {
    let lab = Lab::new();
    let engine = lab.engine().limits(Limits { loop_iterations_max: 3, ..Limits::default() }).build();
    let run = |repeat: Loop| engine.run(Definition::new("l", StepKind::Loop(repeat)), WorkflowInput::default());
    let forever = || Loop::new(LoopSource::While("true".into()), [echo("i", json!(1))]);
    for repeat in [each(json!([1, 2, 3, 4])), forever()] {
        assert_eq!(run(repeat).await.unwrap().error.unwrap().code, "loop_iterations_max");
    }
    for repeat in [each(json!([1, 2, 3, 4])), forever()] {
        let finished = run(Loop { max_iterations: Some(4), ..repeat }).await.unwrap();
        assert_eq!((finished.error, &finished.output["iterations"]), (None, &json!(4)));
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_iterations_resolve_conflicts_in_iteration_order() {
    // The last iteration ends first.
    let waits = || Step::function("wait", "slow", json!({"ms": "{{ 40 - loop.item * 10 }}", "value": 1}));
    let body = || [waits(), put("k", "k", json!("{{ [loop.item] }}"))];
    let repeat = async |on_conflict| {
        let each = Loop { on_conflict, ..Loop::items(json!([1, 2, 3]), body()).parallel(3) };
        Lab::new().steps([each.into_step("each"), echo("after", json!("{{ state.k }}"))]).await
    };
    for (on_conflict, value) in
        [(OnConflict::First, json!([1])), (OnConflict::Last, json!([3])), (OnConflict::Merge, json!([1, 2, 3]))]
    {
        let finished = repeat(on_conflict.clone()).await;
        assert_eq!((finished.error, &*finished.output), (None, &value), "{on_conflict:?}");
    }
    let error = repeat(OnConflict::Error).await.error.unwrap();
    assert_eq!((&*error.code, error.path.as_deref()), ("state_conflict", Some("/main/each")));
    let in_order = Loop { on_conflict: OnConflict::Last, ..Loop::items(json!([1]), body()) };
    let problems = Lab::new().engine().build().validate(Definition::sequence("l", [in_order.into_step("each")]));
    assert_eq!(problems[0].code, "on_conflict_in_sequence");
}

#[test]
fn resolved_iteration_conflicts_stay_resolved_after_a_crash() {
    let body = [Step::function("add", "add", json!({"n": "{{ loop.item }}", "key": "k"}))];
    let each = Loop { on_conflict: OnConflict::Last, ..in_parallel(Loop::items(json!([1, 2, 3]), body)) };
    let steps = [each.into_step("each"), echo("after", json!("{{ state.k }}"))];
    crash_everywhere("conflicts", &Definition::sequence("conflicts", steps));
}

#[tokio::test]
async fn concurrent_iterations_can_append_to_a_list_and_add_to_a_number() {
    let over = || LoopSource::Items(json!([1, 2, 2]));
    let collect = |on_conflict, key: &str, value: &str| {
        let body = [put("add", key, json!(value))];
        Loop { mode: IterationMode::Parallel, on_conflict, ..Loop::new(over(), body) }
    };
    let steps = [
        put("list", "list", json!([0])),
        put("number", "number", json!(10)),
        collect(OnConflict::Append, "list", "{{ state.list.concat([loop.item]) }}").into_step("lists"),
        collect(OnConflict::Sum, "number", "{{ state.number + loop.item }}").into_step("numbers"),
        collect(OnConflict::Append, "new", "{{ loop.item }}").into_step("items"),
        echo("seen", json!(["{{ state.list }}", "{{ state.number }}", "{{ state.new }}"])),
    ];
    let finished = Lab::new().steps(steps).await;
    assert_eq!(*finished.output, json!([[0, 1, 2, 2], 15, [1, 2, 2]]), "{:?}", finished.error);
    assert!(finished.warnings.is_empty(), "{:?}", finished.warnings);
}

#[test]
fn setting_a_key_to_the_item_in_concurrent_iterations_causes_a_warning() {
    let codes = |change: fn(Loop) -> Loop, value: &str| {
        let over = LoopSource::Items(json!([1, 2]));
        let set = Step::set("set", serde_json::Map::from_iter([("k".to_owned(), json!(value))]));
        let each = change(Loop { mode: IterationMode::Parallel, ..Loop::new(over, [set]) });
        let problems = Engine::builder().build().validate(Definition::sequence("w", [each.into_step("each")]));
        problems.iter().map(|problem| problem.code.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(codes(|each| each, "{{ loop.item }}"), ["state_conflict"]);
    assert_eq!(codes(|each| each, "n{{ loop.index }}"), ["state_conflict"]);
    assert_eq!(codes(|each| each, "fixed"), [""; 0]);
    assert_eq!(codes(|each| Loop { mode: IterationMode::Sequential, ..each }, "{{ loop.item }}"), [""; 0]);
    assert_eq!(codes(|each| Loop { on_conflict: OnConflict::Last, ..each }, "{{ loop.item }}"), [""; 0]);
}
