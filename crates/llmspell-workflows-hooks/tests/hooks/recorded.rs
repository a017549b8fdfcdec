//! An answer that is recorded is obeyed without asking again, wherever the process crashes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::{
    Driven, Engine, Finished, RunOptions, StepError as Error, WorkflowInput,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    engine::{Decision, Position, Resume},
    model::{ActivityName, Conditional, Definition, Loop, Parallel, Retry, Step},
    state::Change,
};
use llmspell_workflows_hooks::{
    HookContext, HookDispatcher, HookError, HookLayer, Point, Registration,
    answer::{After, Again, Before, BeforeBlock, CacheEntry, OnBranch, OnError, OnItems, OnRetry, OnSkip},
    hook_fn,
    point::*,
};
use serde_json::{Value, json};

use crate::support::{Journal, Paused, Records, echo, fail, put};

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
    Registration::new("counted").at(point, hook)
}

fn activities(effects: &Counts) -> Activities {
    let mut activities = Activities::new();
    for name in ["echo", "fail", "put", "flaky"] {
        let effects = effects.clone();
        let activity = function(move |context: ActivityContext| {
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
        });
        activities.register("function", name, activity);
    }
    activities
}

/// A process that goes on with `records` and crashes at boundary `crash_at`; the run, if it came to an end.
async fn process(
    steps: &[Step],
    hooks: Registration,
    records: &Arc<Mutex<Records>>,
    effects: &Counts,
    crash_at: Option<u64>,
) -> Option<Finished> {
    let journal = Journal::new(records, crash_at);
    let layer = HookLayer::new(Arc::new(HookDispatcher::builder().register(hooks).build()));
    let engine = Engine::builder()
        .activities(activities(effects))
        .interceptor(Position::Journal, journal.clone())
        .interceptor(Position::Hooks, layer)
        .clock(Paused::new())
        .build();
    let plan = engine.prepare(Definition::sequence("test", steps.to_vec())).unwrap();
    let recorded = records.lock().unwrap().paths();
    let resume = Resume::new(uuid::Uuid::nil(), jiff::Timestamp::UNIX_EPOCH).with_recorded(&recorded);
    let options = RunOptions { resume: Some(resume), ..RunOptions::default() };
    let run = engine.start(&plan, WorkflowInput::default(), &options).unwrap();
    tokio::select! {
        biased;
        driven = engine.drive(&run) => match driven {
            Driven::Done(finished) => Some(*finished),
            Driven::Parked(wait) => panic!("it waits for {wait:?}"),
        },
        () = journal.crashed() => None,
    }
}

/// Crashes a run with this hook at every boundary and checks what was asked and done; `steps` and `answer` as given.
///
/// Once an answer is on record the hook, which would say `other` from then on, is not asked again.
async fn crash_everywhere<P: Point + Copy>(
    steps: impl IntoIterator<Item = Step>,
    point: P,
    answer: P::Answer,
    other: P::Answer,
) where
    P::Answer: Clone + Sync,
{
    let steps: Vec<_> = steps.into_iter().collect();
    let plain = (Arc::default(), Counts::default(), Counts::default());
    let hook = counted(point, &plain.1, [answer.clone(), other.clone()]);
    let expected = process(&steps, hook, &plain.0, &plain.2, None).await.unwrap();
    let mut boundaries = 0;
    for crash_at in 0.. {
        let (records, asked, effects) = (Arc::default(), Counts::default(), Counts::default());
        let hook = || counted(point, &asked, [answer.clone(), other.clone()]);
        let ended = process(&steps, hook(), &records, &effects, Some(crash_at)).await;
        if ended.is_some() {
            break;
        }
        boundaries += 1;
        let on_record = answers(&records);
        let before = asked.lock().unwrap().clone();
        let mut done = effects.lock().unwrap().clone();
        done.retain(|key, _| records.lock().unwrap().outcomes.contains_key(key.trim_end_matches("#1")));
        if on_record == 0 {
            // Its first answer was lost with the process, so it may say something else now.
            continue;
        }
        let finished = process(&steps, hook(), &records, &effects, None).await.unwrap();
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
    assert!(answers(&plain.0) > 0, "{}: nothing was recorded", P::POINT);
}

/// How many answers of hooks are recorded.
fn answers(records: &Arc<Mutex<Records>>) -> usize {
    let records = records.lock().unwrap();
    records.decisions.values().filter(|decision| matches!(decision, Decision::Answer(Some(_)))).count()
}

#[tokio::test(start_paused = true)]
async fn answers_before() {
    let step = || [echo("a", json!("own")), echo("b", json!("{{ a }}"))];
    let entry = CacheEntry { key: "k".into(), ttl: std::time::Duration::from_secs(60) };
    for answer in [
        Before::ModifyInput(json!("another")),
        Before::ModifyState(vec![Change::key("k", json!(1))]),
        Before::Delay(std::time::Duration::from_secs(3)),
        Before::Skip("not today".into()),
        Before::Replace(json!("instead")),
        Before::Redirect(ActivityName::new("function", "put")),
        Before::Fork(vec![json!(1), json!(2)]),
        Before::Cancel("no".into()),
        Before::Cache(entry),
    ] {
        crash_everywhere(step(), BeforeStep, answer, Before::Continue).await;
    }
    crash_everywhere(step(), BeforeWorkflowStart, BeforeBlock::Replace(json!(1)), BeforeBlock::Continue).await;
}

#[tokio::test(start_paused = true)]
async fn answers_after() {
    let step = || [echo("a", json!("own")), echo("b", json!("{{ a }}"))];
    for answer in [
        After::ModifyOutput(json!("another")),
        After::ModifyState(vec![Change::key("k", json!(1))]),
        After::Replace(json!("another")),
        After::Retry(Again::once()),
        After::Cancel("no".into()),
    ] {
        crash_everywhere(step(), AfterStep, answer, After::Continue).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_errors() {
    let step = || [Step::function("a", "flaky", json!("own")), echo("b", json!("{{ a }}"))];
    for answer in [
        OnError::Replace(json!("another")),
        OnError::Retry(Again::once()),
        OnError::Redirect(ActivityName::new("function", "echo")),
        OnError::Skip("never mind".into()),
        OnError::Cancel("no".into()),
    ] {
        crash_everywhere(step(), StepError, answer, OnError::Continue).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_at_choices() {
    let choice = || [Conditional::new("true", [echo("t", json!(1))], [echo("e", json!(2))]).into_step("if")];
    crash_everywhere(choice(), BranchDecision, OnBranch::Redirect(1), OnBranch::Continue).await;
    let each = || [Loop::items(json!([1, 2]), [echo("i", json!("{{ loop.item }}"))]).into_step("each")];
    crash_everywhere(each(), LoopItems, OnItems::Modify(vec![json!(7)]), OnItems::Continue).await;
    let skipped = || [echo("a", json!(1)).when("false"), echo("b", json!(2))];
    crash_everywhere(skipped(), StepSkip, OnSkip::Enter, OnSkip::Continue).await;
    let retried = || [fail("a").with_retry(Retry::attempts(2))];
    crash_everywhere(retried(), StepRetry, OnRetry::GiveUp, OnRetry::Continue).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_next_generation_was_ordered_is_not_run_in_its_first_one_again() {
    let steps = [Step::function("a", "flaky", json!("own"))];
    for crash_at in 0.. {
        let (records, asked, effects) = (Arc::default(), Counts::default(), Counts::default());
        let hook = || counted(StepError, &asked, [OnError::Retry(Again::once()), OnError::Continue]);
        if process(&steps, hook(), &records, &effects, Some(crash_at)).await.is_some() {
            assert!(crash_at > 4);
            break;
        }
        if answers(&records) == 1 {
            process(&steps, hook(), &records, &effects, None).await.unwrap();
            assert_eq!(effects.lock().unwrap()["/main/a#1"], 1, "after a crash at boundary {crash_at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_fork_that_has_ended_is_not_run_again() {
    let steps = [echo("a", json!(0))];
    let mut kept = 0;
    for crash_at in 0.. {
        let (records, asked, effects) = (Arc::default(), Counts::default(), Counts::default());
        let fork = Before::Fork(vec![json!(1), json!(2), json!(3)]);
        let hook = || counted(BeforeStep, &asked, [fork.clone(), Before::Continue]);
        if process(&steps, hook(), &records, &effects, Some(crash_at)).await.is_some() {
            break;
        }
        let of_parts = |records: &Records| {
            let paths = records.decisions.keys().map(|(path, ..)| path.clone());
            paths.filter(|path| path.ends_with(']')).collect::<Vec<_>>()
        };
        let ended = of_parts(&records.lock().unwrap());
        if answers(&records) == 0 {
            continue;
        }
        let finished = process(&steps, hook(), &records, &effects, None).await.unwrap();
        assert_eq!(*finished.output, json!([1, 2, 3]), "after a crash at boundary {crash_at}");
        kept += ended.len();
        for path in ended {
            assert_eq!(effects.lock().unwrap()[&format!("{path}#1")], 1, "{path} after a crash at {crash_at}");
        }
    }
    assert!(kept > 3, "only {kept} parts had ended");
}

#[tokio::test(start_paused = true)]
async fn a_finished_step_is_not_asked_about_and_a_run_that_goes_on_asks_for_the_rest() {
    let steps = [put("a", "k", json!(1)), Parallel::new([echo("x", json!(1))]).into_step("both")];
    let (records, asked, effects) = (Arc::default(), Counts::default(), Counts::default());
    let hook = || counted(BeforeStep, &asked, [Before::Continue, Before::Continue]);
    // The second boundary is after the record of the first step.
    assert!(process(&steps, hook(), &records, &effects, Some(1)).await.is_none());
    process(&steps, hook(), &records, &effects, None).await.unwrap();
    let all: Vec<_> = asked.lock().unwrap().iter().map(|(key, times)| (key.clone(), *times)).collect();
    let of = |path: &str| (format!("before_step {path}"), 1);
    assert_eq!(all, [of("/main/a"), of("/main/both"), of("/main/both/x")]);
    assert_eq!(effects.lock().unwrap().values().sum::<u32>(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_an_answer_is_masked_on_record() {
    let records = Arc::<Mutex<Records>>::default();
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
    let mut activities = Activities::new();
    activities.register(
        "function",
        "note",
        function(move |context: ActivityContext| {
            *note.lock().unwrap() = context.input().clone();
            async { Ok(json!(null)) }
        }),
    );
    let engine = Engine::builder()
        .activities(activities)
        .secrets([("KEY".to_owned(), "s3cret".to_owned())])
        .interceptor(Position::Journal, Journal::new(&records, None))
        .interceptor(Position::Hooks, layer)
        .build();
    let mut definition =
        Definition::sequence("test", [Step::function("a", "note", json!({"key": "{{ secrets.KEY }}"}))]);
    definition.secrets = vec!["KEY".into()];
    engine.run(definition, WorkflowInput::default()).await.unwrap();
    assert_eq!(*got.lock().unwrap(), json!({"key": "s3cret", "seen": "***", "planted": "***"}));
    let records = records.lock().unwrap();
    let text = format!("{:?} {:?}", records.outcomes, records.decisions);
    assert!(text.contains("planted") && !text.contains("s3cret"), "{text}");
}
