//! Chooses random commands.

use std::{collections::BTreeMap, process::Command as System, time::Duration};

use llmspell_workflows_testing::history::{Asked, Command, Outcome, What};

use super::flows::{FLOWS, definitions, run_again};
use crate::{
    clients::{Clients, Ended, Strike},
    random::Random,
};

/// The clients' knowledge, on which they base their choices.
pub(super) struct Knowledge {
    pub(super) random: Random,
    pub(super) stores: Vec<String>,
    /// The completed steps of each run, by store and run.
    runs: BTreeMap<(String, String), Vec<String>>,
    /// The exports, each with its process and its run.
    exports: Vec<(String, String)>,
    /// The workflow of each process and run.
    flows: BTreeMap<String, &'static str>,
}

/// A random command.
struct Chosen {
    command: Command,
    arguments: Vec<String>,
    /// The steps that the command may repeat.
    may_repeat: Option<What>,
}

impl Knowledge {
    pub(super) fn new(seed: u64) -> Self {
        let stores = vec!["main".to_owned(), "other".to_owned()];
        Self { random: Random(seed), stores, runs: BTreeMap::new(), exports: Vec::new(), flows: BTreeMap::new() }
    }

    /// Starts a random command. It is killed with a probability of 1/2, or stopped for a while with
    /// a probability of 1/8.
    pub(super) fn start(&mut self, clients: &mut Clients) {
        let random = &mut self.random;
        // Most commands use the first store, so that they interact.
        let nth = random.below(self.stores.len() * 3);
        let store = self.stores.get(nth).unwrap_or(&self.stores[0]).clone();
        let runs: Vec<_> = self.runs.iter().filter(|((of, _), _)| *of == store).collect();
        // Most commands concern the newest runs, so that they interact.
        let newest = &runs[runs.len().saturating_sub(3)..];
        let any = random.below(4) == 0;
        let known = random.pick(if any { &runs } else { newest });
        let known = known.map(|((_, run), steps)| (run.clone(), (*steps).clone()));
        let name = clients.next_name();
        let Chosen { command, arguments, may_repeat } = self.choose(&name, known);
        let random = &mut self.random;
        let drives =
            matches!(arguments[0].as_str(), "run" | "resume" | "retry" | "fork" | "rerun" | "resolve" | "cancel");
        let lines = if drives { random.below(8) } else { 0 };
        let delay = Duration::from_micros(random.below(if lines == 0 { 20_000 } else { 6_000 }) as u64);
        let stops_for = Duration::from_millis(random.below(150) as u64);
        let strike = match random.below(8) {
            0..4 => Some(Strike { lines, delay, stops_for: None }),
            4 => Some(Strike { lines, delay, stops_for: Some(stops_for) }),
            _ => None,
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        may_repeat.into_iter().for_each(|may_repeat| clients.observe(&name, may_repeat));
        clients.start(Asked { store, command }, &arguments, strike);
    }

    /// Chooses a command, which in some cases continues the run under another definition.
    fn choose(&mut self, name: &str, known: Option<(String, Vec<String>)>) -> Chosen {
        let (command, mut arguments) = self.command(name, known);
        if command == Command::Run {
            let (flow, _) = FLOWS.iter().find(|(flow, _)| *flow == arguments[1]).unwrap();
            self.flows.insert(name.to_owned(), flow);
        }
        let (Command::Resume { run }
        | Command::Retry { run }
        | Command::Fork { run }
        | Command::Rerun { run }
        | Command::Resolve { run }) = &command
        else {
            return Chosen { command, arguments, may_repeat: None };
        };
        let mut steps = Vec::new();
        if let Some(flow) = self.flows.get(run).copied() {
            self.flows.insert(name.to_owned(), flow);
            let takes_definition = matches!(arguments[0].as_str(), "resume" | "retry" | "fork");
            if takes_definition && self.random.below(3) == 0 {
                let file = self.random.pick(&definitions(flow)).unwrap().clone();
                arguments.extend(["--definition".to_owned(), file]);
                steps = run_again(flow);
            }
        }
        if arguments.iter().any(|argument| argument == "--from") {
            steps.push("/main".to_owned());
        }
        let may_repeat = Some(What::MayRepeat { run: run.clone(), steps });
        Chosen { command, arguments, may_repeat }
    }

    /// Chooses a command, with its arguments.
    fn command(&mut self, name: &str, known: Option<(String, Vec<String>)>) -> (Command, Vec<String>) {
        let random = &mut self.random;
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (flow, _) = *random.pick(&FLOWS).unwrap();
        let start = (Command::Run, words(&format!("run {flow}")));
        let Some((run, steps)) = known else { return start };
        match random.below(100) {
            0..18 => start,
            18..42 => (Command::Resume { run: run.clone() }, words(&format!("resume {run}"))),
            42..52 => {
                let from = random.pick(&steps).filter(|_| random_is(&run, 2));
                let from = from.map(|step| format!(" --from {step}")).unwrap_or_default();
                (Command::Retry { run: run.clone() }, words(&format!("retry {run}{from}")))
            }
            52..58 => (Command::Signal { run: run.clone() }, words(&format!("signal {run} go"))),
            58..64 => {
                let undo = *random.pick(&["", " --compensate"]).unwrap();
                (Command::Cancel { run: run.clone() }, words(&format!("cancel {run}{undo}")))
            }
            64..69 => (Command::Pause { run: run.clone() }, words(&format!("pause {run}"))),
            69..74 => match random.pick(&steps) {
                Some(step) => (Command::Fork { run: run.clone() }, words(&format!("fork {run} --from {step}"))),
                None => start,
            },
            74..77 => (Command::Rerun { run: run.clone() }, words(&format!("rerun {run}"))),
            77..81 => {
                let outcome = *random.pick(&["--run-again", "--failed", "--completed null"]).unwrap();
                (Command::Resolve { run: run.clone() }, words(&format!("resolve {run} once {outcome}")))
            }
            81..86 => {
                let arguments = words(&format!("runs export {run} --file export-{name}.json"));
                (Command::Export { run }, arguments)
            }
            86..90 => match random.pick(&self.exports).cloned() {
                Some((export, run)) => {
                    let arguments = words(&format!("runs import export-{export}.json"));
                    (Command::Import { run, export }, arguments)
                }
                None => start,
            },
            90..93 => (Command::Delete { runs: vec![run.clone()] }, words(&format!("runs delete {run}"))),
            93..95 => (Command::Prune, words("runs prune --older-than 1ms --keep 1")),
            95..97 => (Command::Other { name: "compact".to_owned() }, words("store compact")),
            97..99 if self.stores.len() < 4 => {
                (Command::Backup { to: format!("restored-{name}") }, words(&format!("store backup backup-{name}")))
            }
            _ => (Command::List, words("runs list")),
        }
    }

    /// Remembers the results of a command.
    pub(super) fn learn(&mut self, clients: &Clients, ended: &Ended) {
        let store = &ended.asked.store;
        let mut run = None;
        for line in &ended.said {
            match (line["event"].as_str(), line["path"].as_str()) {
                (Some("run.started" | "run.resumed" | "run.retried" | "run.forked"), _) => {
                    let id = line["run_id"].as_str().unwrap().to_owned();
                    if let Some(flow) = self.flows.get(&ended.name).copied() {
                        self.flows.insert(id.clone(), flow);
                    }
                    run = Some(self.runs.entry((store.clone(), id)).or_default());
                }
                (Some("step.completed"), Some(path)) => {
                    run.iter_mut().for_each(|steps| steps.push(path.to_owned()));
                }
                _ => {}
            }
        }
        match &ended.asked.command {
            _ if ended.outcome != Outcome::Done => {}
            Command::Export { run } => self.exports.push((ended.name.clone(), run.clone())),
            Command::Import { run, .. } => drop(self.runs.entry((store.clone(), run.clone())).or_default()),
            Command::Backup { to } => {
                let backup = clients.sandbox.path(&format!("backup-{}", ended.name));
                let copied = System::new("cp").arg("-R").arg(backup).arg(clients.sandbox.path(to)).status().unwrap();
                assert!(copied.success());
                let copies: Vec<_> = self.runs.iter().filter(|((of, _), _)| of == store).collect();
                let copies: Vec<_> =
                    copies.into_iter().map(|((_, run), steps)| ((to.clone(), run.clone()), steps.clone())).collect();
                self.runs.extend(copies);
                self.stores.push(to.clone());
            }
            _ => {}
        }
    }
}

/// Makes a pseudorandom choice that depends only on the run.
fn random_is(run: &str, of: usize) -> bool {
    run.bytes().map(usize::from).sum::<usize>() % of == 0
}
