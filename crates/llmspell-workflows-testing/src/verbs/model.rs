//! The expected state of a home: the possible stages of each run, given the requested and
//! acknowledged verbs.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    effects::{effects, plain_all},
    ladder::{Edition, Ladder, LadderId},
    ledger::{Account, Ledger},
    stage::{Goal, Stage, cancelled, committed, is_seen, settled},
    verb::{Deed, Verb},
    view::View,
};

/// The ladders of all runs of a test.
pub(super) type Ladders = BTreeMap<LadderId, Ladder>;

/// The runs of a home, with their possible stages.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) runs: BTreeMap<Uuid, RunModel>,
    /// The latest export of each run, by the id of the run.
    pub(super) exports: BTreeMap<Uuid, RunModel>,
    /// The root run and the workflow of each sub-workflow.
    children: BTreeMap<Uuid, (Uuid, String)>,
    /// A run that a crashed verb may have created.
    newcomer: Option<LadderId>,
}

/// The model of one run.
#[derive(Debug, Clone)]
pub(super) struct RunModel {
    /// The possible stages of the run. There are several if a crash makes it uncertain whether
    /// a verb happened.
    pub(super) stages: BTreeSet<Stage>,
    pub(super) workflow: String,
    /// All ladders that the run has been on.
    pub(super) ladders: BTreeSet<LadderId>,
    /// The definition that was last given, or may have been given, to the run.
    edition: Edition,
    /// Whether the run, or its source if the run is a fork, may have continued under a corrected
    /// definition.
    pub(super) is_corrected: bool,
    /// Whether a cancellation of the run was ever requested.
    pub(super) is_cancelled: bool,
    /// For an export, the accounts of the run and its sub-workflows at the time of the export.
    accounts: BTreeMap<Uuid, Account>,
}

/// The progress of a verb.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Whether the process crashed.
    pub(super) crashed: bool,
    /// Whether the change was acknowledged. A run that is driven afterwards need not have come to
    /// rest.
    pub(super) committed: bool,
    /// The created run.
    pub(super) new: Option<Uuid>,
    /// Whether the message was sent while a step executed.
    pub(super) sent: bool,
    /// Whether another process, which may own runs, was alive.
    pub(super) others_alive: bool,
    /// The reason why the verb was refused, if it was.
    pub(super) refusal: Option<String>,
    /// Whether the verb was refused because it would repeat an at-most-once step or a sub-workflow.
    pub(super) must_not_repeat: bool,
    /// The completed steps, without generations, that were announced to run again.
    pub(super) announced: Vec<(Uuid, String)>,
}

impl RunModel {
    fn new(workflow: &str, ladder: LadderId, stages: impl IntoIterator<Item = Stage>) -> Self {
        Self {
            stages: stages.into_iter().collect(),
            workflow: workflow.to_owned(),
            edition: ladder.edition,
            is_corrected: ladder.fork.is_some() && ladder.edition.is_corrected(),
            ladders: BTreeSet::from([ladder]),
            is_cancelled: false,
            accounts: BTreeMap::new(),
        }
    }

    /// Returns whether the definition of the run is known. If all steps had ended when the run was
    /// given another definition, the run ends as if it had kept the old definition.
    pub(super) fn has_known_definition(&self) -> bool {
        let is_latest = |stage: &Stage| stage.goal().is_some_and(|goal| goal.ladder().edition == self.edition);
        self.stages.iter().all(is_latest)
    }

    /// Returns the definitions that the run may have had.
    pub(super) fn editions(&self) -> BTreeSet<Edition> {
        self.ladders.iter().map(|ladder| ladder.edition).chain([self.edition]).collect()
    }

    /// Returns the stage if it is certain.
    pub(super) fn stage(&self) -> Option<&Stage> {
        self.stages.first().filter(|_| self.stages.len() == 1)
    }
}

impl Model {
    /// Returns whether `deed` may be accepted in one of the stages of its run.
    pub(super) fn permits(&self, deed: &Deed, ladders: &Ladders) -> bool {
        let Some(run) = deed.run else { return true };
        let known = self.runs.get(&run);
        if deed.verb == Verb::Import {
            return self.exports.contains_key(&run) && known.is_none_or(|known| known.stages.contains(&Stage::Gone));
        }
        known.is_some_and(|known| {
            known.stages.iter().any(|stage| !committed(deed, stage, ladders, |_| false).is_empty())
        })
    }

    /// Applies the effects of `deed` to its run, or to all runs.
    ///
    /// # Errors
    /// Returns an error if the verb was wrongly refused or wrongly accepted.
    pub(super) fn apply(
        &mut self,
        deed: &Deed,
        progress: &Progress,
        ladders: &Ladders,
        ledger: &mut Ledger,
    ) -> Result<(), String> {
        let concerned: Vec<Uuid> = match (deed.run, &deed.verb) {
            (Some(run), _) => vec![run],
            (None, Verb::Prune | Verb::Recover) => self.runs.keys().copied().collect(),
            (None, _) => Vec::new(),
        };
        for run in concerned {
            if deed.verb == Verb::Import {
                self.import(run, progress, ledger)?;
            } else {
                self.apply_to(run, deed, progress, ladders, ledger)?;
            }
        }
        if let Some(ladder) = &deed.creates {
            match (progress.new, progress.crashed) {
                (Some(id), crashed) => {
                    let in_doubt = !ledger.in_doubt(id).is_empty();
                    let mut stages = Vec::new();
                    for goal in first_goals(ladder, ladders) {
                        let fresh = Stage::Toward(goal);
                        stages.extend(settled(&deed.verb, &fresh, progress, in_doubt));
                        stages.extend(crashed.then_some(fresh));
                    }
                    self.runs.insert(id, RunModel::new(&deed.workflow, ladder.clone(), stages));
                }
                (None, true) => self.newcomer = Some(ladder.clone()),
                (None, false) if progress.refusal.is_none() => return Err("the verb created no run".to_owned()),
                (None, false) => {}
            }
        }
        Ok(())
    }

    fn apply_to(
        &mut self,
        run: Uuid,
        deed: &Deed,
        progress: &Progress,
        ladders: &Ladders,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let verb = &deed.verb;
        let performed = self.performed(run, ledger);
        let in_doubt = self.family(run).iter().any(|one| !ledger.in_doubt(*one).is_empty());
        let is_corrected = self.runs.get(&run).is_some_and(|known| known.is_corrected);
        // A corrected fork reuses results of its source, so its effects do not show whether it is
        // complete.
        let has_effects = |effects: &BTreeSet<String>| match is_corrected {
            true => plain_all(effects).is_subset(&plain_all(&performed)),
            false => effects.is_subset(&performed),
        };
        let is_complete = |goal: &Goal| match goal {
            Goal::Rung(ladder, rung) => {
                let rung = &ladders[ladder].rungs[*rung];
                rung.rest.status.has_ended() && (has_effects(&rung.effects) || (is_corrected && ladder.fork.is_some()))
            }
            Goal::Cancelled(..) => false,
        };
        let Some(known) = self.runs.get_mut(&run) else { return Err(format!("the model does not know run {run}")) };
        let before = std::mem::take(&mut known.stages);
        let mut after = BTreeSet::new();
        for stage in &before {
            let committed = committed(deed, stage, ladders, is_complete);
            // A verb that concerns all runs skips the runs that it does not select.
            let is_refused = (committed.is_empty() && !(deed.run.is_none() && progress.refusal.is_none()))
                || progress.must_not_repeat;
            if progress.refusal.is_some() {
                after.extend((is_refused || deed.run.is_none()).then(|| stage.clone()));
                continue;
            }
            if (progress.crashed && !progress.committed) || (committed.is_empty() && !is_refused) {
                after.insert(stage.clone());
            }
            for stage in committed {
                let is_recovered = deed.open.contains(&run) && !progress.others_alive;
                let is_driven = (verb.drives() && deed.creates.is_none()) || is_recovered;
                // The process that parked the run may not know about the message, because the
                // sender crashed before notifying it.
                let is_unnoticed = *verb == Verb::Recover && matches!(stage, Stage::Toward(Goal::Cancelled(..)));
                if progress.crashed || !is_driven || is_unnoticed {
                    after.insert(stage.clone());
                }
                if is_driven {
                    after.extend(settled(verb, &stage, progress, in_doubt));
                }
                // The run is driven by the process that parked it or by one that recovers it.
                if matches!(verb, Verb::Recover | Verb::Signal | Verb::Cancel) {
                    after.extend(settled(verb, &stage, progress, in_doubt));
                }
                // The message may have been stored before the crash.
                if progress.crashed && *verb == Verb::ResumeAndCancel {
                    let on_its_way = cancelled(&stage).into_iter();
                    after.extend(on_its_way.flat_map(|stage| {
                        [Stage::At(stage.goal().expect("a cancelled run has a goal").clone()), stage]
                    }));
                }
            }
        }
        known.is_cancelled |= matches!(verb, Verb::Cancel | Verb::ResumeAndCancel);
        if let Some(edition) = verb.edition().filter(|_| progress.refusal.is_none() && !verb.forks()) {
            // A version that reverts a correction is itself a correction.
            known.is_corrected |= edition.is_corrected() || known.edition.is_corrected();
            known.edition = edition;
        }
        known.ladders.extend(after.iter().filter_map(Stage::goal).map(|goal| goal.ladder().clone()));
        known.stages = after;
        if !known.stages.is_empty() {
            return Ok(());
        }
        Err(match &progress.refusal {
            Some(refusal) => format!("{verb:?} was refused in the stages {before:?}: {refusal}"),
            None => format!("{verb:?} was accepted in the stages {before:?}"),
        })
    }

    /// Records that the latest export of `run` was imported, or may have been imported.
    fn import(&mut self, run: Uuid, progress: &Progress, ledger: &mut Ledger) -> Result<(), String> {
        let exported = self.exports[&run].clone();
        let before = self.runs.get(&run).map(|known| known.stages.clone()).unwrap_or_default();
        let (may_be_gone, may_exist) =
            (before.contains(&Stage::Gone), before.iter().any(|stage| *stage != Stage::Gone));
        let mut stages: BTreeSet<Stage> = before.clone();
        match &progress.refusal {
            Some(refusal) if !may_exist => return Err(format!("the import was refused: {refusal}")),
            Some(_) => drop(stages.remove(&Stage::Gone)),
            None if !may_be_gone => return Err("the import replaced an existing run".to_owned()),
            None => {
                if !progress.crashed || progress.committed {
                    stages.clear();
                }
                stages.extend(exported.stages.iter().cloned());
                if !may_exist {
                    // Sub-workflows that started after the export start again.
                    for id in self.family(run) {
                        ledger.set_account(id, exported.accounts.get(&id).cloned());
                    }
                }
            }
        }
        self.runs.insert(run, RunModel { stages, accounts: BTreeMap::new(), ..exported });
        Ok(())
    }

    /// Saves the current model of `run` for a later import.
    pub(super) fn keep_export(&mut self, run: Uuid, ledger: &Ledger) {
        let accounts = self.family(run).into_iter();
        let accounts = accounts.filter_map(|one| Some((one, ledger.account(one)?.clone()))).collect();
        let known = RunModel { accounts, ..self.runs[&run].clone() };
        self.exports.insert(run, known);
    }

    /// Returns `root` and its known sub-workflows.
    fn family(&self, root: Uuid) -> Vec<Uuid> {
        let children = self.children.iter().filter(|(_, (of, _))| *of == root).map(|(child, _)| *child);
        std::iter::once(root).chain(children).collect()
    }

    /// Adds the sub-workflows in `view`, which must be known before a deed is applied.
    pub(super) fn meet(&mut self, view: &View) {
        for (root, _) in view.roots() {
            for child in view.family(root) {
                if child != root {
                    self.children.insert(child, (root, view.runs[&child].workflow.clone()));
                }
            }
        }
    }

    /// Returns the effects of the family of `root`, as `WORKFLOW:PATH`.
    pub(super) fn performed(&self, root: Uuid, ledger: &Ledger) -> BTreeSet<String> {
        let Some(known) = self.runs.get(&root) else { return BTreeSet::new() };
        let children = self.children.iter().filter(|(_, (of, _))| *of == root);
        let names = children.map(|(child, (_, workflow))| (*child, workflow.as_str()));
        effects(ledger, std::iter::once((root, known.workflow.as_str())).chain(names))
    }

    /// Compares the model with `view`, drops the stages that `view` rules out, and returns all
    /// differences.
    pub(super) fn judge(&mut self, view: &View, ladders: &Ladders, ledger: &Ledger) -> Vec<String> {
        let mut problems = view.problems.clone();
        problems.extend(ledger.violations().iter().cloned());
        let mut newcomer = self.newcomer.take();
        let known: BTreeSet<Uuid> = self.runs.keys().copied().collect();
        for (id, seen) in view.roots().filter(|(id, _)| !known.contains(id)) {
            match newcomer.take() {
                Some(ladder) => {
                    let goals = first_goals(&ladder, ladders);
                    let stages = goals.into_iter().flat_map(|goal| [Stage::Toward(goal.clone()), Stage::At(goal)]);
                    let stages: Vec<Stage> = stages.collect();
                    self.runs.insert(id, RunModel::new(&seen.workflow, ladder, stages));
                }
                None => problems.push(format!("no verb created run {id} of {}", seen.workflow)),
            }
        }
        for run in ledger.runs() {
            if !self.runs.contains_key(&run) && !self.children.contains_key(&run) {
                problems.push(format!("run {run} had effects but does not exist"));
            }
        }
        let all: Vec<Uuid> = self.runs.keys().copied().collect();
        for id in all {
            let in_doubt = self.family(id).iter().any(|one| !ledger.in_doubt(*one).is_empty());
            let performed = self.performed(id, ledger);
            let known = self.runs.get_mut(&id).expect("the id is from the list");
            let before = known.stages.clone();
            let seen = view.runs.get(&id);
            known.stages.retain(|stage| is_seen(stage, seen, ladders, in_doubt));
            if known.stages.is_empty() {
                let shown = seen.map(|seen| format!("{:?}", seen.rest)).unwrap_or("gone".to_owned());
                problems.push(format!("run {id} of {} is {shown}; expected {before:?}", known.workflow));
                continue;
            }
            problems.extend(known.check_effects(ladders, &performed).map(|problem| format!("run {id} {problem}")));
        }
        problems
    }
}

/// Returns the points at which a newly created run may come to rest.
fn first_goals(ladder: &LadderId, ladders: &Ladders) -> Vec<Goal> {
    let is_corrected_fork = ladder.edition.is_corrected() && ladder.fork.is_some();
    let rungs = if is_corrected_fork { ladders[ladder].rungs.len() } else { 1 };
    (0..rungs).map(|rung| Goal::Rung(ladder.clone(), rung)).collect()
}
