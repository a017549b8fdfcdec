//! Plants a violation in a valid history.

use std::collections::HashMap;

use llmspell_workflows_testing::history::{
    Asked, Command, Effect, Observation, Outcome, Recorded, Rule, StoredRun, What,
};

use crate::simulate::sequences;

/// A history in which a violation can be planted.
struct Planter<'h> {
    history: &'h [Observation],
    stores: HashMap<&'h str, &'h str>,
    nth: usize,
}

/// The position of an observation, with its process and store.
#[derive(Clone, Copy)]
struct At<'h> {
    at: usize,
    process: &'h str,
    store: &'h str,
}

/// Returns the history with a violation of the rule, and the affected run; `None` if the violation
/// fits nowhere in the history. `nth` chooses among the possible positions.
pub(crate) fn plant(rule: Rule, history: &[Observation], nth: usize) -> Option<(Vec<Observation>, String)> {
    let stores = history.iter().filter_map(|one| match &one.what {
        What::Asked(asked) => Some((one.process.as_str(), asked.store.as_str())),
        _ => None,
    });
    let planter = Planter { history, stores: stores.collect(), nth };
    match rule {
        Rule::EffectAfterCompletion => planter.after_completion(|run, step| {
            What::EffectBegan(Effect { run: run.to_owned(), step: step.to_owned(), attempt: 99 })
        }),
        Rule::RepeatedUnasked => {
            let completions = planter.completions().filter(|(_, _, step)| !step.contains("/$"));
            let (at, run, step) = planter.choose(completions)?;
            let announced = What::MayRepeat { run: run.to_owned(), steps: vec!["/main/elsewhere".to_owned()] };
            let command = Command::Resume { run: run.to_owned() };
            let mut history = planter.with_command(at.at + 1, at.store, command, Some(announced));
            let repeated = Effect { run: run.to_owned(), step: format!("{step}~99"), attempt: 1 };
            let what = What::EffectBegan(repeated);
            history.insert(at.at + 3, Observation { process: "planted".to_owned(), time_us: None, what });
            Some((history, run.to_owned()))
        }
        Rule::AcknowledgedTwice => planter
            .after_completion(|run, step| What::StepCompleted { run: run.to_owned(), step: step.to_owned() }),
        Rule::RecordedTwice => planter.in_found(|found| {
            let ended = |record: &_| is_completion(record, None);
            let at = found.records.iter().position(ended)?;
            let second = found.records[at].clone();
            found.records.insert(at + 1, second);
            Some(())
        }),
        Rule::CompletionLost => {
            let (at, found) = planter.last_found()?;
            let acknowledged = planter.choose(planter.completions().filter(|(completed, run, _)| {
                *run == found.run && completed.store == at.store && !planter.is_replaced(completed.at, at.store, run)
            }))?;
            planter.in_found_at(at.at, |found| {
                found.records.retain(|record| !is_completion(record, Some(acknowledged.2)));
                Some(())
            })
        }
        Rule::RunLost => planter.run_lost(),
        Rule::AcknowledgedOutOfOrder => planter.swap(|one, other| match (one, other) {
            (What::StepCompleted { run, step }, What::StepCompleted { run: of, step: later }) if run == of => {
                sequences().precedes(step, later).then_some(run)
            }
            _ => None,
        }),
        Rule::BeganTooEarly => planter.in_found(began_too_early),
        Rule::EffectTooEarly => planter.swap(|one, other| match (one, other) {
            (What::EffectEnded(earlier), What::EffectBegan(later)) if earlier.run == later.run => {
                sequences().precedes(&earlier.step, &later.step).then_some(&earlier.run)
            }
            _ => None,
        }),
        Rule::StepOverlaps => planter.between_effects(
            |one, other| matches!((one, other), (What::EffectBegan(one), What::EffectEnded(other)) if one == other),
            |effect| effect.clone(),
        ),
        Rule::RunHeldTwice => planter.between_effects(
            |one, other| {
                matches!((one, other), (What::EffectBegan(one), What::EffectBegan(other)) if one.run == other.run)
            },
            |effect| Effect { step: "/main/elsewhere".to_owned(), ..effect.clone() },
        ),
        Rule::CancelledButCompleted => {
            let (at, found) = planter.last_found().filter(|(_, found)| found.status == "completed")?;
            let command = Command::Cancel { run: found.run.clone() };
            Some((planter.with_command(planter.asked(at), at.store, command, None), found.run.clone()))
        }
        Rule::DeletedButThere => {
            let (at, found) = planter.last_found()?;
            let command = Command::Delete { runs: vec![found.run.clone()] };
            let deleted = What::RunDeleted { run: found.run.clone() };
            Some((planter.with_command(planter.asked(at), at.store, command, Some(deleted)), found.run.clone()))
        }
        Rule::EndedOtherwise => {
            let (at, found) = planter.last_found()?;
            let is_end = |(_, one): &(usize, &Observation)| {
                matches!(&one.what, What::RunEnded { run, .. } if *run == found.run) && planter.store(one) == at.store
            };
            let (ended, _) = planter.history.iter().enumerate().rfind(is_end)?;
            if planter.is_replaced(0, at.store, &found.run) || planter.is_retried(ended, &found.run) {
                return None;
            }
            planter.in_found_at(at.at, |found| {
                "running".clone_into(&mut found.status);
                Some(())
            })
        }
        Rule::ImportedTwice => {
            let (at, found) = planter.last_found()?;
            let command = Command::Import { run: found.run.clone(), export: at.process.to_owned() };
            Some((planter.with_command(planter.history.len(), at.store, command, None), found.run.clone()))
        }
        Rule::StoppedButWentOn => {
            let pair = planter.pairs(|one, other| match (one, other) {
                (What::EffectBegan(one), What::EffectBegan(other)) if one.run == other.run => {
                    sequences().precedes(&one.step, &other.step).then_some(&one.run)
                }
                _ => None,
            });
            let drives = |(first, _, run): &(At<'_>, At<'_>, &String)| {
                planter.all().take(first.at).any(|(at, what)| {
                    at.process == first.process && matches!(what, What::EffectBegan(effect) if effect.run == **run)
                })
            };
            let (first, _, run) = planter.choose(pair.into_iter().filter(drives))?;
            let command = Command::Pause { run: run.clone() };
            let mut history = planter.with_command(first.at, first.store, command, None);
            history[first.at + 1].what = What::Ended { outcome: Outcome::Accepted };
            Some((history, run.clone()))
        }
    }
}

fn is_completion(record: &llmspell_workflows_testing::history::StoredRecord, of: Option<&str>) -> bool {
    use llmspell_workflows_testing::history::End;
    matches!(&record.what, Recorded::Ended { step, end: End::Completed } if of.is_none_or(|of| of == step))
}

/// Moves the beginning of a step before the end of a preceding step.
fn began_too_early(found: &mut StoredRun) -> Option<()> {
    if found.records.iter().any(|record| matches!(record.what, Recorded::Rewound { .. })) {
        return None;
    }
    let (end, begin) = found.records.iter().enumerate().find_map(|(end, record)| {
        let Recorded::Ended { step: earlier, .. } = &record.what else { return None };
        let begins = |record: &_| matches!(&record, llmspell_workflows_testing::history::StoredRecord { what: Recorded::Began { step }, .. } if sequences().precedes(earlier, step));
        Some((end, end + found.records[end..].iter().position(begins)?))
    })?;
    let record = found.records.remove(begin);
    found.records.insert(end, record);
    (0..).zip(&mut found.records).for_each(|(number, record)| record.number = number);
    Some(())
}

impl<'h> Planter<'h> {
    fn store(&self, one: &'h Observation) -> &'h str {
        self.stores.get(one.process.as_str()).copied().unwrap_or_default()
    }

    fn all(&self) -> impl Iterator<Item = (At<'h>, &'h What)> {
        let at =
            |(at, one): (usize, &'h Observation)| (At { at, process: &one.process, store: self.store(one) }, &one.what);
        self.history.iter().enumerate().map(at)
    }

    fn choose<T>(&self, places: impl Iterator<Item = T>) -> Option<T> {
        let mut places: Vec<T> = places.collect();
        (!places.is_empty()).then(|| places.swap_remove(self.nth % places.len()))
    }

    fn completions(&self) -> impl Iterator<Item = (At<'h>, &'h str, &'h str)> {
        self.all().filter_map(|(at, what)| match what {
            What::StepCompleted { run, step } => Some((at, run.as_str(), step.as_str())),
            _ => None,
        })
    }

    /// Returns the last observation that read some run, provided that nothing happened to the run
    /// afterwards.
    fn last_found(&self) -> Option<(At<'h>, &'h StoredRun)> {
        let of = |(at, what): (At<'h>, &'h What)| match what {
            What::Found(run) => Some((at, run)),
            _ => None,
        };
        let found: Vec<(At<'h>, &StoredRun)> = self.all().filter_map(of).collect();
        let is_last = |(at, run): &(At<'h>, &'h StoredRun)| {
            !found.iter().any(|(other, found)| other.at > at.at && found.run == run.run && other.store == at.store)
        };
        let in_the_end =
            self.history.iter().rposition(|one| matches!(one.what, What::EffectBegan(_) | What::RunEnded { .. }));
        let last = found.iter().copied().filter(is_last).filter(|(at, _)| in_the_end.is_none_or(|end| at.at > end));
        self.choose(last)
    }

    fn asked(&self, of: At<'_>) -> usize {
        let is_start = |(at, what): &(At<'_>, &What)| matches!(what, What::Asked(_)) && at.process == of.process;
        self.all().find(is_start).unwrap().0.at
    }

    /// Returns whether the copy may have been deleted, imported or created by a backup after the
    /// position.
    fn is_replaced(&self, after: usize, store: &str, run: &str) -> bool {
        self.all().any(|(at, what)| match what {
            What::Asked(asked) => match &asked.command {
                Command::Delete { .. } | Command::Prune => asked.store == store && self.end(at) > after,
                Command::Import { run: of, .. } => asked.store == store && of == run && self.end(at) > after,
                Command::Backup { to } => to == store && self.end(at) > after,
                _ => false,
            },
            _ => false,
        })
    }

    fn is_retried(&self, after: usize, run: &str) -> bool {
        self.all().any(|(at, what)| {
            let is_retry = matches!(what, What::Asked(Asked { command: Command::Retry { run: of }, .. }) if of == run);
            is_retry && self.end(at) > after.min(self.asked_before(after))
        })
    }

    /// Returns the position at which the process of the observation was started.
    fn asked_before(&self, at: usize) -> usize {
        let process = &self.history[at].process;
        self.history.iter().position(|one| one.process == *process).unwrap()
    }

    fn end(&self, of: At<'_>) -> usize {
        let is_end = |(at, what): &(At<'_>, &What)| matches!(what, What::Ended { .. }) && at.process == of.process;
        self.all().find(is_end).map_or(usize::MAX, |(at, _)| at.at)
    }

    fn with(&self, at: usize, process: &str, what: What) -> Vec<Observation> {
        let mut history = self.history.to_vec();
        history.insert(at, Observation { process: process.to_owned(), time_us: None, what });
        history
    }

    fn with_command(&self, at: usize, store: &str, command: Command, said: Option<What>) -> Vec<Observation> {
        let asked = What::Asked(Asked { store: store.to_owned(), command });
        let whole = [Some(asked), said, Some(What::Ended { outcome: Outcome::Done })].into_iter().flatten();
        let new = whole.map(|what| Observation { process: "planted".to_owned(), time_us: None, what });
        let mut history = self.history.to_vec();
        history.splice(at..at, new);
        history
    }

    fn after_completion(&self, what: impl Fn(&str, &str) -> What) -> Option<(Vec<Observation>, String)> {
        let (at, run, step) = self.choose(self.completions())?;
        Some((self.with(at.at + 1, at.process, what(run, step)), run.to_owned()))
    }

    fn in_found(&self, change: impl Fn(&mut StoredRun) -> Option<()>) -> Option<(Vec<Observation>, String)> {
        let found: Vec<usize> =
            self.all().filter(|(_, what)| matches!(what, What::Found(_))).map(|(at, _)| at.at).collect();
        let start = self.nth % found.len().max(1);
        found[start..].iter().find_map(|at| self.in_found_at(*at, &change))
    }

    fn in_found_at(
        &self,
        at: usize,
        change: impl Fn(&mut StoredRun) -> Option<()>,
    ) -> Option<(Vec<Observation>, String)> {
        let mut history = self.history.to_vec();
        let What::Found(found) = &mut history[at].what else { return None };
        change(found)?;
        let run = found.run.clone();
        Some((history, run))
    }

    fn run_lost(&self) -> Option<(Vec<Observation>, String)> {
        let started = self.all().filter_map(|(at, what)| match what {
            What::RunStarted { run } if !self.is_replaced(0, at.store, run) => Some((at, run)),
            _ => None,
        });
        let (started, run) = self.choose(started)?;
        let is_list = |(at, what): &(At<'_>, &What)| {
            matches!(what, What::Listed { .. }) && at.store == started.store && self.asked(*at) > started.at
        };
        let (list, _) = self.all().filter(is_list).last()?;
        let mut history = self.history.to_vec();
        if let What::Listed { runs } = &mut history[list.at].what {
            runs.retain(|other| other != run);
        }
        Some((history, run.clone()))
    }

    /// Returns pairs of observations of one process, in order.
    fn pairs(&self, is_pair: impl Fn(&'h What, &'h What) -> Option<&'h String>) -> Vec<(At<'h>, At<'h>, &'h String)> {
        let all: Vec<_> = self.all().collect();
        let mut pairs = Vec::new();
        for (nth, (one, what)) in all.iter().enumerate() {
            let others = all[nth + 1..].iter().filter(|(other, _)| other.process == one.process);
            pairs.extend(others.filter_map(|(other, then)| Some((*one, *other, is_pair(what, then)?))));
        }
        pairs
    }

    fn swap(&self, is_pair: impl Fn(&'h What, &'h What) -> Option<&'h String>) -> Option<(Vec<Observation>, String)> {
        let (one, other, run) = self.choose(self.pairs(is_pair).into_iter())?;
        let mut history = self.history.to_vec();
        let (first, second) = (history[one.at].what.clone(), history[other.at].what.clone());
        (history[one.at].what, history[other.at].what) = (second, first);
        Some((history, run.clone()))
    }

    /// Plants an effect of another process between two observations.
    fn between_effects(
        &self,
        is_pair: impl Fn(&What, &What) -> bool,
        planted: impl Fn(&Effect) -> Effect,
    ) -> Option<(Vec<Observation>, String)> {
        let run = |one: &'h What, other: &'h What| match one {
            What::EffectBegan(effect) if is_pair(one, other) => Some(&effect.run),
            _ => None,
        };
        let (one, _, run) = self.choose(self.pairs(run).into_iter())?;
        let What::EffectBegan(effect) = &self.history[one.at].what else { return None };
        let mut history = self.with_command(one.at + 1, one.store, Command::Resume { run: run.clone() }, None);
        history[one.at + 2].what = What::EffectBegan(planted(effect));
        Some((history, run.clone()))
    }
}
