//! Hook answers change a durable run, are recorded, and are reused after a crash at any record.

use std::sync::{Arc, Mutex};

use llmspell_workflows_advanced::EnhancedExecutionContext;
use llmspell_workflows_basic::{
    Driven, Engine, Finished, RunOptions, WorkflowInput,
    engine::{Call, Decision, Extensions, Timers, Wake},
    model::{
        ActivityName, Conditional, Definition, Loop, LoopSource, OnConflict, Parallel, Retry, Route, Step, StepKind,
    },
    state::Change,
};
use llmspell_workflows_hooks::{Hook, HookContext, HookError, Point, Registration, answer::*, hook_fn, point::*};
use llmspell_workflows_state::{Journal, MemoryJournal, Record, RunJournal, Started};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Log, builder, clock, echo, put, sequence, wait_for, within_timeout};

/// The paths at which hooks were called.
type CallPaths = Arc<Mutex<Vec<String>>>;

/// Returns a hook that gives each of `answers` in turn, and `Continue` after that.
fn hook<P: Point>(asked: &CallPaths, answers: Vec<P::Answer>) -> impl Hook<P> + use<P>
where
    P::Answer: Clone + Sync,
{
    let (asked, answers) = (asked.clone(), Arc::new(answers));
    hook_fn(move |context: HookContext| {
        let mut asked = asked.lock().unwrap();
        let answer = answers.get(asked.len()).cloned().unwrap_or(P::Answer::CONTINUE);
        asked.push(context.path());
        async move { Ok::<_, HookError>(answer) }
    })
}

/// Returns a context with a [`hook`] at `point`.
fn context<P: Point>(point: P, asked: &CallPaths, answers: Vec<P::Answer>) -> EnhancedExecutionContext
where
    P::Answer: Clone + Sync,
{
    let engine = builder(&Log::default(), &clock()).build();
    let registration = Registration::new("answers").at(point, hook::<P>(asked, answers));
    EnhancedExecutionContext::in_memory().with_engine(engine).with_hooks(|hooks| hooks.register(registration))
}

/// Resumes a run of `definition` from `records`; returns the finished run and all of its records.
async fn resume_from(engine: &Engine, definition: &Definition, records: &[Record]) -> (Finished, Vec<Record>) {
    let (journal, run) = (Arc::new(MemoryJournal::new()), Uuid::nil());
    let epoch = journal.open(run).await.unwrap().epoch;
    for record in records {
        journal.append(run, epoch, record).unwrap();
    }
    let of_run = Arc::new(RunJournal::open(journal.clone(), run).await.unwrap());
    if records.is_empty() {
        let at = engine.clock().now();
        of_run.start(Started { at, input: json!({}), ..Started::default() }).await.unwrap();
    }
    let plan = engine.prepare(definition.clone()).unwrap();
    let extensions = Extensions::new().with_shared(of_run.clone());
    let options = RunOptions { resume: of_run.resume(), extensions, ..RunOptions::default() };
    let run = engine.start(&plan, WorkflowInput::new(json!({})), &options).unwrap();
    run.signal("go", json!(1));
    run.signal("go", json!(2));
    match within_timeout(engine.drive(&run)).await {
        Driven::Done(finished) => (*finished, journal.kept(Uuid::nil())),
        Driven::Stuck { so_far, .. } => (*so_far, journal.kept(Uuid::nil())),
        Driven::Parked(wait) => panic!("the run waits: {wait:?}"),
    }
}

fn is_answer(record: &Record) -> bool {
    let Record::Decided { decision, .. } = record else { return false };
    use Decision as D;
    matches!(decision, D::HookAnswer(..) | D::HookAnswerTo(..) | D::HookAnswerToSignal(..) | D::ForkPart(_))
}

/// Returns the parts of a run's result that a hook can change.
fn result(finished: &Finished) -> Value {
    let steps: Vec<_> = finished.steps.iter().map(|step| json!([step.path.to_string(), step.status])).collect();
    json!({
        "status": finished.status,
        "output": finished.output,
        "error": finished.error.as_ref().map(|error| error.code.to_string()),
        "state": finished.state_changes,
        "steps": steps,
    })
}

/// Returns the parts of the result that do not depend on the record after which the run was
/// interrupted.
fn cut_independent(finished: &Finished) -> Value {
    let mut result = result(finished);
    result.as_object_mut().unwrap().remove("steps");
    result
}

async fn answer_survives_cuts<P: Point + Copy>(point: P, answer: P::Answer, steps: impl IntoIterator<Item = Step>)
where
    P::Answer: Clone + Sync + std::fmt::Debug,
{
    let (definition, row) = (sequence(steps), format!("{} answers {answer:?}", P::POINT));
    let (none, asked) = (CallPaths::default(), CallPaths::default());
    let plain = context(point, &none, Vec::new()).executor().engine().clone();
    let (without, _) = resume_from(&plain, &definition, &[]).await;
    let hooked = context(point, &asked, vec![answer]).executor().engine().clone();
    let (expected, records) = resume_from(&hooked, &definition, &[]).await;
    assert_ne!(result(&expected), result(&without), "{row}: the answer changes nothing");
    let answered = asked.lock().unwrap()[0].clone();
    let first = records.iter().position(is_answer).unwrap_or_else(|| panic!("{row}: the answer is not recorded"));
    for cut in first + 1..=records.len() {
        let again = CallPaths::default();
        let engine = context(point, &again, Vec::new()).executor().engine().clone();
        let (resumed, _) = resume_from(&engine, &definition, &records[..cut]).await;
        assert_eq!(
            cut_independent(&resumed),
            cut_independent(&expected),
            "{row}: cut after {cut} of {} records",
            records.len()
        );
        // For a decision made several times in a loop, hooks are asked each time.
        let count = |asked: &CallPaths| asked.lock().unwrap().iter().filter(|path| **path == answered).count();
        let again = count(&again);
        assert!(again == 0 || again < count(&asked), "{row}: asked again when cut after {cut} records");
    }
}

fn other() -> ActivityName {
    ActivityName::new("function", "put")
}

fn cache() -> CacheEntry {
    CacheEntry { key: "k".into(), ttl: std::time::Duration::from_secs(60) }
}

/// Returns two steps: one of the given kind, which reaches the `Before…` points, and one that uses its output.
fn two(kind: &str) -> [Step; 2] {
    [Step::activity("a", kind, "echo", json!({"k": 1})), echo("b", json!("{{ a }}"))]
}

#[tokio::test]
async fn hook_answers_before_steps_tools_and_agents_survive_a_crash() {
    macro_rules! at {
        ($($point:ident $kind:literal),*) => {$(
            for answer in [
                Before::ModifyInput(json!({"k": 2})),
                Before::ModifyState(vec![Change::key("k", json!(1))]),
                Before::Skip("not today".into()),
                Before::Replace(json!("instead")),
                Before::Redirect(other()),
                Before::Fork(vec![json!({"k": 1}), json!({"k": 2})]),
                Before::Cancel("no".into()),
            ] {
                answer_survives_cuts($point, answer, two($kind)).await;
            }
        )*};
    }
    at!(BeforeStep "function", BeforeWorkflowStage "function", BeforeToolExecution "tool", BeforeAgentExecution "agent");
}

#[tokio::test]
async fn before_block_hook_answers_survive_a_crash() {
    let each = || [Loop::items(json!([1]), [put("i", 1)]).into_step("each"), echo("b", json!("{{ state.k }}"))];
    let both =
        || [Parallel::new([Step::sequence("x", [put("i", 1)])]).into_step("both"), echo("b", json!("{{ state.k }}"))];
    macro_rules! at {
        ($($point:ident $steps:ident),*) => {$(
            for answer in [
                BeforeBlock::ModifyState(vec![Change::key("before", json!(1))]),
                BeforeBlock::Cancel("no".into()),
                BeforeBlock::Replace(json!("instead")),
            ] {
                answer_survives_cuts($point, answer, $steps().map(|step| step)).await;
            }
        )*};
    }
    at!(BeforeWorkflowStart each, LoopStart each, IterationStart each, ParallelFork both, BranchStart both);
    let plain = || [echo("a", json!(1))];
    answer_survives_cuts(BeforeWorkflowStart, BeforeBlock::Skip("not today".into()), plain()).await;
}

#[tokio::test]
async fn hook_answers_after_completion_survive_a_crash() {
    let each = || [Loop::items(json!([1]), [echo("i", json!(1))]).into_step("each"), echo("b", json!("{{ each }}"))];
    let both = || [Parallel::new([echo("x", json!(1))]).into_step("both"), echo("b", json!("{{ both }}"))];
    let (step, tool, agent) = (|| two("function"), || two("tool"), || two("agent"));
    macro_rules! at {
        ($($point:ident $steps:ident),*) => {$(
            for answer in [
                After::ModifyOutput(json!("another")),
                After::ModifyState(vec![Change::key("after", json!(1))]),
                After::Replace(json!("another")),
                After::Cancel("no".into()),
            ] {
                answer_survives_cuts($point, answer, $steps()).await;
            }
        )*};
    }
    at!(
        AfterWorkflowComplete step, AfterStep step, AfterWorkflowStage step, AfterToolExecution tool,
        AfterAgentExecution agent, LoopEnd each, ParallelJoin both, BranchEnd both
    );
    for answer in [AfterIteration::ModifyOutput(json!("another")), AfterIteration::Cancel("no".into())] {
        answer_survives_cuts(IterationEnd, answer, each()).await;
    }
    let counts = [Step::function("a", "generation", json!(null)), echo("b", json!("{{ a }}"))];
    answer_survives_cuts(AfterStep, After::Retry(HookRetry::once()), counts).await;
}

#[tokio::test]
async fn hook_answers_after_failures_survive_a_crash() {
    macro_rules! at {
        ($($point:ident $kind:literal),*) => {$(
            for answer in [
                OnError::Replace(json!("another")),
                OnError::Retry(HookRetry::once()),
                OnError::Redirect(ActivityName::new($kind, "echo")),
                OnError::Skip("never mind".into()),
                OnError::Cancel("no".into()),
            ] {
                let steps = [Step::activity("a", $kind, "flaky", json!({"k": 1})), echo("b", json!(1))];
                answer_survives_cuts($point, answer, steps).await;
            }
        )*};
    }
    at!(StepError "function", ToolError "tool", AgentError "agent");
    let fails = || [Step::function("a", "flaky", json!({"k": 1}))];
    for answer in [OnRunError::Replace(json!(7)), OnRunError::Retry(HookRetry::once()), OnRunError::Cancel("no".into())]
    {
        answer_survives_cuts(WorkflowError, answer, fails()).await;
    }
}

#[tokio::test]
async fn decision_hook_answers_survive_a_crash() {
    let choice = || [Conditional::new("true", [echo("t", json!(1))], [echo("e", json!(2))]).into_step("if")];
    answer_survives_cuts(BranchDecision, OnBranch::Redirect(1), choice()).await;
    answer_survives_cuts(BranchDecision, OnBranch::Skip, choice()).await;
    answer_survives_cuts(BranchDecision, OnBranch::Cancel("no".into()), choice()).await;
    let each = || [Loop::items(json!([1, 2]), [echo("i", json!("{{ loop.item }}"))]).into_step("each")];
    answer_survives_cuts(LoopItems, OnItems::Modify(vec![json!(7)]), each()).await;
    answer_survives_cuts(LoopItems, OnItems::Cancel("no".into()), each()).await;
    let turn = || {
        let body = [Step::function("i", "put", json!({"k": "{{ (state.k || 0) + 1 }}"}))];
        [Step::new("while", StepKind::Loop(Loop::new(LoopSource::While("(state.k || 0) < 2".into()), body)))]
    };
    answer_survives_cuts(LoopCondition, OnCondition::End, turn()).await;
    answer_survives_cuts(LoopCondition, OnCondition::Cancel("no".into()), turn()).await;
    let never = || {
        let body = [Step::function("i", "put", json!({"k": "{{ (state.k || 0) + 1 }}"}))];
        [Step::new("while", StepKind::Loop(Loop::new(LoopSource::While("false".into()), body)))]
    };
    answer_survives_cuts(LoopCondition, OnCondition::Iterate, never()).await;
    let route = || {
        let steps = [echo("one", json!(1)).then("two"), echo("two", json!(2)), echo("three", json!(3))];
        [Route::new("one", steps).into_step("route")]
    };
    answer_survives_cuts(WorkflowStageTransition, OnTransition::Redirect("three".into()), route()).await;
    answer_survives_cuts(WorkflowStageTransition, OnTransition::Skip, route()).await;
    answer_survives_cuts(WorkflowStageTransition, OnTransition::Cancel("no".into()), route()).await;
    let skipped = || [echo("a", json!(1)).when("false"), echo("b", json!(2))];
    answer_survives_cuts(StepSkip, OnSkip::Enter, skipped()).await;
    answer_survives_cuts(StepSkip, OnSkip::Cancel("no".into()), skipped()).await;
    let retried = || [Step::function("a", "flaky", json!(1)).with_retry(Retry::attempts(2))];
    answer_survives_cuts(StepRetry, OnRetry::GiveUp, retried()).await;
    answer_survives_cuts(StepRetry, OnRetry::Cancel("no".into()), retried()).await;
    let conflict = || {
        let block = Parallel::new([Step::sequence("x", [put("p", 1)]), Step::sequence("y", [put("p", 2)])]);
        [block.with_on_conflict(OnConflict::Last).into_step("both")]
    };
    answer_survives_cuts(StateConflict, OnConflictAnswer::Modify(json!(9)), conflict()).await;
    answer_survives_cuts(StateConflict, OnConflictAnswer::Cancel("no".into()), conflict()).await;
    answer_survives_cuts(BeforeStateWrite, OnWrite::Cancel("no".into()), [put("a", 1)]).await;
    answer_survives_cuts(BeforeStateWrite, OnWrite::Skip, [put("a", 1)]).await;
    answer_survives_cuts(BeforeStateWrite, OnWrite::Modify(vec![Change::key("k", json!(3))]), [put("a", 1)]).await;
    answer_survives_cuts(SignalReceived, Permit::Cancel("not this one".into()), [wait_for("wait", "go")]).await;
    let undone = || {
        let paid = echo("a", json!(1)).with_compensation(Step::function("undo", "echo", json!("{{ output }}")));
        [paid, Step::function("b", "fail", json!(1))]
    };
    answer_survives_cuts(CompensationStart, Permit::Cancel("not by itself".into()), undone()).await;
}

/// Timers that record the wake times of waits, and end each wait at once.
#[derive(Clone, Default)]
struct RecordedWaits(Arc<Mutex<Vec<jiff::Timestamp>>>);

#[async_trait::async_trait]
impl Timers for RecordedWaits {
    async fn until(&self, _: &Call, wake_at: jiff::Timestamp) -> Wake {
        self.0.lock().unwrap().push(wake_at);
        Wake::Due
    }
}

#[tokio::test]
async fn delay_ends_at_the_recorded_time_after_a_crash() {
    async fn delay_survives_a_cut<P: Point + Copy>(point: P, answer: P::Answer, steps: Vec<Step>)
    where
        P::Answer: Clone + Sync,
    {
        let engine = |asked: &CallPaths, answers: Vec<P::Answer>| {
            let waits = RecordedWaits::default();
            let engine = builder(&Log::default(), &clock()).timers(waits.clone()).build();
            let hook = hook::<P>(asked, answers);
            let registration = Registration::new("answers").at(point, hook);
            let context = EnhancedExecutionContext::in_memory().with_engine(engine);
            (context.with_hooks(|hooks| hooks.register(registration)).executor().engine().clone(), waits)
        };
        let (asked, definition) = (CallPaths::default(), sequence(steps));
        let (first, waits) = engine(&asked, vec![answer]);
        let (_, records) = resume_from(&first, &definition, &[]).await;
        let until = waits.0.lock().unwrap().clone();
        assert_eq!(until, [first.clock().now() + std::time::Duration::from_secs(5)], "{}", P::POINT);
        let answered = records.iter().position(is_answer).unwrap();
        let again = CallPaths::default();
        let (second, waits) = engine(&again, Vec::new());
        resume_from(&second, &definition, &records[..=answered]).await;
        assert_eq!(*waits.0.lock().unwrap(), until, "{}", P::POINT);
        let path = &asked.lock().unwrap()[0];
        assert!(!again.lock().unwrap().contains(path), "{}: asked again", P::POINT);
    }
    let delay = std::time::Duration::from_secs(5);
    for kind in ["function", "tool", "agent"] {
        let steps = || two(kind).to_vec();
        delay_survives_a_cut(BeforeStep, Before::Delay(delay), steps()).await;
        match kind {
            "tool" => delay_survives_a_cut(BeforeToolExecution, Before::Delay(delay), steps()).await,
            "agent" => delay_survives_a_cut(BeforeAgentExecution, Before::Delay(delay), steps()).await,
            _ => delay_survives_a_cut(BeforeWorkflowStage, Before::Delay(delay), steps()).await,
        }
    }
    let each = || vec![Loop::items(json!([1]), [put("i", 1)]).into_step("each")];
    delay_survives_a_cut(BeforeWorkflowStart, BeforeBlock::Delay(delay), each()).await;
    delay_survives_a_cut(LoopStart, BeforeBlock::Delay(delay), each()).await;
    delay_survives_a_cut(IterationStart, BeforeBlock::Delay(delay), each()).await;
    let both = || vec![Parallel::new([echo("x", json!(1))]).into_step("both")];
    delay_survives_a_cut(ParallelFork, BeforeBlock::Delay(delay), both()).await;
    delay_survives_a_cut(BranchStart, BeforeBlock::Delay(delay), both()).await;
    let retried = vec![Step::function("a", "flaky", json!(1)).with_retry(Retry::attempts(2))];
    delay_survives_a_cut(StepRetry, OnRetry::Retry(delay), retried).await;
}

use llmspell_workflows_hooks::answer::OnConflict as OnConflictAnswer;

#[tokio::test]
async fn hook_answer_record_contains_the_cached_output() {
    let asked = CallPaths::default();
    let engine =
        context(BeforeStep, &asked, vec![Before::Cache(cache()), Before::Cache(cache())]).executor().engine().clone();
    let definition = sequence([echo("a", json!("first")), echo("b", json!("second"))]);
    let (finished, records) = resume_from(&engine, &definition, &[]).await;
    assert_eq!(*finished.output, json!("first"));
    // Another process has an empty cache but receives the recorded output.
    let last = records.iter().rposition(is_answer).unwrap();
    let other = context(BeforeStep, &CallPaths::default(), Vec::new()).executor().engine().clone();
    assert_eq!(*resume_from(&other, &definition, &records[..=last]).await.0.output, json!("first"));
}

#[tokio::test]
async fn observing_hooks_are_called_once() {
    for point in ["signal_wait", "compensation_end", "workflow_cancelled"] {
        let asked = CallPaths::default();
        let (context, steps) = match point {
            "compensation_end" => {
                let paid = echo("a", json!(1)).with_compensation(Step::function("undo", "echo", json!(1)));
                (context(CompensationEnd, &asked, Vec::new()), vec![paid, Step::function("b", "fail", json!(1))])
            }
            "signal_wait" => (context(SignalWait, &asked, Vec::new()), vec![wait_for("wait", "go")]),
            _ => {
                let cancel = hook_fn(|_| async { Ok(Before::Cancel("no".into())) });
                let seen = asked.clone();
                let look = hook_fn(move |context: HookContext| {
                    seen.lock().unwrap().push(context.path());
                    async { Ok(Observe::Continue) }
                });
                let registration = Registration::new("cancels").at(BeforeStep, cancel).at(WorkflowCancelled, look);
                let engine = builder(&Log::default(), &clock()).build();
                let context = EnhancedExecutionContext::in_memory().with_engine(engine);
                (context.with_hooks(|hooks| hooks.register(registration)), vec![echo("a", json!(1))])
            }
        };
        let engine = context.executor().engine().clone();
        let (_, records) = resume_from(&engine, &sequence(steps.clone()), &[]).await;
        assert_eq!(asked.lock().unwrap().len(), 1, "{point}");
        if point == "signal_wait" {
            let waits = |record: &Record| matches!(record, Record::Decided { decision: Decision::Awaits(..), .. });
            let cut = records.iter().position(waits).unwrap() + 1;
            resume_from(&engine, &sequence(steps), &records[..cut]).await;
            assert_eq!(asked.lock().unwrap().len(), 1, "the wait is recorded");
        }
    }
}
