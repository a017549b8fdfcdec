//! Random sequences of commands, up to three at a time on the same stores, half of them killed at a random moment. At the
//! end, every run is continued to its end, and the history of all that clients saw is compared with the stores.

mod choose;
mod client;
mod flows;
mod settle;

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use llmspell_workflows_testing::history::{Observation, Report, What, check, read};

use crate::support::Sandbox;
use choose::Knowledge;
use client::Clients;

/// The number of commands of a sequence, without those that continue the runs at the end.
const COMMANDS: usize = 14;

/// Runs one sequence, and returns what the checker found and how the commands ended.
fn run_sequence(seed: u64) -> (Report, BTreeMap<String, usize>) {
    let sandbox = flows::FLOWS.iter().fold(Sandbox::new(), |sandbox, (name, text)| sandbox.file(name, text));
    let mut clients = Clients::new(sandbox.file("effect.sh", flows::EFFECT));
    clients.observe("test", What::Declared { sequences: flows::sequences() });
    let mut knowledge = Knowledge::new(seed);
    let mut left = COMMANDS;
    while left > 0 || clients.count() > 0 {
        if left > 0 && (clients.count() == 0 || clients.count() < 3 && knowledge.random.below(2) == 0) {
            knowledge.start(&mut clients);
            left -= 1;
        } else if let Some(ended) = clients.wait() {
            knowledge.learn(&clients, &ended);
        }
    }
    settle::settle(&mut clients, &mut knowledge);
    settle::read(&mut clients, &knowledge);
    let path = clients.sandbox.path("history.jsonl");
    let mut history = read(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    name_children(&mut history);
    let report = check(&history);
    let shown: Vec<_> = report.violations.iter().map(|violation| violation.show(&history)).collect();
    assert!(shown.is_empty(), "{}\nthe history is in `{}`", shown.join("\n"), keep(&path, seed).display());
    (report, clients.ends)
}

/// Copies a history out of its temporary folder.
fn keep(history: &Path, seed: u64) -> std::path::PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{seed}.jsonl"));
    fs::copy(history, &kept).unwrap();
    kept
}

/// Replaces the paths in which the program shows steps of sub-workflows, such as `/main/sub/main/one`, by the runs of the
/// sub-workflows and the paths in them. A step whose run was never read is left out.
fn name_children(history: &mut Vec<Observation>) {
    let children: BTreeMap<(String, String), String> = history
        .iter()
        .filter_map(|one| match &one.what {
            What::Found(run) => Some((run.parent.clone()?, run.run.clone())),
            _ => None,
        })
        .collect();
    history.retain_mut(|one| match &mut one.what {
        What::StepCompleted { run, step } => match step.rfind("/main/").filter(|at| *at > 0) {
            Some(at) => {
                let Some(child) = children.get(&(run.clone(), step[..at].to_owned())) else { return false };
                (*run, *step) = (child.clone(), step[at..].to_owned());
                true
            }
            None => true,
        },
        _ => true,
    });
}

/// Runs 15 sequences with the seeds 1, 2, 3, … For more, or to repeat one:
/// `SEQUENCES=500 SEED=1 cargo test -p llmspell-workflows-cli --test cli sequences -- --nocapture`.
#[test]
fn no_sequence_of_commands_repeats_loses_or_reorders_what_was_acknowledged() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
    };
    let (count, first) = (number("SEQUENCES", 15), number("SEED", 1));
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
