use super::{
    Difference, VerbReport,
    cast::Cast,
    climb::Atlas,
    lab::{Lab, SLOTS},
    stage::Stage,
    test::deeds,
    verb::{Deed, Verb},
};
use crate::crash::SeededRandom;

/// The number of boundaries among which the crash is chosen.
const BOUNDARIES: u64 = 60;

/// A random sequence of verbs on one home.
pub(super) struct Sequence<'c> {
    lab: Lab<'c>,
    random: SeededRandom,
}

impl<'c> Sequence<'c> {
    pub(super) fn new(cast: &'c Cast, seed: u64) -> Result<Self, Difference> {
        Ok(Self { lab: Lab::new(cast)?, random: SeededRandom::new(seed) })
    }

    /// Performs 5 to 12 verbs and then brings all runs to their final states.
    pub(super) fn run(mut self, atlas: &mut Atlas) -> Result<VerbReport, Difference> {
        let length = 5 + self.random.below(8);
        for number in 0..length {
            let slot = self.random.below(SLOTS as u64) as usize;
            if self.random.below(3) == 0 {
                self.lab.exit(slot);
            }
            if self.random.below(20) == 0 && self.lab.restore() {
                continue;
            }
            let deed = self.choose(number < 2, atlas)?;
            if matches!(deed.verb, Verb::Delete | Verb::Prune | Verb::Compact) && self.random.below(3) > 0 {
                // These verbs skip the journals of live processes, so all processes exit first.
                self.lab.exit_all();
            }
            let crash_at = match self.random.below(2) {
                0 => Some(self.random.below(BOUNDARIES)),
                _ => None,
            };
            self.lab.act(slot, deed, crash_at, atlas)?;
        }
        self.lab.finish(atlas)?;
        Ok(VerbReport { sequences: 1, ..self.lab.report })
    }

    /// Chooses a verb and then one of the runs to which it applies.
    fn choose(&mut self, is_first: bool, atlas: &mut Atlas) -> Result<Deed, Difference> {
        let role = self.random.below(self.lab.cast.roles.len() as u64) as usize;
        let mut all: Vec<(&'static str, Vec<Deed>)> = Vec::new();
        let mut add = |deed: Deed| {
            let name = deed.verb.name();
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, deeds)) => deeds.push(deed),
                None => all.push((name, vec![deed])),
            }
        };
        add(self.lab.start(role));
        let runs: Vec<_> = self.lab.model.runs.keys().copied().filter(|_| !is_first).collect();
        for run in runs {
            let is_gone = self.lab.model.runs[&run].stage() == Some(&Stage::Gone);
            let is_exported = self.lab.model.exports.contains_key(&run);
            let fitting = deeds(&self.lab, run, atlas)?;
            fitting.into_iter().filter(|deed| deed.verb != Verb::Import || (is_exported && is_gone)).for_each(&mut add);
        }
        let (_, deeds) = &all[self.random.below(all.len() as u64) as usize];
        Ok(deeds[self.random.below(deeds.len() as u64) as usize].clone())
    }
}
