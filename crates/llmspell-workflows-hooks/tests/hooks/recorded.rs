//! An answer that is recorded is obeyed without asking again, wherever the process crashes.

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
    answer::{After, Again, Before, BeforeBlock, CacheEntry, OnBranch, OnError, OnItems, OnRetry, OnSkip},
    hook_fn,
    point::*,
};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::{Value, json};

use crate::support::{Recorded, echo, fail, put};

/// How often each thing happened, by its name.
type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

fn count(counts: &Counts, name: String) {
    *counts.lock().unwrap().entry(name).or_default() += 1;
}

/// A hook that answers differently each time it is asked: the answer of its first call, then that of its second.
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

/// A run of `steps` with this hook, which counts what it does.
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
                    "fail" => Err(Error::transient("boom", "it failed")),
                    "flaky" if context.path().generation() == 1 => Err(Error::transient("boom", "it failed")),
                    "put" => Ok(ActivityOutput::from(input.clone()).with_state("k", input["k"].clone())),
                    _ => Ok(input.into()),
                }
            }
        })
    })
}

/// Crashes a run with this hook at every boundary and checks what was asked and done; `steps` and `answer` as given.
///
/// Once an answer is on record the hook, which would say `other` from then on, is not asked again.
fn crash_everywhere<P: Point + Copy>(
    steps: impl IntoIterator<Item = Step>,
    point: P,
    answer: P::Answer,
    other: P::Answer,
) where
    P::Answer: Clone + Sync,
{
    let steps: Vec<_> = steps.into_iter().collect();
    let plain = Recorded::default();
    let hook = counted(point, &Counts::default(), [answer.clone(), other.clone()]);
    let expected = plain.process(&test(&steps, hook, &Counts::default()), None).unwrap();
    let mut boundaries = 0;
    for crash_at in 0.. {
        let (recorded, asked, effects) = (Recorded::default(), Counts::default(), Counts::default());
        let hook = || counted(point, &asked, [answer.clone(), other.clone()]);
        let ended = recorded.process(&test(&steps, hook(), &effects), Some(crash_at));
        if ended.is_some() {
            break;
        }
        boundaries += 1;
        let on_record = recorded.answers();
        let before = asked.lock().unwrap().clone();
        let mut done = effects.lock().unwrap().clone();
        let ended = recorded.ended();
        done.retain(|key, _| ended.iter().any(|path| *path == key.trim_end_matches("#1")));
        if on_record == 0 {
            // Its first answer was lost with the process, so it may say something else now.
            continue;
        }
        let finished = recorded.process(&test(&steps, hook(), &effects), None).unwrap();
        let place = format!("{} after a crash at boundary {crash_at}", P::POINT);
        assert_eq!((&finished.output, &finished.error), (&expected.output, &expected.error), "{place}");
        assert_eq!(finished.state_changes, expected.state_changes, "{place}");
        let after = asked.lock().unwrap().clone();
        let first = before.keys().next().unwrap();
        assert_eq!(after[first], 1, "{place}: {first} was asked again");
        for (key, times) in done {
            assert_eq!(effects.lock().unwrap()[&key], times, "{place}: {key} was recorded and ran again");
        }
    }
    assert!(boundaries > 2, "{}: only {boundaries} boundaries", P::POINT);
    assert!(plain.answers() > 0, "{}: nothing was recorded", P::POINT);
}

#[test]
fn answers_before() {
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
fn answers_after() {
    let step = || [echo("a", json!("own")), echo("b", json!("{{ a }}"))];
    for answer in [
        After::ModifyOutput(json!("another")),
        After::ModifyState(vec![Change::key("k", json!(1))]),
        After::Replace(json!("another")),
        After::Retry(Again::once()),
        After::Cancel("no".into()),
    ] {
        crash_everywhere(step(), AfterStep, answer, After::Continue);
    }
}

#[test]
fn answers_to_errors() {
    let step = || [Step::function("a", "flaky", json!("own")), echo("b", json!("{{ a }}"))];
    for answer in [
        OnError::Replace(json!("another")),
        OnError::Retry(Again::once()),
        OnError::Redirect(ActivityName::new("function", "echo")),
        OnError::Skip("never mind".into()),
        OnError::Cancel("no".into()),
    ] {
        crash_everywhere(step(), StepError, answer, OnError::Continue);
    }
}

#[test]
fn answers_at_choices() {
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
fn a_step_whose_next_generation_was_ordered_is_not_run_in_its_first_one_again() {
    let steps = [Step::function("a", "flaky", json!("own"))];
    for crash_at in 0.. {
        let (recorded, asked, effects) = (Recorded::default(), Counts::default(), Counts::default());
        let hook = || counted(StepError, &asked, [OnError::Retry(Again::once()), OnError::Continue]);
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
fn a_part_of_a_fork_that_has_ended_is_not_run_again() {
    let steps = [echo("a", json!(0))];
    let mut kept = 0;
    for crash_at in 0.. {
        let (recorded, asked, effects) = (Recorded::default(), Counts::default(), Counts::default());
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
        kept += ended.len();
        for path in ended {
            assert_eq!(effects.lock().unwrap()[&format!("{path}#1")], 1, "{path} after a crash at {crash_at}");
        }
    }
    assert!(kept > 3, "only {kept} parts had ended");
}

#[test]
fn a_finished_step_is_not_asked_about_and_a_run_that_goes_on_asks_for_the_rest() {
    let steps = [put("a", "k", json!(1)), Parallel::new([echo("x", json!(1))]).into_step("both")];
    // The first crash after which the first step is on record.
    let crashed = (0..100).find_map(|crash_at| {
        let (recorded, asked, effects) = (Recorded::default(), Counts::default(), Counts::default());
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
fn a_secret_in_an_answer_is_masked_on_record() {
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
    let got: Arc<Mutex<Value>> = Arc::default();
    let note = got.clone();
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
    let recorded = Recorded::default();
    recorded.process(&test, None).unwrap();
    assert_eq!(*got.lock().unwrap(), json!({"key": "s3cret", "seen": "***", "planted": "***"}));
    let text = format!("{:?}", recorded.records());
    assert!(text.contains("planted") && !text.contains("s3cret"), "{text}");
}
