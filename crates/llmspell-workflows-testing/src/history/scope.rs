//! Facts about commands that every rule needs.

use std::collections::HashMap;

use super::{Asked, Command, Observation, Outcome, What};

/// The identity of a copy of a run: the store and the run's id. Sub-workflows belong to the run that started them.
pub(super) type Copy = (String, String);

/// A history's commands, with their outcomes and the positions where they were requested and ended.
pub(super) struct Commands<'h> {
    by_process: HashMap<&'h str, Life<'h>>,
    /// The parent run of each sub-workflow's run.
    parents: HashMap<&'h str, &'h str>,
}

/// A command from its start to its end, as positions in the history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life<'h> {
    pub(super) process: &'h str,
    pub(super) asked: &'h Asked,
    pub(super) asked_at: usize,
    /// `None` if the history does not show the end.
    pub(super) ended: Option<(usize, Outcome)>,
    /// The position at which the command first reported that it drives a run.
    pub(super) started_at: Option<usize>,
}

impl<'h> Commands<'h> {
    pub(super) fn read(history: &'h [Observation]) -> Self {
        let mut by_process: HashMap<&str, Life<'h>> = HashMap::new();
        for (at, observation) in history.iter().enumerate() {
            let process = observation.process.as_str();
            match &observation.what {
                What::Asked(asked) => {
                    by_process.insert(process, Life { process, asked, asked_at: at, ended: None, started_at: None });
                }
                What::Ended { outcome } => {
                    by_process.entry(process).and_modify(|life| life.ended = Some((at, *outcome)));
                }
                What::RunStarted { .. } => {
                    by_process.entry(process).and_modify(|life| life.started_at = life.started_at.or(Some(at)));
                }
                _ => {}
            }
        }
        let parents = history.iter().filter_map(|observation| match &observation.what {
            What::Found(run) => run.parent.as_ref().map(|(parent, _)| (run.run.as_str(), parent.as_str())),
            _ => None,
        });
        Self { by_process, parents: parents.collect() }
    }

    pub(super) fn of(&self, process: &str) -> Option<&Life<'h>> {
        self.by_process.get(process)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Life<'h>> {
        self.by_process.values()
    }

    /// Returns the store that a process uses, or an empty name if the store is unknown.
    pub(super) fn store(&self, process: &str) -> &'h str {
        self.of(process).map_or("", |life| &life.asked.store)
    }

    /// Returns the copy that a process worked on; a sub-workflow's run belongs to its parent's
    /// copy.
    pub(super) fn copy(&self, process: &str, run: &str) -> Copy {
        (self.store(process).to_owned(), self.root(run).to_owned())
    }

    pub(super) fn root<'r>(&'r self, run: &'r str) -> &'r str {
        let mut root = run;
        // A family is a tree, so the loop reaches the root unless the history contradicts itself.
        for _ in 0..self.parents.len() {
            let Some(parent) = self.parents.get(root) else { break };
            root = parent;
        }
        root
    }

    /// Returns whether a run may have been deleted, imported or copied by a backup between two
    /// observations.
    pub(super) fn may_replace(&self, copy: &Copy, from: usize, to: usize) -> bool {
        let replaces = |life: &&Life<'_>| life.may_delete(copy) || life.may_import(copy);
        self.all().filter(replaces).any(|life| life.may_act_after(from) && life.asked_at < to)
    }

    /// Returns the earliest position at which a process could have read from a store.
    pub(super) fn asked_at(&self, process: &str) -> usize {
        self.of(process).map_or(0, |life| life.asked_at)
    }
}

impl Life<'_> {
    /// Returns whether the command may still have been active after `at`.
    pub(super) fn may_act_after(&self, at: usize) -> bool {
        self.ended.is_none_or(|(ended, _)| ended > at)
    }

    /// Returns the position at which the command reported that it completed the request.
    pub(super) fn done_at(&self) -> Option<usize> {
        self.ended.and_then(|(at, outcome)| (outcome == Outcome::Done).then_some(at))
    }

    /// Returns whether the command may delete this run.
    pub(super) fn may_delete(&self, copy: &Copy) -> bool {
        let names = match &self.asked.command {
            Command::Delete { runs } => runs.contains(&copy.1),
            Command::Prune => true,
            _ => false,
        };
        names && self.asked.store == copy.0
    }

    /// Returns whether the command may create this copy of the run, by an import or a backup.
    pub(super) fn may_import(&self, copy: &Copy) -> bool {
        match &self.asked.command {
            Command::Import { run, .. } => (&self.asked.store, run) == (&copy.0, &copy.1),
            Command::Backup { to } => *to == copy.0,
            _ => false,
        }
    }

    /// Returns whether the command may continue this run after its end.
    pub(super) fn may_revive(&self, copy: &Copy) -> bool {
        let revives = matches!(&self.asked.command,
            Command::Retry { run } | Command::Resolve { run } if *run == copy.1);
        revives && self.asked.store == copy.0 || self.may_import(copy)
    }
}
