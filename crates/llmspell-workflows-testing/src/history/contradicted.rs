//! Finds acknowledged commands that the store contradicts.

use super::{
    Command, Effect, Observation, Outcome, Rule, Sequences, Violation, What,
    scope::{Commands, Copy, Life},
};

/// A history and facts about its commands.
struct Facts<'h> {
    history: &'h [Observation],
    commands: Commands<'h>,
}

pub(super) fn violations(history: &[Observation]) -> Vec<Violation> {
    let facts = Facts { history, commands: Commands::read(history) };
    let mut found = Vec::new();
    for (at, observation) in history.iter().enumerate() {
        let Some(life) = facts.commands.of(&observation.process) else { continue };
        let copy = |run: &String| (life.asked.store.clone(), run.clone());
        match &observation.what {
            What::Ended { outcome } => match (outcome, &life.asked.command) {
                (Outcome::Done, Command::Cancel { run }) => found.extend(facts.completed_after(life, at, &copy(run))),
                (Outcome::Accepted, Command::Cancel { run } | Command::Pause { run }) => {
                    found.extend(facts.went_on_after(life, at, &copy(run)));
                }
                (Outcome::Done, Command::Import { run, .. }) => found.extend(facts.there_before(life, at, &copy(run))),
                _ => {}
            },
            What::RunDeleted { run } => found.extend(facts.there_after(life, at, &copy(run))),
            What::RunEnded { run, status } => found.extend(facts.ended_otherwise(life, at, &copy(run), status)),
            _ => {}
        }
    }
    found
}

fn violation(rule: Rule, (store, run): &Copy, observations: Vec<usize>) -> Violation {
    let (store, run) = (store.clone(), run.clone());
    Violation { rule, store, run, step: None, observations, records: Vec::new() }
}

impl<'h> Facts<'h> {
    /// Returns the observations after `at` by processes that use the store.
    fn after(&self, at: usize, store: &str) -> impl Iterator<Item = (usize, &'h Observation, &Life<'h>)> {
        let all = self.history.iter().enumerate().skip(at + 1);
        let with_life = all.filter_map(|(at, one)| Some((at, one, self.commands.of(&one.process)?)));
        with_life.filter(move |(_, _, life)| life.asked.store == store)
    }

    /// Returns the position at which a reader that started after `at` first found the run with a
    /// matching status.
    fn found_after(&self, at: usize, copy: &Copy, is_such: impl Fn(&str) -> bool) -> Option<usize> {
        self.after(at, &copy.0).find_map(|(found, one, life)| match &one.what {
            What::Found(run) if run.run == copy.1 && life.asked_at > at && is_such(&run.status) => Some(found),
            _ => None,
        })
    }

    /// Returns whether another command may have made the run continue between `from` and `to`.
    fn may_be_revived(&self, own: &Life<'_>, copy: &Copy, from: usize, to: usize) -> bool {
        self.commands.all().any(|life| {
            // A command that already drove the run at `from` continued the run before that.
            let acts_after = life.started_at.map_or(life.may_act_after(from), |started| started > from);
            life.process != own.process && life.may_revive(copy) && acts_after && life.asked_at < to
        })
    }

    fn completed_after(&self, life: &Life<'_>, at: usize, copy: &Copy) -> Option<Violation> {
        let found = self.found_after(at, copy, |stored| stored == "completed")?;
        let is_wrong = !self.may_be_revived(life, copy, life.asked_at, found);
        is_wrong.then(|| violation(Rule::CancelledButCompleted, copy, vec![at, found]))
    }

    fn ended_otherwise(&self, life: &Life<'_>, at: usize, copy: &Copy, status: &str) -> Option<Violation> {
        let found = self.found_after(at, copy, |stored| stored != status)?;
        let is_wrong = !self.may_be_revived(life, copy, life.asked_at, found);
        is_wrong.then(|| violation(Rule::EndedOtherwise, copy, vec![at, found]))
    }

    fn there_after(&self, life: &Life<'_>, at: usize, copy: &Copy) -> Option<Violation> {
        let (found, ..) = self.after(at, &copy.0).find(|(_, one, reader)| {
            let is_there = match &one.what {
                What::Found(run) => run.run == copy.1,
                What::Listed { runs } => runs.contains(&copy.1),
                What::EffectBegan(effect) => self.commands.root(&effect.run) == copy.1,
                _ => false,
            };
            is_there && reader.asked_at > at
        })?;
        let is_imported = self
            .commands
            .all()
            .any(|other| other.may_import(copy) && other.may_act_after(life.asked_at) && other.asked_at < found);
        (!is_imported).then(|| violation(Rule::DeletedButThere, copy, vec![at, found]))
    }

    fn there_before(&self, life: &Life<'_>, at: usize, copy: &Copy) -> Option<Violation> {
        let before = self.history[..life.asked_at].iter().enumerate().rev();
        let (evidence, since) = before
            .filter_map(|(evidence, one)| {
                let reader = self.commands.of(&one.process).filter(|reader| reader.asked.store == copy.0)?;
                match &one.what {
                    What::RunStarted { run } if *run == copy.1 => Some((evidence, evidence)),
                    What::Found(run) if run.run == copy.1 => Some((evidence, reader.asked_at)),
                    What::Ended { .. } if reader.may_import(copy) && reader.done_at() == Some(evidence) => {
                        Some((evidence, reader.asked_at))
                    }
                    _ => None,
                }
            })
            .next()?;
        let is_deleted = self.commands.all().any(|other| other.may_delete(copy) && other.may_act_after(since));
        (!is_deleted).then(|| violation(Rule::ImportedTwice, copy, vec![evidence, at]))
    }

    /// Returns the violation if the run continues after `at`. A step that was about to begin may
    /// still begin, but its successors may not. Cleanup may continue.
    fn went_on_after(&self, life: &Life<'_>, at: usize, copy: &Copy) -> Option<Violation> {
        let declared = self.history.iter().filter_map(|one| match &one.what {
            What::Declared { sequences } => Some(sequences.0.iter().cloned()),
            _ => None,
        });
        let sequences = Sequences(declared.flatten().collect());
        let is_part = |effect: &Effect| effect.run == copy.1 && !effect.step.contains("/$");
        // Another process may have been about to continue the run.
        let drove = |process: &str| {
            self.history[..life.asked_at].iter().any(|one| {
                one.process == process
                    && match &one.what {
                        What::RunStarted { run } => *run == copy.1,
                        What::EffectBegan(effect) => effect.run == copy.1,
                        _ => false,
                    }
            })
        };
        let begun = self.after(at, &copy.0).filter_map(|(began, one, driver)| match &one.what {
            What::EffectBegan(effect) if is_part(effect) && drove(driver.process) => {
                Some((began, driver.process, effect.step.as_str()))
            }
            _ => None,
        });
        let begun: Vec<_> = begun.collect();
        begun.iter().enumerate().find_map(|(nth, (second, process, later))| {
            let precedes =
                |(_, other, step): &&(usize, &str, &str)| other == process && sequences.precedes(step, later);
            let (first, ..) = begun[..nth].iter().find(precedes)?;
            Some(violation(Rule::StoppedButWentOn, copy, vec![at, *first, *second]))
        })
    }
}
