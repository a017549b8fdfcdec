//! Random sequences of commands. Up to three commands run at a time on the same stores, and half of
//! them are killed at a random moment. Finally, every run is continued until it ends, and the
//! clients' observations are compared with the stores.

mod choose;
mod flows;
mod settle;

use std::{collections::BTreeMap, time::Instant};

use llmspell_workflows_testing::history::{Report, What};

use crate::{
    clients::{Clients, Ended},
    support::Sandbox,
};
use choose::Knowledge;

/// The number of commands in a sequence, not counting the commands that continue the runs at the
/// end.
const COMMANDS: usize = 14;

/// Runs one sequence, and returns the checker's report and the results of the commands.
fn run_sequence(seed: u64) -> (Report, BTreeMap<String, usize>) {
    let sandbox = flows::write(Sandbox::new());
    let mut clients = Clients::new(sandbox);
    clients.observe("test", What::Declared { sequences: flows::sequences() });
    let mut knowledge = Knowledge::new(seed);
    let mut left = COMMANDS;
    while left > 0 || clients.count() > 0 {
        if left > 0 && (clients.count() == 0 || clients.count() < 3 && knowledge.random.below(2) == 0) {
            knowledge.start(&mut clients);
            left -= 1;
        } else if let Some(ended) = clients.wait() {
            check_end(&ended);
            knowledge.learn(&clients, &ended);
        }
    }
    settle::settle(&mut clients, &mut knowledge);
    settle::read(&mut clients, &knowledge);
    (clients.check(&seed.to_string()), clients.ends)
}

/// Panics if a command ended in a way that is always wrong.
fn check_end(ended: &Ended) {
    let Ended { name, asked, code, said, stderr, .. } = ended;
    let of_error = |field: &str| said.iter().find_map(|line| line["error"][field].as_str()).unwrap_or_default();
    let (error, message) = (of_error("code"), of_error("message"));
    let is_known = code.is_none_or(|code| [0, 1, 4, 5, 8, 130].contains(&code));
    let is_damage = ["journal_failed", "store_failed", "record_format"].contains(&error);
    assert!(is_known && !is_damage, "{name} {asked:?} ended with {code:?} {error}: {message}\n{stderr}");
}

/// Runs 10 sequences with the seeds 1, 2, 3, … To run more sequences, or to repeat one:
/// `SEQUENCES=500 SEED=1 cargo test -p llmspell-workflows-cli --test cli sequences -- --nocapture`.
#[test]
fn no_command_sequence_repeats_loses_or_reorders_acknowledged_effects() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
    };
    let (count, first) = (number("SEQUENCES", 10), number("SEED", 1));
    let (began, mut total, mut ends) = (Instant::now(), Report::default(), BTreeMap::<String, usize>::new());
    for seed in first..first + count {
        println!("SEED={seed}");
        let (report, of_sequence) = run_sequence(seed);
        total.commands += report.commands;
        total.killed += report.killed;
        total.effects += report.effects;
        total.acknowledged += report.acknowledged;
        total.found += report.found;
        of_sequence.into_iter().for_each(|(end, count)| *ends.entry(end).or_default() += count);
    }
    println!(
        "{count} sequences (seeds {first} to {}): {} commands, {} killed, {} effects, {} acknowledged completions, {} \
         runs read, {:.1} s\n{ends:?}",
        first + count - 1,
        total.commands,
        total.killed,
        total.effects,
        total.acknowledged,
        total.found,
        began.elapsed().as_secs_f64()
    );
    let killed_min = count as usize * COMMANDS / 5;
    assert!(total.killed >= killed_min, "only {} commands were killed", total.killed);
    assert!(total.acknowledged * 2 >= total.effects, "too few effects were acknowledged");
}
