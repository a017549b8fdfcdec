//! Finds repeated and lost acknowledgements.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    Command, Effect, Observation, Outcome, Recorded, Rule, StoredRun, Violation, What,
    scope::{Commands, Copy},
    sequence::without_generations,
};

/// Whether a copy of a run is in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Presence {
    /// Nothing is known about the copy.
    #[default]
    Unknown,
    /// The copy must exist as of this observation.
    There(usize),
    /// The copy may have been deleted, imported or created by a backup.
    Maybe,
}

/// The acknowledged facts about a copy of a run.
#[derive(Debug, Clone, Default)]
struct Acknowledged {
    presence: Presence,
    /// The completed steps, each with the observation that reports the completion.
    completed: Completions,
    /// The position at which the copy was, or may have been, last replaced. Earlier reads say
    /// nothing about the current copy.
    since: usize,
    /// Imports that may add other completions, each identified by the process that exported the
    /// run.
    imports: Vec<String>,
}

/// Completed steps, by run and path.
type Completions = BTreeMap<(String, String), Completion>;

/// An acknowledged completion.
#[derive(Debug, Clone, Copy)]
struct Completion {
    at: usize,
    /// True if the process that executed the step reported the completion; false if a reader of the
    /// store did.
    is_by_process: bool,
}

impl Acknowledged {
    /// Keeps only facts that remain true even if the copy was replaced by one of the exports being
    /// imported.
    fn weaken(&mut self, exported: &HashMap<&str, Completions>, at: usize) {
        self.presence = Presence::Maybe;
        self.since = at;
        for export in &self.imports {
            let document = exported.get(export.as_str());
            self.completed.retain(|step, _| document.is_some_and(|steps| steps.contains_key(step)));
        }
    }
}

/// A pass over a history that collects acknowledgements and violations.
struct Walk<'h> {
    commands: Commands<'h>,
    copies: BTreeMap<Copy, Acknowledged>,
    /// For each process that was asked to export a run, the run's acknowledged completions at that
    /// time.
    exported: HashMap<&'h str, Completions>,
    /// For each process that was asked to back up a store, the acknowledged facts about the store's
    /// runs at that time.
    backed_up: HashMap<&'h str, BTreeMap<Copy, Acknowledged>>,
    /// The steps that may be executed again, by run.
    may_repeat: HashMap<&'h str, Vec<&'h str>>,
    /// The processes that must not repeat any other steps.
    careful: HashSet<&'h str>,
    found: Vec<Violation>,
}

pub(super) fn violations(history: &[Observation]) -> Vec<Violation> {
    let mut walk = Walk {
        commands: Commands::read(history),
        copies: BTreeMap::new(),
        exported: HashMap::new(),
        backed_up: HashMap::new(),
        may_repeat: HashMap::new(),
        careful: HashSet::new(),
        found: Vec::new(),
    };
    for (at, observation) in history.iter().enumerate() {
        walk.observe(at, observation);
    }
    walk.found
}

impl<'h> Walk<'h> {
    fn observe(&mut self, at: usize, observation: &'h Observation) {
        let process = observation.process.as_str();
        let copy = |run: &str| self.commands.copy(process, run);
        match &observation.what {
            What::Asked(asked) => self.asked(at, process, &asked.store, &asked.command),
            What::Ended { outcome: Outcome::Done } => self.done(at, process),
            What::RunStarted { run } => {
                let copy = self.copies.entry(copy(run)).or_default();
                if copy.presence == Presence::Unknown {
                    copy.presence = Presence::There(at);
                }
            }
            What::StepCompleted { run, step } => self.completed(at, copy(run), run, step),
            What::RunDeleted { run } => {
                let exported = &self.exported;
                self.copies.entry(copy(run)).or_default().weaken(exported, at);
            }
            What::MayRepeat { run, steps } => {
                self.may_repeat.entry(run).or_default().extend(steps.iter().map(String::as_str));
                self.careful.insert(process);
            }
            What::EffectBegan(effect) => {
                let copy = copy(&effect.run);
                if let Some((rule, completed_at)) = self.repeated(process, &copy, effect) {
                    let (run, observations) = ((copy.0, effect.run.clone()), vec![completed_at, at]);
                    self.violation(rule, &run, Some(&effect.step), observations, Vec::new());
                }
            }
            What::Found(run) => self.found_run(at, process, copy(&run.run), run),
            What::Listed { runs } => self.listed(at, process, runs),
            What::Declared { .. }
            | What::Ended { outcome: Outcome::Accepted | Outcome::Failed | Outcome::Unknown }
            | What::RunEnded { .. }
            | What::EffectEnded(_) => {}
        }
    }

    /// Returns the rule that an effect of a completed step violates, with the position of the
    /// acknowledgement.
    fn repeated(&self, process: &str, copy: &Copy, effect: &Effect) -> Option<(Rule, usize)> {
        let known = self.copies.get(copy)?;
        let key = (effect.run.clone(), effect.step.clone());
        if let Some(completion) = known.completed.get(&key) {
            return Some((Rule::EffectAfterCompletion, completion.at));
        }
        let step = without_generations(&effect.step);
        let allowed = self.may_repeat.get(copy.1.as_str()).into_iter().flatten();
        let mut allowed = allowed.filter_map(|path| step.strip_prefix(path));
        let is_inside = |rest: &str| rest.is_empty() || rest.starts_with(['/', '[']);
        // Cleanup runs again together with the steps that it cleans up.
        if !self.careful.contains(process) || step.contains("/$") || allowed.any(is_inside) {
            return None;
        }
        let asked_at = self.commands.asked_at(process);
        let former = known.completed.iter().find(|((run, path), completion)| {
            *run == effect.run && completion.at < asked_at && without_generations(path) == step
        });
        former.map(|(_, completion)| (Rule::RepeatedUnasked, completion.at))
    }

    fn violation(
        &mut self,
        rule: Rule,
        (store, run): &Copy,
        step: Option<&str>,
        observations: Vec<usize>,
        records: Vec<u64>,
    ) {
        let (store, run, step) = (store.clone(), run.clone(), step.map(str::to_owned));
        self.found.push(Violation { rule, store, run, step, observations, records });
    }

    fn asked(&mut self, at: usize, process: &'h str, store: &str, command: &'h Command) {
        let copy = |run: &String| (store.to_owned(), run.clone());
        match command {
            Command::Export { run } => {
                let completed = self.copies.get(&copy(run)).map(|known| known.completed.clone());
                self.exported.insert(process, completed.unwrap_or_default());
            }
            Command::Backup { .. } => {
                let of_store = self.copies.iter().filter(|((of, _), _)| of == store);
                self.backed_up.insert(process, of_store.map(|(copy, known)| (copy.clone(), known.clone())).collect());
            }
            Command::Delete { runs } => {
                for run in runs {
                    self.copies.entry(copy(run)).or_default().weaken(&self.exported, at);
                }
            }
            Command::Prune => {
                let of_store = self.copies.iter_mut().filter(|((of, _), _)| of == store);
                of_store.for_each(|(_, known)| known.weaken(&self.exported, at));
            }
            Command::Import { run, export } => {
                let known = self.copies.entry(copy(run)).or_default();
                known.imports.push(export.clone());
                match known.presence {
                    // The run already exists, so it cannot be imported.
                    Presence::There(_) => {}
                    Presence::Unknown | Presence::Maybe => known.weaken(&self.exported, at),
                }
            }
            _ => {}
        }
    }

    fn done(&mut self, at: usize, process: &'h str) {
        let Some(life) = self.commands.of(process).copied() else { return };
        match &life.asked.command {
            Command::Import { run, export } => {
                let copy = (life.asked.store.clone(), run.clone());
                let is_deleted =
                    self.commands.all().any(|other| other.may_delete(&copy) && other.may_act_after(life.asked_at));
                let known = self.copies.entry(copy).or_default();
                if !is_deleted {
                    known.presence = Presence::There(at);
                    for (step, completion) in self.exported.get(export.as_str()).into_iter().flatten() {
                        known.completed.entry(step.clone()).or_insert(*completion);
                    }
                }
            }
            Command::Backup { to } => {
                for ((store, run), mut known) in self.backed_up.remove(process).unwrap_or_default() {
                    // A run that may have been deleted before or during the backup may be missing
                    // from it.
                    let is_deleted = self.copies.get(&(store, run.clone())).is_none_or(|now| now.since > life.asked_at);
                    let is_there = matches!(known.presence, Presence::There(_)) && !is_deleted;
                    known.presence = if is_there { Presence::There(at) } else { Presence::Maybe };
                    (known.since, known.imports) = (life.asked_at, Vec::new());
                    self.copies.insert((to.clone(), run), known);
                }
            }
            _ => {}
        }
    }

    fn completed(&mut self, at: usize, copy: Copy, run: &str, step: &str) {
        let completed = &mut self.copies.entry(copy.clone()).or_default().completed;
        let key = (run.to_owned(), step.to_owned());
        match completed.get(&key) {
            Some(former) if former.is_by_process => {
                let observations = vec![former.at, at];
                self.violation(
                    Rule::AcknowledgedTwice,
                    &(copy.0, run.to_owned()),
                    Some(step),
                    observations,
                    Vec::new(),
                );
            }
            // A reader of the store can report a completion before the executing process does.
            Some(_) | None => drop(completed.insert(key, Completion { at, is_by_process: true })),
        }
    }

    fn found_run(&mut self, at: usize, process: &str, copy: Copy, run: &StoredRun) {
        let own = (copy.0.clone(), run.run.clone());
        for (step, records) in recorded_twice(run) {
            self.violation(Rule::RecordedTwice, &own, Some(&step), vec![at], records);
        }
        let asked_at = self.commands.asked_at(process);
        let known = self.copies.entry(copy).or_default();
        // The run may have been replaced since it was read.
        if known.since > asked_at {
            return;
        }
        let recorded: HashSet<&str> = run.completions().map(|(step, _)| step).collect();
        let is_lost = |((of, step), completion): &(&(String, String), &Completion)| {
            *of == run.run && completion.at < asked_at && !recorded.contains(step.as_str())
        };
        let lost: Vec<_> =
            known.completed.iter().filter(is_lost).map(|((_, step), one)| (step.clone(), one.at)).collect();
        for step in recorded {
            let key = (run.run.clone(), step.to_owned());
            known.completed.entry(key).or_insert(Completion { at, is_by_process: false });
        }
        if known.presence == Presence::Unknown {
            known.presence = Presence::There(at);
        }
        for (step, acknowledged) in lost {
            self.violation(Rule::CompletionLost, &own, Some(&step), vec![acknowledged, at], Vec::new());
        }
    }

    fn listed(&mut self, at: usize, process: &str, runs: &[String]) {
        let (store, asked_at) = (self.commands.store(process), self.commands.asked_at(process));
        let lost: Vec<(Copy, usize)> = self
            .copies
            .iter()
            .filter(|((of, run), known)| of == store && known.since < asked_at && !runs.contains(run))
            .filter_map(|(copy, known)| match known.presence {
                Presence::There(since) if since < asked_at => Some((copy.clone(), since)),
                _ => None,
            })
            .collect();
        for (copy, since) in lost {
            self.violation(Rule::RunLost, &copy, None, vec![since, at], Vec::new());
        }
    }
}

/// Returns the steps recorded as completed twice without an intervening rewind that reopened them,
/// with both records.
fn recorded_twice(run: &StoredRun) -> Vec<(String, Vec<u64>)> {
    let (mut completed, mut twice) = (HashMap::<&str, u64>::new(), Vec::new());
    for record in &run.records {
        match &record.what {
            Recorded::Rewound { reopened } => completed.retain(|step, _| !reopened.iter().any(|other| other == step)),
            Recorded::Ended { step, end: super::End::Completed } => {
                if let Some(former) = completed.insert(step, record.number) {
                    twice.push((step.clone(), vec![former, record.number]));
                }
            }
            Recorded::Ended { .. } | Recorded::Began { .. } => {}
        }
    }
    twice
}
