//! The effects that runs may have, and the effects that they must have.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    ladder::LadderId,
    ledger::{Ledger, bare},
    model::{Ladders, RunModel},
    stage::{Goal, Stage},
};

impl RunModel {
    /// Checks that a run had only the effects of its ladders, and that no effect is missing.
    pub(super) fn check_effects(&self, ladders: &Ladders, performed: &BTreeSet<String>) -> Option<String> {
        let rungs = self.stages.iter().filter_map(Stage::goal).map(|goal| match goal {
            Goal::Rung(_, rung) | Goal::Cancelled(_, rung) => *rung,
        });
        let highest = rungs.max()?;
        if self.is_corrected {
            return self.check_corrected(ladders, performed);
        }
        let mut allowed = BTreeSet::new();
        for ladder in &self.ladders {
            let ladder = &ladders[ladder];
            allowed.extend(ladder.rungs.iter().take(highest + 1).flat_map(|rung| &rung.effects));
            allowed.extend(ladder.cleanup.iter().filter(|_| self.is_cancelled));
        }
        if let Some(other) = performed.iter().find(|effect| !allowed.contains(effect)) {
            return Some(format!("executed {other}, which an uninterrupted run does not execute"));
        }
        let Some(Stage::At(Goal::Rung(ladder, rung))) = self.stage() else { return None };
        let missing = ladders[ladder].rungs[*rung].effects.iter().find(|effect| !performed.contains(*effect));
        missing.map(|effect| format!("stopped without executing {effect}"))
    }
}

impl RunModel {
    /// Performs the same check for a run that has continued under a corrected definition, in which
    /// steps run again.
    fn check_corrected(&self, ladders: &Ladders, performed: &BTreeSet<String>) -> Option<String> {
        let performed = plain_all(performed);
        let effects = |ladder: &LadderId| ladders[ladder].rungs.iter().flat_map(|rung| &rung.effects);
        let cleanup = |ladder: &LadderId| ladders[ladder].cleanup.iter().filter(|_| self.is_cancelled);
        let allowed = self.ladders.iter().flat_map(|ladder| effects(ladder).chain(cleanup(ladder)));
        let allowed: BTreeSet<String> = allowed.map(|effect| plain(effect)).collect();
        if let Some(other) = performed.iter().find(|effect| !allowed.contains(*effect)) {
            return Some(format!("executed {other}, which no run under any of its definitions executes"));
        }
        let Some(Stage::At(Goal::Rung(ladder, rung))) = self.stage() else { return None };
        // A fork does not execute steps whose results it reuses.
        let expected = ladders[ladder].rungs[*rung].effects.iter().filter(|_| ladder.fork.is_none());
        let missing = expected.map(|effect| plain(effect)).find(|effect| !performed.contains(effect));
        missing.map(|effect| format!("stopped without executing {effect}"))
    }
}

/// Returns an effect without the generations in its path.
fn plain(effect: &str) -> String {
    let (workflow, path) = effect.split_once(':').unwrap_or(("", effect));
    format!("{workflow}:{}", bare(path))
}

pub(super) fn plain_all(effects: &BTreeSet<String>) -> BTreeSet<String> {
    effects.iter().map(|effect| plain(effect)).collect()
}

/// Returns the effects of these runs, as `WORKFLOW:PATH`; the path of an at-most-once step has no
/// generation, because running the step again manually adds a generation.
pub(super) fn effects<'n>(ledger: &Ledger, runs: impl IntoIterator<Item = (Uuid, &'n str)>) -> BTreeSet<String> {
    let mut effects = BTreeSet::new();
    for (run, workflow) in runs {
        for path in ledger.account(run).into_iter().flat_map(|account| account.performed.keys()) {
            let path = match path.rsplit_once('~') {
                Some((first, generation)) if ledger.runs_once(path) && !generation.contains('/') => first,
                _ => path,
            };
            effects.insert(format!("{workflow}:{path}"));
        }
    }
    effects
}
