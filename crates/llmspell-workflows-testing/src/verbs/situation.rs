use llmspell_workflows_basic::RunStatus;
use uuid::Uuid;

use super::{
    Difference,
    cast::Cast,
    climb::Atlas,
    lab::Lab,
    ladder::LadderId,
    stage::{Goal, Stage},
    verb::{Deed, Verb},
};

/// The maximum number of deeds needed to bring all runs of a home to their final states.
const DEEDS_MAX: usize = 60;

/// A home on which the verbs are tried, and the run that they concern.
pub(super) struct Situation<'c> {
    pub(super) name: String,
    pub(super) lab: Lab<'c>,
    pub(super) run: Uuid,
}

/// Returns all situations that a run of the workflow `role` can be in.
pub(super) fn situations<'c>(cast: &'c Cast, role: usize, atlas: &mut Atlas) -> Result<Vec<Situation<'c>>, Difference> {
    let mut all = Vec::new();
    for has_neighbor in [false, true] {
        let begin = |atlas: &mut Atlas| -> Result<Lab<'c>, Difference> {
            let mut lab = Lab::new(cast)?;
            if has_neighbor {
                let neighbor = neighbor(cast, role, atlas)?;
                lab.act(0, lab.start(neighbor), None, atlas)?;
            }
            Ok(lab)
        };
        let beside = if has_neighbor { ", in a journal with another run" } else { "" };
        let named = |what: &str| format!("{} {what}{beside}", cast.roles[role].definition.name);
        let mut lab = begin(atlas)?;
        let run = lab.create(role, None, atlas)?.expect("the process does not crash");
        loop {
            let stage = lab.model.runs[&run].stages.first().cloned();
            let (ladder, rung) = stage.as_ref().and_then(Stage::rung).expect("a run without a crash rests at a rung");
            let rest = atlas.ladders()[ladder].rungs[rung].rest.status;
            let mut copy = lab.copy_after_exit()?;
            if rest.has_ended() {
                copy.act(0, Deed::new(Verb::Compact, None, lab.name(role)), None, atlas)?;
                copy.exit_all();
                all.push(Situation { name: named(&format!("{rest}, in the archive")), lab: copy, run });
            }
            all.push(Situation { name: named(rest.as_str()), lab: lab.copy_after_exit()?, run });
            let Some(deed) = lab.next_deed(run, atlas) else { break };
            lab.act(0, deed, None, atlas)?;
            if !lab.view.runs[&run].status.has_ended() {
                lab.act(0, Deed::new(Verb::Resume, Some(run), lab.name(role)), None, atlas)?;
            }
        }
        let whole = begin(atlas)?.act_once(role, atlas)?;
        // Finds the first crash after the run was recorded, a crash halfway, and a crash that
        // leaves the outcome of an effect unknown.
        let (mut is_begun, mut is_halfway, mut is_stuck) = (false, false, false);
        for boundary in 0..whole {
            if is_begun && (is_halfway || boundary < whole / 2) && (is_stuck || cast.once().is_empty()) {
                continue;
            }
            let mut lab = begin(atlas)?;
            let Some(run) = lab.create(role, Some(boundary), atlas)? else { continue };
            if lab.view.runs[&run].status.has_ended() {
                continue;
            }
            if !is_begun {
                is_begun = true;
                let mut paused = lab.copy_after_exit()?;
                paused.act(0, Deed::new(Verb::ResumeAndPause, Some(run), lab.name(role)), None, atlas)?;
                if paused.view.runs[&run].status == RunStatus::Paused {
                    all.push(Situation { name: named("paused"), lab: paused.copy_after_exit()?, run });
                }
                all.push(Situation { name: named("just begun"), lab: lab.copy_after_exit()?, run });
            } else if !is_halfway && boundary >= whole / 2 {
                is_halfway = true;
                all.push(Situation { name: named("interrupted"), lab: lab.copy_after_exit()?, run });
            }
            if !is_stuck && lab.is_in_doubt(run) {
                is_stuck = true;
                lab.act(0, Deed::new(Verb::Resume, Some(run), lab.name(role)), None, atlas)?;
                all.push(Situation { name: named("stuck"), lab: lab.copy_after_exit()?, run });
            }
        }
    }
    Ok(all)
}

/// Returns a waiting workflow, or the workflow itself if there is none.
fn neighbor(cast: &Cast, role: usize, atlas: &mut Atlas) -> Result<usize, Difference> {
    for other in 0..cast.roles.len() {
        if atlas.find(cast, &LadderId::of(other))?.rungs[0].rest.status == RunStatus::Waiting {
            return Ok(other);
        }
    }
    Ok(role)
}

impl Lab<'_> {
    pub(super) fn name(&self, role: usize) -> &str {
        &self.cast.roles[role].definition.name
    }

    /// Returns the deed that starts a run of the workflow `role`.
    pub(super) fn start(&self, role: usize) -> Deed {
        Deed { creates: Some(LadderId::of(role)), ..Deed::new(Verb::Start, None, self.name(role)) }
    }

    /// Starts a run and returns it if it exists.
    fn create(&mut self, role: usize, crash_at: Option<u64>, atlas: &mut Atlas) -> Result<Option<Uuid>, Difference> {
        let known: Vec<Uuid> = self.model.runs.keys().copied().collect();
        self.act(0, self.start(role), crash_at, atlas)?;
        Ok(self.view.roots().map(|(id, _)| id).find(|id| !known.contains(id)))
    }

    /// Starts a run without a crash; returns the number of boundaries.
    fn act_once(mut self, role: usize, atlas: &mut Atlas) -> Result<u64, Difference> {
        self.act(0, self.start(role), None, atlas)
    }

    fn copy_after_exit(&mut self) -> Result<Self, Difference> {
        self.exit_all();
        self.copy()
    }

    /// Returns the deed that brings `run` closer to its final state; `None` if the run is already
    /// there.
    pub(super) fn next_deed(&self, run: Uuid, atlas: &Atlas) -> Option<Deed> {
        let (known, seen) = (&self.model.runs[&run], self.view.runs.get(&run)?);
        let deed = |verb| Deed::new(verb, Some(run), &known.workflow);
        let resting = known.stages.first().filter(|_| known.stages.iter().all(|stage| matches!(stage, Stage::At(_))));
        match (seen.status, resting) {
            (RunStatus::Stuck, _) => self.stuck(run, atlas).map(|_| deed(Verb::Resolve)),
            (RunStatus::Failed, Some(Stage::At(Goal::Rung(ladder, rung)))) => {
                atlas.ladders()[ladder].is_retried_at(*rung).then(|| deed(Verb::Retry))
            }
            (status, _) if status.has_ended() => None,
            (_, Some(Stage::At(Goal::Rung(ladder, rung)))) => {
                let name = atlas.ladders()[ladder].signal_at(*rung)?.to_owned();
                let data = self.cast.signals.get(&name)?.clone();
                Some(Deed { signal: Some((name, data)), ..deed(Verb::Signal) })
            }
            _ => Some(deed(Verb::Resume)),
        }
    }

    /// Brings all runs to their final states, without crashes.
    pub(super) fn finish(&mut self, atlas: &mut Atlas) -> Result<(), Difference> {
        self.exit_all();
        for _ in 0..DEEDS_MAX {
            let roots: Vec<Uuid> = self.view.roots().map(|(id, _)| id).collect();
            let Some(deed) = roots.into_iter().find_map(|run| self.next_deed(run, atlas)) else { return Ok(()) };
            self.act(0, deed, None, atlas)?;
        }
        Err(self.fail(format!("the runs did not reach their final states within {DEEDS_MAX} verbs")))
    }
}
