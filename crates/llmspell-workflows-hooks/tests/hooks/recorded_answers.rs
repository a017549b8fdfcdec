//! A recorded answer is applied without asking the hook again, wherever the process crashes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use llmspell_workflows_basic::{
    StepError as Error,
    activity::{ActivityContext, ActivityOutput},
    engine::Position,
    model::{ActivityName, Conditional, Definition, Loop, Parallel, Retry, Step},
    state::Change,
};
use llmspell_workflows_hooks::{
    HookContext, HookDispatcher, HookError, HookLayer, Point, Registration,
    answer::{After, Before, BeforeBlock, CacheEntry, HookRetry, OnBranch, OnError, OnItems, OnRetry, OnSkip},
    hook_fn,
    point::*,
};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::{Value, json};

use crate::support::{RecordedRun, echo, fail, put};

/// The number of times that each event happened, by name.
type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

fn count(counts: &Counts, name: String) {
    *counts.lock().unwrap().entry(name).or_default() += 1;
}

/// Creates a hook that gives the first answer on its first call and the second answer on all later calls.
fn counted<P: Point>(point: P, asked: &Counts, answers: [P::Answer; 2]) -> Registration
where
    P::Answer: Clone + Sync,
{
    let asked = asked.clone();
    let hook = hook_fn(move |context: HookContext| {
        count(&asked, format!("{} {}", context.point(), context.path()));
        let first = asked.lock().unwrap().len() == 1 && asked.lock().unwrap().values().sum::<u32>() == 1;
        let answer = answers[usize::from(!first)].clone();
        async move { Ok::<_, HookError>(answer) }
    });
    Registration::new("counted").at(point, hook).timeout(Duration::from_secs(60))
}

/// Creates a test that runs `steps` with this hook and counts the executions of each activity.
fn test(steps: &[Step], hooks: Registration, effects: &Counts) -> CrashTest {
    let layer = HookLayer::new(Arc::new(HookDispatcher::builder().register(hooks).build()));
    let test = CrashTest::new(Definition::sequence("test", steps.to_vec()), json!({}))
        .engine(move |engine| engine.interceptor(Position::Hooks, layer.clone()));
    ["echo", "fail", "put", "flaky"].into_iter().fold(test, |test, name| {
        let effects = effects.clone();
        test.activity("function", name, move |context: ActivityContext| {
            count(&effects, format!("{}#{}", context.path(), context.attempt()));
            async move {
                let input = context.input().clone();
                match name {
                    "fail" => Err(Error::transient("boom", "the step failed")),
                    "flaky" if context.path().generation() == 1 => Err(Error::transient("boom", "the step failed")),
                    "put" => Ok(ActivityOutput::from(input.clone()).with_state("k", input["k"].clone())),
                    _ => Ok(input.into()),
                }
            }
        })
    })
}

/// Crashes a run of `steps` at every boundary, and checks that the resumed run does not ask for recorded answers again.
///
/// The hook at `point` answers `answer` once and `other` after that, so asking it again would change the result.
fn crash_everywhere<P: Point + Copy>(
    steps: impl IntoIterator<Item = Step>,
    point: P,
    answer: P::Answer,
    other: P::Answer,
) where
    P::Answer: Clone + Sync,
{
    let steps: Vec<_> = steps.into_iter().collect();
    let plain = RecordedRun::default();
    let hook = counted(point, &Counts::default(), [answer.clone(), other.clone()]);
    let expected = plain.process(&test(&steps, hook, &Counts::default()), None).unwrap();
    let mut boundaries = 0;
    for crash_at in 0.. {
        let (recorded, asked, effects) = (RecordedRun::default(), Counts::default(), Counts::default());
        let hook = || counted(point, &asked, [answer.clone(), other.clone()]);
        let ended = recorded.process(&test(&steps, hook(), &effects), Some(crash_at));
        if ended.is_some() {
            break;
        }
        boundaries += 1;
        let on_record = recorded.answers();
        let before = asked.lock().unwrap().clone();
        let mut completed = effects.lock().unwrap().clone();
        let ended = recorded.ended();
        completed.retain(|key, _| ended.iter().any(|path| *path == key.trim_end_matches("#1")));
        if on_record == 0 {
            // The first answer was lost with the process, so the next one may differ.
            continue;
        }
        let finished = recorded.process(&test(&steps, hook(), &effects), None).unwrap();
        let context = format!("{} after a crash at boundary {crash_at}", P::POINT);
        assert_eq!((&finished.output, &finished.error), (&expected.output, &expected.error), "{context}");
        assert_eq!(finished.state_changes, expected.state_changes, "{context}");
        let after = asked.lock().unwrap().clone();
        let first = before.keys().next().unwrap();
        assert_eq!(after[first], 1, "{context}: {first} was asked again");
        for (key, times) in completed {
            assert_eq!(effects.lock().unwrap()[&key], times, "{context}: {key} was recorded and ran again");
        }
    }
    assert!(boundaries > 2, "{}: only {boundaries} boundaries", P::POINT);
    assert!(plain.answers() > 0, "{}: nothing was recorded", P::POINT);
}

#[test]
fn before_hooks_with_a_recorded_answer_are_not_called_again() {
    let step = || [echo("a", json!("own")), echo("b", json!("{{ a }}"))];
    let entry = CacheEntry { key: "k".into(), ttl: Duration::from_secs(60) };
    for answer in [
        Before::ModifyInput(json!("another")),
        Before::ModifyState(vec![Change::key("k", json!(1))]),
        Before::Delay(Duration::from_secs(3)),
        Before::Skip("not today".into()),
        Before::Replace(json!("instead")),
        Before::Redirect(ActivityName::new("function", "put")),
        Before::Fork(vec![json!(1), json!(2)]),
        Before::Cancel("no".into()),
        Before::Cache(entry),
    ] {
        crash_everywhere(step(), BeforeStep, answer, Before::Continue);
    }
    crash_everywhere(step(), BeforeWorkflowStart, BeforeBlock::Replace(json!(1)), BeforeBlock::Continue);
}

#[test]
fn after_hooks_with_a_recorded_answer_are_not_called_again() {
    let step = || [echo("a", json!("own")), echo("b", json!("{{ a }}"))];
    for answer in [
        After::ModifyOutput(json!("another")),
        After::ModifyState(vec![Change::key("k", json!(1))]),
        After::Replace(json!("another")),
        After::Retry(HookRetry::once()),
        After::Cancel("no".into()),
    ] {
        crash_everywhere(step(), AfterStep, answer, After::Continue);
    }
}

#[test]
fn error_hooks_with_a_recorded_answer_are_not_called_again() {
    let step = || [Step::function("a", "flaky", json!("own")), echo("b", json!("{{ a }}"))];
    for answer in [
        OnError::Replace(json!("another")),
        OnError::Retry(HookRetry::once()),
        OnError::Redirect(ActivityName::new("function", "echo")),
        OnError::Skip("not needed".into()),
        OnError::Cancel("no".into()),
    ] {
        crash_everywhere(step(), StepError, answer, OnError::Continue);
    }
}

#[test]
fn decision_hooks_with_a_recorded_answer_are_not_called_again() {
    let choice = || [Conditional::new("true", [echo("t", json!(1))], [echo("e", json!(2))]).into_step("if")];
    crash_everywhere(choice(), BranchDecision, OnBranch::Redirect(1), OnBranch::Continue);
    let each = || [Loop::items(json!([1, 2]), [echo("i", json!("{{ loop.item }}"))]).into_step("each")];
    crash_everywhere(each(), LoopItems, OnItems::Modify(vec![json!(7)]), OnItems::Continue);
    let skipped = || [echo("a", json!(1)).when("false"), echo("b", json!(2))];
    crash_everywhere(skipped(), StepSkip, OnSkip::Enter, OnSkip::Continue);
    let retried = || [fail("a").with_retry(Retry::attempts(2))];
    crash_everywhere(retried(), StepRetry, OnRetry::GiveUp, OnRetry::Continue);
}

#[test]
fn recorded_retries_do_not_run_the_first_generation_again() {
    let steps = [Step::function("a", "flaky", json!("own"))];
    for crash_at in 0.. {
        let (recorded, asked, effects) = (RecordedRun::default(), Counts::default(), Counts::default());
        let hook = || counted(StepError, &asked, [OnError::Retry(HookRetry::once()), OnError::Continue]);
        if recorded.process(&test(&steps, hook(), &effects), Some(crash_at)).is_some() {
            assert!(crash_at > 4);
            break;
        }
        if recorded.answers() == 1 {
            recorded.process(&test(&steps, hook(), &effects), None).unwrap();
            assert_eq!(effects.lock().unwrap()["/main/a#1"], 1, "after a crash at boundary {crash_at}");
        }
    }
}

#[test]
fn completed_parts_of_a_fork_do_not_run_again() {
    let steps = [echo("a", json!(0))];
    let mut completed_parts = 0;
    for crash_at in 0.. {
        let (recorded, asked, effects) = (RecordedRun::default(), Counts::default(), Counts::default());
        let fork = Before::Fork(vec![json!(1), json!(2), json!(3)]);
        let hook = || counted(BeforeStep, &asked, [fork.clone(), Before::Continue]);
        if recorded.process(&test(&steps, hook(), &effects), Some(crash_at)).is_some() {
            break;
        }
        let paths = recorded.decided().into_iter().map(|(path, _)| path);
        let ended: Vec<_> = paths.filter(|path| path.ends_with(']')).collect();
        if recorded.answers() == 0 {
            continue;
        }
        let finished = recorded.process(&test(&steps, hook(), &effects), None).unwrap();
        assert_eq!(*finished.output, json!([1, 2, 3]), "after a crash at boundary {crash_at}");
        completed_parts += ended.len();
        for path in ended {
            assert_eq!(effects.lock().unwrap()[&format!("{path}#1")], 1, "{path} after a crash at {crash_at}");
        }
    }
    assert!(completed_parts > 3, "only {completed_parts} parts had completed");
}

#[test]
fn resumed_runs_call_hooks_only_for_unfinished_steps() {
    let steps = [put("a", "k", json!(1)), Parallel::new([echo("x", json!(1))]).into_step("both")];
    // Find the first crash point at which the first step has been recorded.
    let crashed = (0..100).find_map(|crash_at| {
        let (recorded, asked, effects) = (RecordedRun::default(), Counts::default(), Counts::default());
        let hook = counted(BeforeStep, &asked, [Before::Continue, Before::Continue]);
        recorded.process(&test(&steps, hook, &effects), Some(crash_at));
        (recorded.ended() == ["/main/a"]).then_some((recorded, asked, effects))
    });
    let (recorded, asked, effects) = crashed.unwrap();
    let hook = counted(BeforeStep, &asked, [Before::Continue, Before::Continue]);
    recorded.process(&test(&steps, hook, &effects), None).unwrap();
    let all: Vec<_> = asked.lock().unwrap().iter().map(|(key, times)| (key.clone(), *times)).collect();
    let of = |path: &str| (format!("before_step {path}"), 1);
    assert_eq!(all, [of("/main/a"), of("/main/both"), of("/main/both/x")]);
    assert_eq!(effects.lock().unwrap().values().sum::<u32>(), 2);
}

#[test]
fn secrets_in_answers_are_masked_in_the_record() {
    let hook = hook_fn(|context: HookContext| async move {
        let mut input = context.input()?.unwrap();
        let seen = Arc::make_mut(&mut input);
        seen["seen"] = seen["key"].clone();
        seen["planted"] = json!("s3cret");
        Ok(Before::ModifyInput(seen.clone()))
    });
    let layer = HookLayer::new(Arc::new(
        HookDispatcher::builder().register(Registration::new("planting").at(BeforeStep, hook)).build(),
    ));
    let received: Arc<Mutex<Value>> = Arc::default();
    let note = received.clone();
    let steps = [Step::function("a", "note", json!({"key": "{{ secrets.KEY }}"}))];
    let definition = Definition { secrets: vec!["KEY".into()], ..Definition::sequence("test", steps) };
    let test = CrashTest::new(definition, json!({}))
        .activity("function", "note", move |context: ActivityContext| {
            *note.lock().unwrap() = context.input().clone();
            async { Ok(json!(null).into()) }
        })
        .engine(move |engine| {
            let secrets = [("KEY".to_owned(), "s3cret".to_owned())];
            engine.secrets(secrets).interceptor(Position::Hooks, layer.clone())
        });
    let recorded = RecordedRun::default();
    recorded.process(&test, None).unwrap();
    assert_eq!(*received.lock().unwrap(), json!({"key": "s3cret", "seen": "***", "planted": "s3cret"}));
    let text = format!("{:?}", recorded.records());
    assert!(text.contains("planted") && !text.contains("s3cret"), "{text}");
}
