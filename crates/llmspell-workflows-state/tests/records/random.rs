//! Random records never cause a panic, and illegal records are refused and change nothing. After a crash at any point,
//! the records yield the same statuses as the engine.

use std::sync::Arc;

use llmspell_workflows_basic::{RunStatus, engine::StepStatus};
use llmspell_workflows_state::{Journal, MemoryJournal, Record, RunState};
use llmspell_workflows_testing::{
    clock::SimClock,
    crash::{CrashPoint, WatchedJournal},
    generate,
};
use uuid::Uuid;

const GOLDEN: &str = include_str!("golden/format-2.jsonl");

/// A deterministic random number generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// Runs all queries on a state; none may panic.
fn describe(state: &RunState) -> String {
    let mut steps: Vec<_> =
        state.steps().map(|(path, step)| (path, step.status(), step.waits(), step.child())).collect();
    steps.sort_by_key(|(path, ..)| *path);
    let resume = state.resume(Uuid::nil()).is_some();
    format!("{} {resume} {:?} {:?} {steps:?}", state.count(), state.phase(), state.summary(Uuid::nil(), None))
}

#[test]
fn random_records_never_cause_a_panic_and_illegal_records_change_nothing() {
    let golden: Vec<Record> = GOLDEN.lines().map(|line| Record::decode(line.as_bytes()).unwrap()).collect();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut state = RunState::default();
        let mut legal = Vec::new();
        for number in 0..60 {
            // Most runs begin with a start record so that other records can follow.
            let record = &golden[if number == 0 && seed % 10 > 0 { 0 } else { random.below(golden.len()) }];
            let before = describe(&state);
            match state.apply(record) {
                Ok(()) => {
                    accepted += 1;
                    legal.push(record.clone());
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.number, state.count(), "{error}");
                    assert_eq!(error.path.as_deref(), record.path());
                    assert_eq!(describe(&state), before, "seed {seed}: {error}");
                }
            }
        }
        let again = RunState::read(&legal).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(describe(&again), describe(&state), "seed {seed}");
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
}

/// Compares the step statuses from the records of a finished run with those of the engine.
fn compare(records: &[Record], finished: &llmspell_workflows_basic::Finished, location: &str) -> usize {
    let state = RunState::read(records).unwrap_or_else(|error| panic!("{location}: {error}"));
    let mut compared = 0;
    for step in finished.steps.iter() {
        let Some(known) = state.step(&step.path.to_string()) else { continue };
        // The status of a stopped step is not recorded if a shutdown or a race stopped it.
        if step.status == StepStatus::Cancelled || known.status() == StepStatus::Cancelled {
            continue;
        }
        // A step with a handled failure has failed but has its handler's output.
        let is_recovered = step.status == StepStatus::Completed && step.error.is_some();
        let expected = if is_recovered { StepStatus::Failed } else { step.status };
        assert_eq!(known.status(), expected, "{location}: {}", step.path);
        compared += 1;
    }
    compared
}

#[test]
fn recorded_statuses_match_the_engine_after_a_crash() {
    let (mut compared, mut crashes) = (0, 0);
    for seed in 1..=25 {
        let test = generate::crash_test(seed, |_| {});
        for crash_at in (0..).step_by(5) {
            let location = format!("seed {seed}, crashed at boundary {crash_at}");
            let (memory, clock) = (Arc::new(MemoryJournal::new()), SimClock::default());
            let point = CrashPoint::at(crash_at);
            let watched: Arc<dyn Journal> = Arc::new(WatchedJournal::new(memory.clone(), point.clone()));
            if test.run_until(&watched, &clock, &point).unwrap().is_some() {
                break;
            }
            crashes += 1;
            let cut = memory.kept(Uuid::nil());
            let state = RunState::read(&cut).unwrap_or_else(|error| panic!("{location}: {error}"));
            let status = state.status(false);
            assert!(
                matches!(status, RunStatus::Pending | RunStatus::Interrupted | RunStatus::Waiting),
                "{location}: a run that has not ended is {status:?}"
            );
            let journal: Arc<dyn Journal> = memory.clone();
            let finished = test.run_at(&journal, &clock).unwrap();
            compared += compare(&memory.kept(Uuid::nil()), &finished, &location);
        }
    }
    assert!(crashes > 100 && compared > 500, "{crashes} crashes, {compared} steps compared");
}
