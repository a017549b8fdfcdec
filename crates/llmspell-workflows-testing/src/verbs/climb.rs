//! Finds the ladder of a run by running its workflow without a crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use llmspell_workflows_advanced::{Home, Message};
use llmspell_workflows_basic::{RunStatus, sync::lock};
use uuid::Uuid;

use super::{
    Difference,
    cast::Cast,
    effects::effects,
    folder::Folder,
    ladder::{Ladder, LadderId, Rung},
    ledger::{Ledger, SharedLedger},
    process::Process,
    verb::{Deed, Report, Verb},
    view::View,
};
use crate::clock::SimClock;

/// The maximum number of rungs of a ladder.
const RUNGS_MAX: usize = 8;

/// Runs a workflow without a crash, from one rest to the next.
struct Climber<'c> {
    cast: &'c Cast,
    id: &'c LadderId,
    process: Process,
    ledger: SharedLedger,
    _folder: Folder,
}

/// Returns the ladder `id`.
pub(super) fn climb(cast: &Cast, id: &LadderId) -> Result<Ladder, Difference> {
    let climber = Climber::new(cast, id)?;
    let mut run = climber.begin(None)?;
    if let Some((rung, from)) = id.climbed_fork() {
        for _ in 0..rung {
            let seen = climber.rung(run)?;
            climber.advance(run, &seen)?;
        }
        run = climber.begin(Some((run, from)))?;
    }
    let mut ladder = Ladder::default();
    loop {
        let rung = climber.rung(run)?;
        ladder.rungs.push(rung.clone());
        if ladder.rungs.len() > RUNGS_MAX || !climber.advance(run, &rung)? {
            break;
        }
    }
    ladder.outputs = climber.outputs(run)?;
    ladder.cleanup = Climber::new(cast, id)?.cleanup()?;
    Ok(ladder)
}

impl<'c> Climber<'c> {
    fn new(cast: &'c Cast, id: &'c LadderId) -> Result<Self, Difference> {
        let folder = Folder::new()?;
        let ledger = SharedLedger::new(Ledger::new(cast.once()).into());
        let process = Process::open(cast, folder.path(), &ledger, &SimClock::default());
        Ok(Self { cast, id, process, ledger, _folder: folder })
    }

    /// Starts or forks a run and drives it until it comes to rest.
    fn begin(&self, fork: Option<(Uuid, &String)>) -> Result<Uuid, Difference> {
        let verb = fork.map_or(Verb::Start, |(_, from)| Verb::Fork { from: from.clone() });
        let report = Report::default();
        self.perform(Deed::new(verb, fork.map(|(run, _)| run), ""), &report)?;
        let new = lock(&report.progress).new;
        Ok(new.expect("the run was created"))
    }

    fn perform(&self, deed: Deed, report: &Report) -> Result<(), Difference> {
        let mut role = self.cast.roles[self.id.role].clone();
        role.definition = role.edition(self.id.edition).clone();
        let hands = self.process.hands();
        let done = self.process.run(deed.perform(&hands, &role, report));
        let done = done.expect("the process never crashes");
        done.map_err(|error| Difference::new(format!("{:?} failed without a crash: {error}", deed.verb)))
    }

    fn rung(&self, run: Uuid) -> Result<Rung, Difference> {
        let home: Arc<dyn Home> = self.process.hands().home;
        let looked = self.process.run(async {
            let view = View::of(&home).await?;
            let waits = home.waits(&home.find(&run.to_string()).await?).await?;
            Ok::<_, llmspell_workflows_advanced::ExecutorError>((view, waits))
        });
        let (view, waits) = looked.expect("the process never crashes").map_err(Difference::of)?;
        if let Some(problem) = view.problems.first() {
            return Err(Difference::new(format!("without a crash: {problem}")));
        }
        let waits: BTreeSet<String> = waits.into_iter().filter_map(|wait| wait.awaited.signal).collect();
        let family = view.family(run);
        let names = family.iter().map(|one| (*one, view.runs[one].workflow.as_str()));
        let effects = effects(&lock(&self.ledger), names);
        let mut rest = view.runs[&run].rest.clone();
        if !rest.status.has_ended() && rest.status != RunStatus::Stuck {
            // The process may not have recorded yet that the run is waiting.
            rest.status = RunStatus::Waiting;
        }
        Ok(Rung { rest, waits, effects })
    }

    /// Returns the activities' outputs in `run` and its sub-workflows, by effect.
    fn outputs(&self, run: Uuid) -> Result<BTreeMap<String, serde_json::Value>, Difference> {
        let home = self.process.hands().home;
        let looked = self.process.run(View::of(&home)).expect("the process never crashes");
        let (view, ledger) = (looked.map_err(Difference::of)?, lock(&self.ledger));
        let mut outputs = BTreeMap::new();
        for one in view.family(run) {
            let workflow = &view.runs[&one].workflow;
            let account = ledger.account(one).into_iter().flat_map(|account| &account.outputs);
            outputs.extend(account.map(|(path, output)| (format!("{workflow}:{path}"), output.clone())));
        }
        Ok(outputs)
    }

    /// Brings the run to its next rest; returns false if there is none.
    fn advance(&self, run: Uuid, rung: &Rung) -> Result<bool, Difference> {
        let report = Report::default();
        if rung.rest.status == RunStatus::Failed {
            self.perform(Deed::new(Verb::Retry, Some(run), ""), &report)?;
            return Ok(true);
        }
        let sent = rung.waits.iter().find_map(|name| Some((name.clone(), self.cast.signals.get(name)?.clone())));
        let Some(signal) = sent else { return Ok(false) };
        self.perform(Deed { signal: Some(signal), ..Deed::new(Verb::Signal, Some(run), "") }, &report)?;
        self.perform(Deed::new(Verb::Resume, Some(run), ""), &report)?;
        Ok(true)
    }

    /// Returns the effects of a run cancelled before its first step.
    fn cleanup(&self) -> Result<BTreeSet<String>, Difference> {
        let role = &self.cast.roles[self.id.role];
        let (definition, input) = (role.edition(self.id.edition).clone(), role.input.clone());
        let hands = self.process.hands();
        let done = self.process.run(async {
            let input = llmspell_workflows_basic::WorkflowInput::new(input);
            let run = hands.executor.start(definition, input, Default::default()).await?;
            let id = run.id();
            hands.home.post(&hands.find(id).await?, &Message::Cancel).await?;
            drop(run);
            let run = hands.executor.resume(&hands.find(id).await?).await?;
            hands.drive(run).await?;
            Ok::<_, llmspell_workflows_advanced::ExecutorError>(id)
        });
        let run = done.expect("the process never crashes").map_err(Difference::of)?;
        Ok(self.rung(run)?.effects)
    }
}

/// The known ladders; each is computed when it is first needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Atlas(BTreeMap<LadderId, Ladder>);

impl Atlas {
    /// Returns the ladder `id`; a ladder is computed only once.
    pub(super) fn find(&mut self, cast: &Cast, id: &LadderId) -> Result<&Ladder, Difference> {
        if !self.0.contains_key(id) {
            self.0.insert(id.clone(), climb(cast, id)?);
        }
        Ok(&self.0[id])
    }

    pub(super) fn ladders(&self) -> &BTreeMap<LadderId, Ladder> {
        &self.0
    }
}
