use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use llmspell_workflows_advanced::ExecutorError;
use llmspell_workflows_basic::{RunStatus, sync::lock};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Difference, VerbReport,
    backup::{Backup, Observer},
    cast::{Cast, Role},
    climb::Atlas,
    folder::Folder,
    ladder::LadderId,
    ledger::{Ledger, SharedLedger},
    model::{Model, Progress},
    process::Process,
    stage::Stage,
    verb::{Correcting, Deed, Report, Stuck, Verb},
    view::{self, View},
};
use crate::clock::SimClock;

/// The number of processes that can be alive at the same time.
pub(super) const SLOTS: usize = 2;

/// A home, the processes that use it, and the model of its expected contents.
pub(super) struct Lab<'c> {
    pub(super) cast: &'c Cast,
    pub(super) model: Model,
    pub(super) view: View,
    pub(super) folder: Folder,
    pub(super) ledger: SharedLedger,
    clock: SimClock,
    pub(super) documents: BTreeMap<Uuid, Arc<Value>>,
    pub(super) backup: Option<Backup>,
    slots: [Option<Process>; SLOTS],
    pub(super) observer: Option<Observer>,
    /// The deeds so far, for the report of a difference.
    pub(super) story: Vec<String>,
    pub(super) report: VerbReport,
}

/// The result of a deed.
struct Attempt {
    /// The result; `None` if the process crashed.
    done: Option<Result<(), ExecutorError>>,
    progress: Progress,
    /// The exported document.
    document: Option<Value>,
    boundaries: u64,
}

impl<'c> Lab<'c> {
    pub(super) fn new(cast: &'c Cast) -> Result<Self, Difference> {
        let ledger = Ledger::new(cast.once());
        Ok(Self::with(cast, Folder::new()?, Model::default(), ledger, BTreeMap::new(), SimClock::default()))
    }

    fn with(
        cast: &'c Cast,
        folder: Folder,
        model: Model,
        ledger: Ledger,
        documents: BTreeMap<Uuid, Arc<Value>>,
        clock: SimClock,
    ) -> Self {
        Self {
            cast,
            model,
            view: View::default(),
            folder,
            ledger: SharedLedger::new(ledger.into()),
            clock,
            documents,
            backup: None,
            slots: Default::default(),
            observer: None,
            story: Vec::new(),
            report: VerbReport::default(),
        }
    }

    /// Returns a copy of this lab in its current state, without its processes.
    pub(super) fn copy(&self) -> Result<Self, Difference> {
        let (model, ledger) = (self.model.clone(), lock(&self.ledger).clone());
        let folder = Folder::copy_of(self.folder.path())?;
        let clock = SimClock::new(llmspell_workflows_basic::Clock::now(&self.clock));
        let copy = Self::with(self.cast, folder, model, ledger, self.documents.clone(), clock);
        Ok(Self { view: self.view.clone(), story: self.story.clone(), ..copy })
    }

    /// Makes the process in `slot` exit, which releases its parked runs.
    pub(super) fn exit(&mut self, slot: usize) {
        if self.slots[slot].take().is_some() {
            self.story.push(format!("process {slot} exits"));
        }
    }

    pub(super) fn exit_all(&mut self) {
        (0..SLOTS).for_each(|slot| self.exit(slot));
    }

    /// Returns a lab with this lab's documents but an empty home, so that none of this lab's runs
    /// exist there.
    pub(super) fn elsewhere(&self) -> Result<Self, Difference> {
        let mut model = self.model.clone();
        model.runs.values_mut().for_each(|run| run.stages = [Stage::Gone].into());
        let ledger = lock(&self.ledger).clone();
        let lab = Self::with(self.cast, Folder::new()?, model, ledger, self.documents.clone(), self.clock.clone());
        Ok(Self { story: self.story.clone(), ..lab })
    }

    /// Adds the data that `deed` needs from the current state of the home.
    pub(super) fn equip(&self, deed: &mut Deed, atlas: &Atlas) {
        if deed.verb == Verb::Recover {
            let is_open =
                |status: RunStatus| !status.has_ended() && !matches!(status, RunStatus::Paused | RunStatus::Stuck);
            deed.open = self.view.roots().filter(|(_, run)| is_open(run.status)).map(|(id, _)| id).collect();
        }
        let Some(run) = deed.run else { return };
        deed.family = self.view.family(run);
        if let Some(known) = self.model.runs.get(&run) {
            deed.editions = known.editions();
        }
        match &deed.verb {
            Verb::Correct(Correcting { keep: Some(path), .. }) => {
                deed.keeps_for_certain = lock(&self.ledger).is_certain(run, path);
            }
            Verb::Resolve | Verb::RunAgain => deed.stuck = self.stuck(run, atlas),
            Verb::Import => deed.document = self.documents.get(&run).cloned(),
            _ => {}
        }
    }

    /// Returns a stuck step of a stuck run, with the expected output of the step.
    pub(super) fn stuck(&self, run: Uuid, atlas: &Atlas) -> Option<Stuck> {
        self.view.runs.get(&run).filter(|seen| seen.status == RunStatus::Stuck)?;
        let ledger = lock(&self.ledger);
        self.view.family(run).into_iter().find_map(|one| {
            let path = ledger.in_doubt(one).into_iter().next()?;
            let effect = format!("{}:{path}", self.view.runs[&one].workflow);
            let mut ladders = atlas.ladders().values();
            let output = ladders.find_map(|ladder| ladder.outputs.get(&effect))?.clone();
            Some(Stuck { run: one, path, output })
        })
    }

    /// Performs `deed` in the process in `slot`, and judges the home afterwards. The process
    /// crashes at the boundary `crash_at`, if any. Returns the number of boundaries that the deed
    /// passed.
    pub(super) fn act(
        &mut self,
        slot: usize,
        mut deed: Deed,
        crash_at: Option<u64>,
        atlas: &mut Atlas,
    ) -> Result<u64, Difference> {
        if deed.verb == Verb::Recover {
            // A process that exited after the last deed may have recorded that a run is paused.
            let observer = self.observer.get_or_insert_with(|| Observer::new(self.folder.path()));
            self.view = observer.look().map_err(Difference::of)?;
        }
        self.equip(&mut deed, atlas);
        for ladder in deed.creates.iter().chain(&self.ladders_of(&deed)) {
            atlas.find(self.cast, ladder)?;
        }
        // The folder of a backup must not be inside the folder of the home, which a crash replaces.
        let beside = if deed.verb == Verb::BackUp { Some(Folder::new()?) } else { None };
        deed.to = beside.as_ref().map(|beside| beside.path().to_owned());
        // To a deletion, the journals that this process has leased for its own runs also count
        // as held.
        let is_alive = self.slots[slot].is_some() && matches!(deed.verb, Verb::Delete | Verb::Prune);
        let others_alive = self.slots.iter().enumerate().any(|(other, process)| other != slot && process.is_some());
        let process = match self.slots[slot].take() {
            Some(process) => process,
            None => Process::open(self.cast, self.folder.path(), &self.ledger, &self.clock),
        };
        let Attempt { done, mut progress, document, boundaries } = self.attempt(&process, &deed, crash_at);
        progress.others_alive = others_alive;
        let concerned = deed.run.map_or("the home".to_owned(), |run| run.to_string());
        let mut line = format!("process {slot}: {:?} of {concerned}", deed.verb);
        let mut is_held = false;
        match done {
            None => {
                let _ = write!(line, ", boundary {}: {}", crash_at.unwrap_or_default(), process.gate().story());
                self.report.crashes += 1;
                self.bury(process, others_alive)?;
            }
            Some(done) => {
                if let Err(error) = done {
                    let _ = write!(line, ": {error}");
                    is_held = (others_alive || is_alive) && error.is_retryable();
                }
                self.slots[slot] = Some(process);
            }
        }
        self.report.verbs += 1;
        self.story.push(line);
        self.settle();
        let judged = self.judge(&deed, &progress, is_held, atlas);
        judged.map_err(|problems| self.difference(&problems))?;
        if let (Some(run), Some(document)) = (deed.run, document) {
            self.documents.insert(run, Arc::new(document));
            self.model.keep_export(run, &lock(&self.ledger));
        }
        Ok(boundaries)
    }

    /// Performs `deed` in `process`, which crashes at the boundary `crash_at`, if any.
    fn attempt(&self, process: &Process, deed: &Deed, crash_at: Option<u64>) -> Attempt {
        let point = process.gate().point();
        let passed = point.passed();
        crash_at.iter().for_each(|boundary| point.crash_after(*boundary));
        let (report, hands) = (Report::default(), process.hands());
        let done = process.run(deed.perform(&hands, &self.cast.roles[self.role_of(deed)], &report));
        point.never_crash();
        let mut progress = lock(&report.progress).clone();
        progress.crashed = done.is_none();
        progress.sent |= hands.mid_step.end();
        match &done {
            None => {}
            Some(Ok(())) => progress.committed = true,
            Some(Err(error)) => {
                progress.refusal = Some(error.to_string());
                progress.must_not_repeat =
                    matches!(error, ExecutorError::CannotRunAgain { .. } | ExecutorError::UnknownEffects { .. });
                if !progress.committed {
                    let mut ledger = lock(&self.ledger);
                    progress.announced.iter().for_each(|(run, path)| ledger.expect_no_longer(*run, path));
                }
            }
        }
        let document = lock(&report.document).take();
        Attempt { done, progress, document, boundaries: point.passed() - passed }
    }

    /// Makes the live processes drive the runs woken by the deed.
    fn settle(&self) {
        for process in self.slots.iter().flatten() {
            let hands = process.hands();
            let settled = process.run(hands.settle());
            settled.expect("the process does not crash while it drives woken runs");
        }
    }

    /// Returns the ladders on which `deed` may put its run.
    pub(super) fn ladders_of(&self, deed: &Deed) -> Vec<LadderId> {
        let Some(edition) = deed.verb.edition().filter(|_| !deed.verb.forks()) else { return Vec::new() };
        let known = deed.run.and_then(|run| self.model.runs.get(&run));
        let goals = known.into_iter().flat_map(|known| &known.stages).filter_map(Stage::goal);
        goals.map(|goal| LadderId { edition, ..goal.ladder().clone() }).collect()
    }

    fn role_of(&self, deed: &Deed) -> usize {
        let name = |role: &Role| role.definition.name == deed.workflow;
        self.cast.roles.iter().position(name).expect("the workflow is in the cast")
    }

    /// Removes a crashed process. If it was the only process, the home stays exactly as it was at
    /// the crash. Otherwise the data that the process had in memory may still reach the disk, as it
    /// could have before the crash.
    fn bury(&mut self, process: Process, others_alive: bool) -> Result<(), Difference> {
        if !others_alive {
            let copy = Folder::copy_of(self.folder.path())?;
            self.observer = None;
            drop(process);
            self.folder = copy;
        }
        Ok(())
    }

    fn judge(&mut self, deed: &Deed, progress: &Progress, is_held: bool, atlas: &Atlas) -> Result<(), Vec<String>> {
        let observer = self.observer.get_or_insert_with(|| Observer::new(self.folder.path()));
        let view = observer.look().map_err(|error| vec![format!("the home cannot be read: {error}")])?;
        self.model.meet(&view);
        let mut problems = Vec::new();
        {
            let mut ledger = lock(&self.ledger);
            // A fork has results of steps that it did not execute.
            let is_fork = |stage: &Stage| stage.goal().is_some_and(|goal| goal.ladder().fork.is_some());
            if let Some(run) = deed.run.filter(|_| progress.must_not_repeat)
                && !ledger.has_begun_once(run)
                && deed.family.len() == 1
                && !self.model.runs[&run].stages.iter().any(is_fork)
            {
                problems.push(format!("{:?} was refused, but no step runs at most once", deed.verb));
            }
            if let Some(Stuck { run, path, .. }) = &deed.stuck {
                ledger.resolve(*run, path, progress.committed);
            }
            if !is_held {
                problems.extend(self.model.apply(deed, progress, atlas.ladders(), &mut ledger).err());
            }
            problems.extend(self.model.judge(&view, atlas.ladders(), &ledger));
        }
        problems.extend(self.check_others(deed, &view));
        if deed.verb == Verb::Import {
            problems.extend(self.check_import(deed, &view));
        }
        if deed.verb == Verb::BackUp {
            problems.extend(self.check_backup(deed, progress, atlas));
        }
        self.view = view;
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Checks that runs unrelated to the verb have not changed.
    fn check_others(&self, deed: &Deed, view: &View) -> Vec<String> {
        if matches!(deed.verb, Verb::Prune | Verb::Recover) {
            return Vec::new();
        }
        let concerned = deed.run.filter(|_| deed.verb.changes_its_run());
        let others = self.view.roots().filter(|(id, _)| Some(*id) != concerned);
        let changed = others.filter_map(|(id, before)| match view.runs.get(&id) {
            Some(after) if view::is_continued(&before.export, &after.export) => None,
            Some(_) => Some(format!("run {id} has changed")),
            None => Some(format!("run {id} is gone")),
        });
        changed.collect()
    }

    /// Checks that an imported run is complete.
    fn check_import(&self, deed: &Deed, view: &View) -> Option<String> {
        let (run, document) = (deed.run?, deed.document.as_ref()?);
        if self.view.runs.contains_key(&run) {
            return None;
        }
        let imported = view.runs.get(&run)?;
        let mut document = Value::clone(document);
        view::strip(&mut document);
        (imported.export != document).then(|| format!("run {run} was imported, but its export is different"))
    }

    /// Returns whether the step at `path`, without generations, is certain to have completed.
    pub(super) fn is_certain(&self, run: Uuid, path: &str) -> bool {
        lock(&self.ledger).is_certain(run, path)
    }

    /// Returns whether `run` or one of its sub-workflows has an at-most-once step that may or may
    /// not have taken effect.
    pub(super) fn is_in_doubt(&self, run: Uuid) -> bool {
        let ledger = lock(&self.ledger);
        self.view.family(run).into_iter().any(|one| !ledger.in_doubt(one).is_empty())
    }

    /// Returns the difference with all deeds that led to it.
    fn difference(&self, problems: &[String]) -> Difference {
        let mut text = problems.join("\n");
        for line in &self.story {
            let _ = write!(text, "\n  {line}");
        }
        for (id, run) in self.view.roots() {
            let _ = write!(text, "\n  run {id}: {}", view::records(&run.export));
        }
        Difference::new(text)
    }

    /// Returns `what` as a difference, with all deeds that led to it.
    pub(super) fn fail(&self, what: String) -> Difference {
        self.difference(&[what])
    }
}
