//! Tests of the history checker: it accepts valid histories and reports every planted violation.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod cases;
mod plant;
mod simulate;

use std::collections::BTreeMap;

use llmspell_workflows_testing::history::{Kind, Rule, check, read, write};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

/// Random choices, from which a history is simulated.
fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 40..600)
}

/// Returns a runner that always tests the same 60 random histories. For other histories, use
/// `HISTORIES=20000 SEED=7 cargo test -p llmspell-workflows-testing --test history -- --nocapture`.
fn runner() -> TestRunner {
    let number = |name: &str, default: u32| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
    };
    let (cases, seed) = (number("HISTORIES", 60), number("SEED", 1));
    println!("{cases} histories, seed {seed}");
    let bytes: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[test]
fn valid_histories_have_no_violations() {
    let mut runner = runner();
    let counts = std::cell::RefCell::new([0; 4]);
    let result = runner.run(&choices(), |choices| {
        let history = simulate::history(&choices);
        let report = check(&history);
        for (count, of_history) in
            counts.borrow_mut().iter_mut().zip([report.commands, report.killed, report.effects, report.acknowledged])
        {
            *count += of_history;
        }
        let shown: Vec<_> = report.violations.iter().map(|found| found.show(&history)).collect();
        prop_assert!(shown.is_empty(), "{}\nin\n{}", shown.join("\n"), write(&history));
        Ok(())
    });
    result.unwrap();
    let [commands, killed, effects, acknowledged] = counts.into_inner();
    println!("{commands} commands, {killed} killed, {effects} effects, {acknowledged} acknowledged completions");
    assert!(killed * 10 > commands && acknowledged * 2 > effects, "the histories must have kills and completions");
}

#[test]
fn every_planted_violation_is_found_with_its_kind() {
    let planted = std::cell::RefCell::new(BTreeMap::<Rule, u32>::new());
    let mut runner = runner();
    let result = runner.run(&(choices(), any::<u16>()), |(choices, nth)| {
        let history = simulate::history(&choices);
        for rule in Rule::ALL {
            let Some((history, run)) = plant::plant(rule, &history, nth.into()) else { continue };
            let found = check(&history).violations;
            let is_found = found.iter().any(|found| found.rule == rule && found.run == run);
            if !is_found {
                let message = format!("{rule:?} of {run} not found, but {found:?}, in\n{}", write(&history));
                return Err(TestCaseError::fail(message));
            }
            // A violation may imply other violations, but its proof names observations of the
            // history.
            assert!(found.iter().all(|found| found.observations.iter().all(|at| *at < history.len())));
            *planted.borrow_mut().entry(rule).or_default() += 1;
        }
        Ok(())
    });
    result.unwrap();
    let planted = planted.into_inner();
    println!("{planted:?}");
    for rule in Rule::ALL {
        assert!(planted.get(&rule).is_some_and(|count| *count >= 5), "{rule:?} was planted too rarely: {planted:?}");
    }
}

#[test]
fn histories_are_unchanged_after_writing_and_reading() {
    runner()
        .run(&choices(), |choices| {
            let history = simulate::history(&choices);
            prop_assert_eq!(read(&write(&history)).unwrap(), history);
            Ok(())
        })
        .unwrap();
    let error =
        read("{\"process\": \"p\", \"ended\": {\"outcome\": \"done\"}}\n\n{\"process\": \"p\", \"went\": {}}\n")
            .unwrap_err();
    assert_eq!(error.line, 3);
    assert_eq!(Rule::EffectAfterCompletion.kind(), Kind::Repeated);
}
