//! Runs that continue under a corrected definition.

mod edits;
mod random;
mod sub_workflows;

use std::sync::Arc;

use llmspell_workflows_advanced::{
    Cause, Continuation, DurableEnd, ExecutorError, Message, Redefinition, RewindOptions, RunsAgain,
};
use llmspell_workflows_basic::{
    RunStatus,
    model::{Definition, Loop, LoopSource, Parallel, Step, StepKind, WaitForEvent},
};
use serde_json::{Value, json};

use super::lab::{Lab, finished, start};

fn echo(id: &str, value: &str) -> Step {
    Step::function(id, "echo", json!(value))
}

fn wait(id: &str) -> Step {
    Step::new(id, StepKind::WaitForEvent(WaitForEvent { event: "go".into(), ..WaitForEvent::default() }))
}

fn list(steps: impl IntoIterator<Item = Step>) -> Definition {
    Definition::sequence("list", steps)
}

fn with(definition: Definition) -> RewindOptions {
    RewindOptions { definition: Some(Arc::new(definition).into()), ..RewindOptions::default() }
}

fn keeping(definition: Definition, keep: &[&str]) -> RewindOptions {
    let keep = keep.iter().map(ToString::to_string).collect();
    RewindOptions {
        definition: Some(Redefinition { definition: Arc::new(definition), keep }),
        ..RewindOptions::default()
    }
}

fn shown(steps: &[RunsAgain]) -> Vec<String> {
    steps
        .iter()
        .map(|step| match &step.cause {
            Cause::Requested => format!("{} requested", step.path),
            Cause::Changed => format!("{} changed", step.path),
            Cause::Reads(name) => format!("{} reads {name}", step.path),
            Cause::New(path) => format!("{} new {path}", step.path),
            Cause::Removed(path) => format!("{} removed {path}", step.path),
            Cause::Moved => format!("{} moved", step.path),
            Cause::Undone => format!("{} undone", step.path),
            Cause::Follows(path) => format!("{} follows {path}", step.path),
        })
        .collect()
}

/// Runs `old` so that execution number `fails` fails, and retries the run with `options`.
/// Returns the steps that the preview lists, the executed steps, and the output.
async fn retried(old: Definition, fails: usize, options: RewindOptions) -> (Vec<String>, Vec<String>, Value) {
    let lab = Lab::new();
    let executor = lab.executor();
    lab.performed.begin(Some(fails));
    let run = start(&executor, old).await;
    let id = run.id();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    lab.performed.begin(None);
    let known = lab.known(id).await;
    let preview = executor.preview(&known, Continuation::Retry, &options).await.unwrap();
    assert!(lab.performed.all().is_empty(), "a preview executes nothing");
    let run = executor.retry(&known, &options).await.unwrap();
    let finished = finished(&executor, run).await;
    assert_eq!(finished.status, RunStatus::Completed, "{:?}", finished.error);
    let performed = lab.performed.all().iter().map(|one| one.trim_end_matches("#1").to_owned()).collect();
    (shown(&preview.runs_again), performed, (*finished.output).clone())
}

#[tokio::test]
async fn retry_repeats_changed_and_later_steps_and_keeps_the_rest() {
    let old = || list([echo("a", "1"), echo("b", "2"), echo("c", "3"), echo("d", "4")]);
    for (name, new, runs_again, performed) in [
        (
            "the failed step",
            list([echo("a", "1"), echo("b", "2"), echo("c", "3"), echo("d", "four")]),
            vec!["/main/d requested"],
            vec!["/main/d~2"],
        ),
        (
            "a completed step",
            list([echo("a", "1"), echo("b", "two"), echo("c", "3"), echo("d", "4")]),
            vec!["/main/b changed", "/main/c follows /main/b", "/main/d requested"],
            vec!["/main/b~2", "/main/c~2", "/main/d~2"],
        ),
        (
            "a new step before the failed one",
            list([echo("a", "1"), echo("b", "2"), echo("c", "3"), echo("n", "x"), echo("d", "4")]),
            vec!["/main/d requested"],
            vec!["/main/n", "/main/d~2"],
        ),
        (
            "a new step before completed ones",
            list([echo("a", "1"), echo("n", "x"), echo("b", "2"), echo("c", "3"), echo("d", "4")]),
            vec!["/main/b new /main/n", "/main/c new /main/n", "/main/d requested"],
            vec!["/main/n", "/main/b~2", "/main/c~2", "/main/d~2"],
        ),
        (
            "a completed step is gone",
            list([echo("a", "1"), echo("c", "3"), echo("d", "4")]),
            vec!["/main/c removed /main/b", "/main/d requested"],
            vec!["/main/c~2", "/main/d~2"],
        ),
        ("the failed step is gone", list([echo("a", "1"), echo("b", "2"), echo("c", "3")]), vec![], vec![]),
        (
            "two steps changed places",
            list([echo("a", "1"), echo("c", "3"), echo("b", "2"), echo("d", "4")]),
            vec!["/main/b moved", "/main/c moved", "/main/d requested"],
            vec!["/main/c~2", "/main/b~2", "/main/d~2"],
        ),
        (
            "only how a completed step is handled",
            list([
                echo("a", "1"),
                echo("b", "2").with_timeout(std::time::Duration::from_secs(9)),
                echo("c", "3"),
                echo("d", "4"),
            ]),
            vec!["/main/d requested"],
            vec!["/main/d~2"],
        ),
        ("nothing", old(), vec!["/main/d requested"], vec!["/main/d~2"]),
    ] {
        let (shown, executed, _) = retried(old(), 3, with(new)).await;
        assert_eq!((shown, executed), (owned(&runs_again), owned(&performed)), "{name}");
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn graph_repeats_only_the_dependents_of_changed_steps() {
    let graph =
        |b: &str| list([echo("a", "1"), echo("b", b), echo("c", "3").after(["b"]), echo("d", "4").after(["a", "c"])]);
    let (shown, executed, _) = retried(graph("2"), 3, with(graph("two"))).await;
    assert_eq!(shown, ["/main/b changed", "/main/c follows /main/b", "/main/d requested"]);
    assert_eq!(executed, ["/main/b~2", "/main/c~2", "/main/d~2"]);
}

#[tokio::test]
async fn steps_that_read_a_changed_variable_run_again() {
    let old = |version: &str| {
        let mut definition = list([echo("a", "1"), echo("b", "{{ tag }}"), echo("c", "3")]);
        definition.variables.insert("version".into(), json!(version));
        definition.variables.insert("tag".into(), json!("v{{ version }}"));
        definition
    };
    let (shown, executed, _) = retried(old("1"), 2, with(old("2"))).await;
    assert_eq!(shown, ["/main/b reads tag", "/main/c requested"]);
    assert_eq!(executed, ["/main/b~2", "/main/c~2"]);
}

#[tokio::test]
async fn loop_continues_where_it_stopped_if_only_its_end_changed() {
    let each = |items: Value, max: Option<u64>, value: &str| {
        let inner = Loop { max_iterations: max, ..Loop::items(items, [echo("work", value)]) };
        list([inner.into_step("each"), echo("last", "x")])
    };
    // The run fails in `last`, after two iterations.
    let old = || each(json!([1, 2, 3]), Some(2), "{{ loop.item }}");
    let (shown, executed, _) = retried(old(), 2, with(each(json!([1, 2, 3]), Some(3), "{{ loop.item }}"))).await;
    assert_eq!((shown, executed), (owned(&["/main/last requested"]), owned(&["/main/each[2]/work", "/main/last~2"])));
    let (_, executed, _) = retried(old(), 2, with(each(json!([1, 5, 3]), Some(2), "{{ loop.item }}"))).await;
    assert_eq!(executed, ["/main/each[0]/work~2", "/main/each[1]/work~2", "/main/last~2"]);
    // The failed iteration is corrected, and `keep` preserves the completed iterations.
    let new = || each(json!([1, 2, 3]), Some(2), "new {{ loop.item }}");
    let (shown, executed, _) = retried(old(), 1, with(new())).await;
    assert_eq!(shown, ["/main/each[0]/work changed", "/main/each[1]/work requested"]);
    assert_eq!(executed, ["/main/each[0]/work~2", "/main/each[1]/work~2", "/main/last"]);
    for keep in ["work", "each/work", "each[0]", "/main/each[0]/work"] {
        let (_, executed, _) = retried(old(), 1, keeping(new(), &[keep])).await;
        assert_eq!(executed, ["/main/each[1]/work~2", "/main/last"], "{keep}");
    }
}

#[tokio::test]
async fn new_branch_runs_and_other_branches_keep_their_results() {
    let both = |ids: &[&str]| {
        let branches = ids.iter().map(|id| Step::sequence(*id, [echo("work", id)]));
        list([Parallel::new(branches).into_step("both"), echo("last", "x")])
    };
    let (shown, executed, _) = retried(both(&["l", "r"]), 2, with(both(&["l", "m", "r"]))).await;
    assert_eq!(shown, ["/main/last requested"]);
    assert_eq!(executed, ["/main/both/m/work", "/main/last~2"]);
}

#[tokio::test]
async fn at_most_once_step_is_repeated_only_if_chosen() {
    let once = |value: &str| Step { at_most_once: true, ..echo("pay", value) };
    let old = || list([once("1"), echo("b", "2")]);
    let lab = Lab::new();
    let executor = lab.executor();
    lab.performed.begin(Some(1));
    let run = start(&executor, old()).await;
    let id = run.id();
    finished(&executor, run).await;
    let known = lab.known(id).await;
    let error = executor.retry(&known, &with(list([once("one"), echo("b", "2")]))).await.unwrap_err();
    assert_eq!(error.code(), "cannot_run_again");
    assert!(error.to_string().contains("/main/pay"), "{error}");
    let (_, executed, _) = retried(old(), 1, keeping(list([once("one"), echo("b", "2")]), &["pay"])).await;
    assert_eq!(executed, ["/main/b~2"]);
    let chosen = RewindOptions { from: Some("pay".into()), ..with(list([once("one"), echo("b", "2")])) };
    let (_, executed, _) = retried(old(), 1, chosen).await;
    assert_eq!(executed, ["/main/pay~2", "/main/b~2"]);
}

#[tokio::test]
async fn waiting_run_resumes_under_a_corrected_definition() {
    let old = || list([echo("a", "1"), wait("gate"), echo("z", "26")]);
    for (name, new, runs_again, executed) in [
        ("a later step", list([echo("a", "1"), wait("gate"), echo("z", "new")]), vec![], vec!["/main/z"]),
        (
            "an earlier step",
            list([echo("a", "one"), wait("gate"), echo("z", "26")]),
            vec!["/main/a changed"],
            vec!["/main/a~2", "/main/z"],
        ),
        (
            "the wait",
            list([echo("a", "1"), wait("gate").with_timeout(std::time::Duration::from_secs(3600)), echo("z", "26")]),
            vec!["/main/gate changed"],
            vec!["/main/z"],
        ),
        ("the wait is gone", list([echo("a", "1"), echo("z", "26")]), vec![], vec!["/main/z"]),
    ] {
        let lab = Lab::new();
        let executor = lab.executor();
        let run = start(&executor, old()).await;
        let id = run.id();
        assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
        lab.performed.begin(None);
        let known = lab.known(id).await;
        let options = with(new);
        let preview = executor.preview(&known, Continuation::Resume, &options).await.unwrap();
        assert_eq!(shown(&preview.runs_again), runs_again, "{name}");
        lab.home().post(&known, &Message::Signal { name: "go".into(), payload: json!(1) }).await.unwrap();
        let run = executor.resume_with(&known, options.definition.unwrap()).await.unwrap();
        assert_eq!(finished(&executor, run).await.status, RunStatus::Completed, "{name}");
        let performed: Vec<String> =
            lab.performed.all().iter().map(|one| one.trim_end_matches("#1").to_owned()).collect();
        assert_eq!(performed, executed, "{name}");
    }
}

#[tokio::test]
async fn impossible_corrections_are_refused_and_change_nothing() {
    let lab = Lab::new();
    let executor = lab.executor();
    lab.performed.begin(Some(1));
    let old = || list([echo("a", "1"), echo("b", "2")]);
    let run = start(&executor, old()).await;
    let id = run.id();
    finished(&executor, run).await;
    let known = lab.known(id).await;
    let mut input = old();
    input
        .inputs
        .insert("missing".into(), llmspell_workflows_basic::model::InputSpec { required: true, ..Default::default() });
    for (options, expected) in [
        (with(Definition::sequence("other", [echo("a", "1")])), "the run executes `list`, not `other`"),
        (keeping(list([echo("a", "one"), echo("b", "2")]), &["aa"]), "no recorded step matches `aa`"),
        (with(input), "missing"),
        (with(Definition::sequence("list", [Step::function("a", "nowhere", json!(1))])), "nowhere"),
    ] {
        let error = executor.retry(&known, &options).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let again = lab.known(id).await;
    assert_eq!((again.status(), &again.summary.definition), (RunStatus::Failed, &known.summary.definition));
    let run = executor.retry(&again, &RewindOptions::default()).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("2"));
}

#[tokio::test]
async fn while_loop_tests_its_last_condition_again() {
    let definition = |limit: u64, last: &str| {
        let count = Step::set("count", [("n".to_owned(), json!("{{ (state.n || 0) + 1 }}"))].into_iter().collect());
        let mut inner = Loop::new(LoopSource::While(format!("(state.n || 0) < {limit}")), [count, echo("work", "w")]);
        inner.max_iterations = Some(9);
        list([inner.into_step("each"), echo("last", last)])
    };
    let (_, executed, _) = retried(definition(2, "x"), 2, with(definition(4, "x"))).await;
    assert_eq!(executed, ["/main/each[2]/work", "/main/each[3]/work", "/main/last~2"]);
}

/// An interrupted step has older records than a step inserted before it.
#[tokio::test]
async fn interrupted_step_comes_after_a_step_inserted_before_it() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, list([echo("a", "1"), wait("gate"), echo("z", "26")])).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    let new = Arc::new(list([echo("a", "1"), echo("new", "x"), wait("gate"), echo("z", "26")]));
    let run = executor.resume_with(&lab.known(id).await, new).await.unwrap();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    lab.home().post(&lab.known(id).await, &Message::Signal { name: "go".into(), payload: json!(1) }).await.unwrap();
    let run = executor.resume(&lab.known(id).await).await.unwrap();
    finished(&executor, run).await;
    let options = RewindOptions { from: Some("gate".to_owned()), ..RewindOptions::default() };
    let preview = executor.preview(&lab.known(id).await, Continuation::Fork, &options).await.unwrap();
    assert_eq!(shown(&preview.runs_again), ["/main/gate requested", "/main/z follows /main/gate"]);
}

#[tokio::test]
async fn ended_run_cannot_be_resumed_under_another_definition() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, list([echo("a", "1")])).await;
    let id = run.id();
    finished(&executor, run).await;
    let known = lab.known(id).await;
    let options = with(list([echo("a", "1"), echo("b", "2")]));
    let preview = executor.preview(&known, Continuation::Resume, &options).await.unwrap_err();
    let resumed = executor.resume_with(&known, options.definition.unwrap()).await.unwrap_err();
    assert!(matches!((&preview, &resumed), (ExecutorError::Ended { .. }, ExecutorError::Ended { .. })), "{resumed}");
    assert_eq!(lab.known(id).await, known);
    assert_eq!(lab.home().verify().await.unwrap().damage, Vec::<String>::new());
    assert!(lab.home().list(&Default::default()).await.unwrap().damaged.is_empty());
}
