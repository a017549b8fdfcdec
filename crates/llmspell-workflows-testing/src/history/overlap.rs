//! Finds overlapping executions.

use std::collections::HashMap;

use super::{Effect, Observation, Rule, Violation, What, scope::Commands};

/// An execution of a step: the process, the attempt and the position at which it began.
type Execution<'h> = (&'h str, u64, usize);

/// A process that executes steps of a run.
struct Holder<'h> {
    process: &'h str,
    /// The position of the process's latest effect.
    last: usize,
    /// The number of times that the process began to execute steps after another process had done
    /// so.
    times: usize,
}

pub(super) fn violations(history: &[Observation]) -> Vec<Violation> {
    let commands = Commands::read(history);
    let mut found = Vec::new();
    let mut begun: HashMap<(&str, &str, &str), Vec<Execution<'_>>> = HashMap::new();
    let mut holders: HashMap<(&str, &str), Vec<Holder<'_>>> = HashMap::new();
    // The number of times that each process reported that it drives a run. The report may come
    // after the first effect.
    let mut started: HashMap<(&str, &str), usize> = HashMap::new();
    for one in history {
        if let What::RunStarted { run } = &one.what {
            *started.entry((&one.process, run)).or_default() += 1;
        }
    }
    for (at, Observation { process, what, .. }) in history.iter().enumerate() {
        let store = commands.store(process);
        let violation = |rule, effect: &Effect, observations| Violation {
            rule,
            store: store.to_owned(),
            run: effect.run.clone(),
            step: Some(effect.step.clone()),
            observations,
            records: Vec::new(),
        };
        match what {
            What::EffectBegan(effect) => {
                begun.entry((store, &effect.run, &effect.step)).or_default().push((process, effect.attempt, at));
                let holders = holders.entry((store, &effect.run)).or_default();
                let former = holders.iter().position(|holder| holder.process == process);
                let other = holders.last().filter(|last| last.process != process).map(|last| last.last);
                match (former, other) {
                    (Some(former), Some(other)) => {
                        let mut holder = holders.remove(former);
                        let times = started.get(&(process.as_str(), effect.run.as_str())).copied();
                        if holder.times >= times.unwrap_or_default().max(1) {
                            found.push(violation(Rule::RunHeldTwice, effect, vec![holder.last, other, at]));
                        }
                        (holder.last, holder.times) = (at, holder.times + 1);
                        holders.push(holder);
                    }
                    (Some(former), None) => holders[former].last = at,
                    (None, _) => holders.push(Holder { process, last: at, times: 1 }),
                }
            }
            What::EffectEnded(effect) => {
                let executions = begun.get(&(store, effect.run.as_str(), effect.step.as_str()));
                let Some(executions) = executions else { continue };
                let is_own = |(by, attempt, _): &&Execution<'_>| by == process && *attempt == effect.attempt;
                let Some((_, _, began)) = executions.iter().rfind(is_own) else { continue };
                // An execution that was killed never ends and proves nothing.
                let during = executions.iter().filter(|(_, _, other)| other > began);
                found.extend(
                    during.map(|(_, _, other)| violation(Rule::StepOverlaps, effect, vec![*began, *other, at])),
                );
            }
            _ => {}
        }
    }
    found
}
