//! Random records never panic the fold; what is illegal is refused and changes nothing; and after a crash anywhere the
//! records come to the statuses that the engine has.

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

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// All that can be asked of a state; asking must not panic.
fn ask(state: &RunState) -> String {
    let mut steps: Vec<_> =
        state.steps().map(|(path, step)| (path, step.status(), step.waits(), step.child())).collect();
    steps.sort_by_key(|(path, ..)| *path);
    let resume = state.resume(Uuid::nil()).is_some();
    format!("{} {resume} {:?} {:?} {steps:?}", state.count(), state.phase(), state.summary(Uuid::nil(), None))
}

#[test]
fn random_records_never_panic_and_a_refused_one_changes_nothing() {
    let golden: Vec<Record> = GOLDEN.lines().map(|line| Record::decode(line.as_bytes()).unwrap()).collect();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..300 {
        let mut chance = Chance(seed);
        let mut state = RunState::default();
        let mut legal = Vec::new();
        for number in 0..60 {
            // Mostly it begins with a start, so that something can follow.
            let record = &golden[if number == 0 && seed % 10 > 0 { 0 } else { chance.below(golden.len()) }];
            let before = ask(&state);
            match state.apply(record) {
                Ok(()) => {
                    accepted += 1;
                    legal.push(record.clone());
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.number, state.count(), "{error}");
                    assert_eq!(error.path.as_deref(), record.path());
                    assert_eq!(ask(&state), before, "seed {seed}: {error}");
                }
            }
        }
        let again = RunState::read(&legal).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(ask(&again), ask(&state), "seed {seed}");
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
}

/// What the records of a run that is at its end say of each step, against what the engine says.
fn compare(records: &[Record], finished: &llmspell_workflows_basic::Finished, place: &str) -> usize {
    let state = RunState::read(records).unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut compared = 0;
    for step in finished.steps.iter() {
        let Some(known) = state.step(&step.path.to_string()) else { continue };
        // How far a step had come that was stopped is not recorded where that was by a shutdown or by chance.
        if step.status == StepStatus::Cancelled || known.status() == StepStatus::Cancelled {
            continue;
        }
        // A step whose failure was dealt with has failed itself, and gives what its handler gave.
        let is_recovered = step.status == StepStatus::Completed && step.error.is_some();
        let expected = if is_recovered { StepStatus::Failed } else { step.status };
        assert_eq!(known.status(), expected, "{place}: {}", step.path);
        compared += 1;
    }
    compared
}

#[test]
fn after_a_crash_anywhere_the_records_come_to_the_statuses_of_the_engine() {
    let (mut compared, mut crashes) = (0, 0);
    for seed in 1..=25 {
        let test = generate::crash_test(seed, |_| {});
        for crash_at in (0..).step_by(5) {
            let place = format!("seed {seed}, crashed at boundary {crash_at}");
            let (memory, clock) = (Arc::new(MemoryJournal::new()), SimClock::default());
            let point = CrashPoint::at(crash_at);
            let watched: Arc<dyn Journal> = Arc::new(WatchedJournal::new(memory.clone(), point.clone()));
            if test.run_until(&watched, &clock, &point).unwrap().is_some() {
                break;
            }
            crashes += 1;
            let cut = memory.kept(Uuid::nil());
            let state = RunState::read(&cut).unwrap_or_else(|error| panic!("{place}: {error}"));
            let status = state.status(false);
            assert!(
                matches!(status, RunStatus::Pending | RunStatus::Interrupted | RunStatus::Waiting),
                "{place}: it has not ended, and is {status:?}"
            );
            let journal: Arc<dyn Journal> = memory.clone();
            let finished = test.run_at(&journal, &clock).unwrap();
            compared += compare(&memory.kept(Uuid::nil()), &finished, &place);
        }
    }
    assert!(crashes > 100 && compared > 500, "{crashes} crashes, {compared} steps compared");
}
