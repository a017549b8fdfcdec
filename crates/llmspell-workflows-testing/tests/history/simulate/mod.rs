//! A tiny, correct durable program. Its processes execute steps, acknowledge them and are killed in
//! a random order, which produces a valid history.

mod run;

use std::collections::{BTreeMap, VecDeque};

use llmspell_workflows_testing::history::{Asked, Command, Effect, End, Observation, Outcome, Recorded, What};

use run::{Run, STAGES};

pub(crate) use run::sequences;

type Copy = (String, String);

/// A process that still has work to do.
struct Process {
    name: String,
    asked: Asked,
    /// Acknowledgements that the client has not read yet.
    said: VecDeque<What>,
    /// The running effects.
    effects: Vec<Effect>,
    /// The steps of the stage that have not begun.
    pending: Vec<String>,
    is_applied: bool,
}

struct World<'c> {
    choices: std::slice::Iter<'c, u8>,
    clock_us: u64,
    history: Vec<Observation>,
    runs: BTreeMap<Copy, Run>,
    processes: Vec<Process>,
    exports: Vec<(String, String, Run)>,
    names: usize,
    stores: Vec<String>,
}

/// Simulates commands until the choices are used up, then drives every run to its end and reads the
/// stores.
pub(crate) fn history(choices: &[u8]) -> Vec<Observation> {
    let mut world = World {
        choices: choices.iter(),
        clock_us: 1_000_000,
        history: Vec::new(),
        runs: BTreeMap::new(),
        processes: Vec::new(),
        exports: Vec::new(),
        names: 0,
        stores: vec!["main".to_owned(), "other".to_owned()],
    };
    world.observe("test", What::Declared { sequences: sequences() });
    while world.choices.len() > 0 {
        world.tick();
    }
    world.finish();
    world.history
}

impl World<'_> {
    /// Returns a number below `end`; 0 once the choices are used up.
    fn choose(&mut self, end: usize) -> usize {
        self.choices.next().map_or(0, |choice| usize::from(*choice) % end.max(1))
    }

    fn now(&mut self) -> u64 {
        self.clock_us += 1;
        self.clock_us
    }

    fn observe(&mut self, process: &str, what: What) {
        let time_us = Some(self.now());
        self.history.push(Observation { process: process.to_owned(), time_us, what });
    }

    fn tick(&mut self) {
        if self.processes.is_empty() || self.processes.len() < 3 && self.choose(4) == 0 {
            if let Some((store, command)) = self.command() {
                self.ask(&store, command);
            }
            return;
        }
        let nth = self.choose(self.processes.len());
        match self.choose(12) {
            0 => self.kill(nth),
            1..4 => self.hear(nth),
            _ => self.advance(nth),
        }
    }

    /// Chooses a command that makes sense.
    fn command(&mut self) -> Option<(String, Command)> {
        let nth = self.choose(self.stores.len());
        let store = self.stores[nth].clone();
        let runs: Vec<String> = self.runs.keys().filter(|(of, _)| *of == store).map(|(_, run)| run.clone()).collect();
        let run = runs.get(self.choose(runs.len())).cloned();
        let command = match self.choose(16) {
            0..3 => Command::Run,
            3..7 => Command::Resume { run: run? },
            7 => Command::Retry { run: run? },
            8 => Command::Cancel { run: run? },
            9 => Command::Pause { run: run? },
            10 => Command::Delete { runs: vec![run?] },
            11 => Command::Prune,
            12 => Command::Export { run: run? },
            13 | 14 if !self.exports.is_empty() => {
                let nth = self.choose(self.exports.len());
                let (export, run, _) = self.exports[nth].clone();
                Command::Import { run, export }
            }
            15 if self.stores.len() < 4 => Command::Backup { to: format!("copy{}", self.names) },
            _ => Command::List,
        };
        Some((store, command))
    }

    fn ask(&mut self, store: &str, command: Command) {
        self.names += 1;
        let name = format!("p{}", self.names);
        let asked = Asked { store: store.to_owned(), command };
        self.observe(&name, What::Asked(asked.clone()));
        let (said, effects, pending) = (VecDeque::new(), Vec::new(), Vec::new());
        self.processes.push(Process { name, asked, said, effects, pending, is_applied: false });
    }

    fn kill(&mut self, nth: usize) {
        let process = self.processes.remove(nth);
        // The killed process's earlier acknowledgements can still be read.
        for what in process.said {
            self.observe(&process.name, what);
        }
        self.release(&process.name);
        self.observe(&process.name, What::Ended { outcome: Outcome::Unknown });
    }

    fn release(&mut self, process: &str) {
        let held = self.runs.values_mut().filter(|run| run.holder.as_deref() == Some(process));
        held.for_each(|run| run.holder = None);
    }

    fn hear(&mut self, nth: usize) {
        let process = &mut self.processes[nth];
        if let Some(what) = process.said.pop_front() {
            let name = process.name.clone();
            self.observe(&name, what);
        }
    }

    fn end(&mut self, nth: usize, outcome: Outcome) {
        let process = self.processes.remove(nth);
        for what in process.said {
            self.observe(&process.name, what);
        }
        self.release(&process.name);
        self.observe(&process.name, What::Ended { outcome });
    }

    /// Advances a process by one small step.
    fn advance(&mut self, nth: usize) {
        let (name, asked) = (self.processes[nth].name.clone(), self.processes[nth].asked.clone());
        if self.processes[nth].is_applied {
            return self.drive(nth);
        }
        let store = asked.store;
        let done = match asked.command {
            Command::Run | Command::Rerun { .. } | Command::Fork { .. } => {
                let run = format!("r{}", self.names);
                self.names += 1;
                let new = Run { started_us: self.now(), status: "running".to_owned(), generation: 1, ..Run::default() };
                self.runs.insert((store.clone(), run.clone()), new);
                return self.hold(nth, &(store, run));
            }
            Command::Resume { run } => {
                let copy = (store, run);
                return match self.runs.get(&copy) {
                    Some(run) if run.holder.is_none() && run.is_open() => self.hold(nth, &copy),
                    _ => self.end(nth, Outcome::Failed),
                };
            }
            Command::Retry { run } => {
                let copy = (store, run);
                let time_us = self.now();
                let Some(run) = self.runs.get_mut(&copy).filter(|run| run.holder.is_none() && run.status == "failed")
                else {
                    return self.end(nth, Outcome::Failed);
                };
                run.record(time_us, Recorded::Rewound { reopened: vec!["/main".to_owned()] });
                run.generation += 1;
                "running".clone_into(&mut run.status);
                return self.hold(nth, &copy);
            }
            Command::Cancel { run } | Command::Pause { run } if self.is_held(&store, &run) => {
                let stops = if matches!(self.processes[nth].asked.command, Command::Pause { .. }) {
                    "paused"
                } else {
                    "cancelled"
                };
                let run = self.runs.get_mut(&(store, run)).unwrap();
                // A later pause does not replace a cancellation.
                run.stops = run.stops.filter(|before| *before == "cancelled").or(Some(stops));
                return self.end(nth, Outcome::Accepted);
            }
            Command::Cancel { run } => match self.runs.get_mut(&(store, run)).filter(|run| run.is_open()) {
                Some(run) => {
                    "cancelled".clone_into(&mut run.status);
                    true
                }
                None => false,
            },
            Command::Delete { runs } => self.delete(nth, &store, &runs),
            Command::Prune => {
                let of_store = self.runs.iter().filter(|((of, _), run)| *of == store && !run.is_open());
                let runs: Vec<String> = of_store.map(|((_, run), _)| run.clone()).collect();
                self.delete(nth, &store, &runs);
                true
            }
            Command::Export { run } => match self.runs.get(&(store, run.clone())).cloned() {
                Some(found) => {
                    self.processes[nth].said.push_back(What::Found(found.stored(&run)));
                    self.exports.push((name, run, Run { holder: None, stops: None, ..found }));
                    true
                }
                None => false,
            },
            Command::Import { run, export } => {
                let copy = (store, run);
                let found = self.exports.iter().find(|(of, ..)| *of == export).map(|(.., run)| run.clone());
                let is_new = !self.runs.contains_key(&copy);
                if let Some(run) = found.filter(|_| is_new) {
                    self.runs.insert(copy, run);
                }
                is_new
            }
            Command::Backup { to } => {
                let of_store = self.runs.iter().filter(|((of, _), _)| *of == store);
                let copies: Vec<(Copy, Run)> = of_store
                    .map(|((_, id), run)| ((to.clone(), id.clone()), Run { holder: None, stops: None, ..run.clone() }))
                    .collect();
                self.end(nth, Outcome::Done);
                self.runs.extend(copies);
                return self.stores.push(to);
            }
            Command::List => {
                let runs = self.runs.keys().filter(|(of, _)| *of == store).map(|(_, run)| run.clone()).collect();
                self.processes[nth].said.push_back(What::Listed { runs });
                true
            }
            _ => false,
        };
        self.end(nth, if done { Outcome::Done } else { Outcome::Failed });
    }

    fn is_held(&self, store: &str, run: &str) -> bool {
        let run = self.runs.get(&(store.to_owned(), run.to_owned()));
        run.is_some_and(|run| run.holder.is_some())
    }

    fn delete(&mut self, nth: usize, store: &str, runs: &[String]) -> bool {
        let mut is_deleted = false;
        for run in runs {
            let copy = (store.to_owned(), run.clone());
            if self.runs.get(&copy).is_some_and(|run| run.holder.is_none() && !run.is_open()) {
                self.runs.remove(&copy);
                self.processes[nth].said.push_back(What::RunDeleted { run: run.clone() });
                is_deleted = true;
            }
        }
        is_deleted
    }

    fn hold(&mut self, nth: usize, (store, run): &Copy) {
        let process = &mut self.processes[nth];
        process.said.push_back(What::RunStarted { run: run.clone() });
        process.is_applied = true;
        let held = self.runs.get_mut(&(store.clone(), run.clone())).unwrap();
        held.holder = Some(process.name.clone());
        // The request to cancel a run is kept until it has been carried out.
        held.stops = held.stops.filter(|stops| *stops == "cancelled");
        "running".clone_into(&mut held.status);
        // Steps that had begun when the former process died begin again.
        process.pending = held.unfinished();
    }

    /// Begins or ends an effect of the run driven by the process.
    fn drive(&mut self, nth: usize) {
        let name = self.processes[nth].name.clone();
        let held = self.runs.iter().find(|(_, run)| run.holder.as_ref() == Some(&name));
        let (copy, stops, generation) = held.map(|(copy, run)| (copy.clone(), run.stops, run.generation)).unwrap();
        let is_idle = self.processes[nth].effects.is_empty();
        let begins = !self.processes[nth].pending.is_empty() && stops.is_none();
        if begins && (is_idle || self.choose(2) == 0) {
            let (time_us, step) = (self.now(), self.processes[nth].pending.remove(0));
            let run = self.runs.get_mut(&copy).unwrap();
            run.attempts += 1;
            let effect = Effect { run: copy.1.clone(), step: step.clone(), attempt: run.attempts };
            run.record(time_us, Recorded::Began { step });
            self.observe(&name, What::EffectBegan(effect.clone()));
            return self.processes[nth].effects.push(effect);
        }
        if !is_idle {
            let chosen = self.choose(self.processes[nth].effects.len());
            let effect = self.processes[nth].effects.remove(chosen);
            self.observe(&name, What::EffectEnded(effect.clone()));
            // Only the last step fails, and only in its first generation.
            let fails = effect.step.starts_with("/main/b") && !effect.step.contains("both") && generation == 1;
            let (end, time_us) = (if fails && self.choose(2) == 1 { End::Failed } else { End::Completed }, self.now());
            let run = self.runs.get_mut(&copy).unwrap();
            run.record(time_us, Recorded::Ended { step: effect.step.clone(), end });
            if end == End::Failed {
                return self.close(nth, &copy, "failed");
            }
            let completed = What::StepCompleted { run: copy.1.clone(), step: effect.step };
            let said = &mut self.processes[nth].said;
            // Branches that complete together are acknowledged in any order.
            let is_branch =
                |what: Option<&What>| matches!(what, Some(What::StepCompleted { step, .. }) if step.contains("both"));
            let first = is_branch(Some(&completed)) && is_branch(said.back());
            said.insert(said.len() - usize::from(first), completed);
            return;
        }
        if let Some(status) = stops {
            return self.close(nth, &copy, status);
        }
        let run = self.runs.get_mut(&copy).unwrap();
        run.stage += 1;
        if run.stage >= STAGES.len() {
            return self.close(nth, &copy, "completed");
        }
        self.processes[nth].pending = run.unfinished();
    }

    fn close(&mut self, nth: usize, copy: &Copy, status: &str) {
        let run = self.runs.get_mut(copy).unwrap();
        status.clone_into(&mut run.status);
        if !run.is_open() {
            let ended = What::RunEnded { run: copy.1.clone(), status: status.to_owned() };
            self.processes[nth].said.push_back(ended);
        }
        self.end(nth, if status == "completed" { Outcome::Done } else { Outcome::Failed });
    }

    fn finish(&mut self) {
        while !self.processes.is_empty() {
            self.advance(0);
        }
        let open: Vec<Copy> = self.runs.iter().filter(|(_, run)| run.is_open()).map(|(copy, _)| copy.clone()).collect();
        let all: Vec<Copy> = self.runs.keys().cloned().collect();
        let commands = open.into_iter().map(|(store, run)| (store, Command::Resume { run }));
        let reads = all.into_iter().map(|(store, run)| (store, Command::Export { run }));
        let lists = self.stores.clone().into_iter().map(|store| (store, Command::List));
        for (store, command) in commands.chain(reads).chain(lists) {
            self.ask(&store, command);
            while !self.processes.is_empty() {
                self.advance(0);
            }
        }
    }
}
