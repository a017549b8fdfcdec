use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{
    EngineBuilder, StepError,
    activity::{ActivityContext, ActivityOutput},
    model::Definition,
};
use llmspell_workflows_state::{Journal, store::Stores};
use serde_json::Value;

use super::{
    Difference,
    cast::{Cast, Correction, Role},
    climb::Atlas,
    lab::Lab,
    ladder::{Edition, LadderId},
    ledger::bare,
    sequence::Sequence,
    situation::situations,
    stage::{Goal, Stage},
    verb::{Correcting, Deed, How, Verb},
};
use crate::crash::SeededRandom;

/// The assumed number of boundaries of a verb that has not been tried yet.
const BOUNDARIES: u64 = 60;

/// A test that crashes the verbs that change runs; see [the module](super).
#[derive(Clone, Default)]
pub struct VerbTest {
    cast: Cast,
}

/// A summary of a verb test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerbReport {
    /// The number of sequences of verbs, each performed on its own home.
    pub sequences: u64,
    /// The number of verbs, including refused ones.
    pub verbs: u64,
    /// The number of processes that crashed.
    pub crashes: u64,
}

impl VerbReport {
    pub(super) fn add(&mut self, other: Self) {
        self.sequences += other.sequences;
        self.verbs += other.verbs;
        self.crashes += other.crashes;
    }
}

impl VerbTest {
    /// Creates a test without workflows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workflow, whose name must differ from the names of the other workflows, and the input
    /// of its runs.
    #[must_use]
    pub fn workflow(mut self, definition: Definition, input: Value) -> Self {
        self.cast.roles.push(Role { definition: Arc::new(definition), input, next: None, corrections: Vec::new() });
        self
    }

    /// Allows runs of the workflow added last to continue with another definition, which must have
    /// the same name and contain all steps of the original.
    ///
    /// # Panics
    /// Panics if no workflow was added, or if the name is different.
    #[must_use]
    pub fn continues_with(mut self, definition: Definition) -> Self {
        let role = self.cast.roles.last_mut().expect("a workflow was added");
        assert_eq!(role.definition.name, definition.name, "both definitions have the same name");
        role.next = Some(Arc::new(definition));
        self
    }

    /// Allows runs of the workflow added last to continue under a corrected definition, which must
    /// have the same name.
    ///
    /// `unchanged` contains the paths of those steps of the original definition that have not
    /// changed and follow no changed step. The results of these steps must be kept. `kept` is a
    /// changed step. If its result is kept nevertheless, the run must end as it would under the
    /// original definition.
    ///
    /// # Panics
    /// Panics if no workflow was added, or if the name is different.
    #[must_use]
    pub fn corrected_to<'p>(
        mut self,
        definition: Definition,
        unchanged: impl IntoIterator<Item = &'p str>,
        kept: Option<&str>,
    ) -> Self {
        let role = self.cast.roles.last_mut().expect("a workflow was added");
        assert_eq!(role.definition.name, definition.name, "both definitions have the same name");
        let unchanged = unchanged.into_iter().map(str::to_owned).collect();
        let kept = kept.map(str::to_owned);
        role.corrections.push(Correction { definition: Arc::new(definition), unchanged, kept });
        self
    }

    /// Registers the activity `name` of `kind`. Its result must depend only on its input and on the path of its step.
    #[must_use]
    pub fn activity<F, Fut>(mut self, kind: &str, name: &str, perform: F) -> Self
    where
        F: Fn(ActivityContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActivityOutput, StepError>> + Send + 'static,
    {
        self.cast.register(kind, name, perform);
        self
    }

    /// Sends the signal `name` with `data` to runs that wait for it. A run must not wait for the same signal twice.
    #[must_use]
    pub fn signal(mut self, name: &str, data: Value) -> Self {
        self.cast.signals.insert(name.to_owned(), data);
        self
    }

    /// Configures the engine of each process with `configure`.
    #[must_use]
    pub fn engine(mut self, configure: impl Fn(EngineBuilder) -> EngineBuilder + Send + Sync + 'static) -> Self {
        self.cast.configure = Arc::new(configure);
        self
    }

    /// Wraps each journal that a process leases, below the boundaries at which the process may crash.
    #[must_use]
    pub fn journal(mut self, wrap: impl Fn(Arc<dyn Journal>) -> Arc<dyn Journal> + Send + Sync + 'static) -> Self {
        self.cast.wraps.journal = Arc::new(wrap);
        self
    }

    /// Wraps the stores of each process, below the boundaries at which the process may crash.
    #[must_use]
    pub fn stores(mut self, wrap: impl Fn(Stores) -> Stores + Send + Sync + 'static) -> Self {
        self.cast.wraps.stores = Arc::new(wrap);
        self
    }

    #[cfg(test)]
    pub(super) fn cast(&self) -> &Cast {
        &self.cast
    }

    /// Crashes each verb in each situation at every boundary.
    ///
    /// # Errors
    /// Returns an error as soon as a crash harms a run.
    pub fn verbs_everywhere(&self) -> Result<VerbReport, Difference> {
        self.verbs_at(1, 0)
    }

    /// Does the same as [`Self::verbs_everywhere`], but only at one in `stride` boundaries, chosen
    /// by `seed`. Each crashed verb is repeated and followed by a random verb.
    ///
    /// # Errors
    /// Returns an error as soon as a crash harms a run.
    pub fn verbs_at(&self, stride: u64, seed: u64) -> Result<VerbReport, Difference> {
        let (mut report, mut atlas, mut random) = (VerbReport::default(), Atlas::default(), SeededRandom::new(seed));
        let (stride, mut lengths) = (stride.max(1), BTreeMap::<&str, u64>::new());
        let mut number = random.below(stride);
        for role in 0..self.cast.roles.len() {
            for situation in situations(&self.cast, role, &mut atlas)? {
                for deed in deeds(&situation.lab, situation.run, &mut atlas)? {
                    let expected = *lengths.get(deed.verb.name()).unwrap_or(&BOUNDARIES);
                    let next = stride - number % stride;
                    if next > expected {
                        // None of the boundaries is chosen, so they need not be counted.
                        number += expected;
                        continue;
                    }
                    let lab = match deed.verb {
                        Verb::Import => importing(&situation.lab, &deed, &mut atlas)?,
                        _ => situation.lab.copy()?,
                    };
                    let boundaries = lab.copy()?.act(0, deed.clone(), None, &mut atlas)?;
                    let longest = lengths.entry(deed.verb.name()).or_default();
                    *longest = boundaries.max(*longest);
                    for boundary in 0..boundaries {
                        number += 1;
                        if !number.is_multiple_of(stride) {
                            continue;
                        }
                        let mut lab = lab.copy()?;
                        let tried = crash_once(&mut lab, &deed, boundary, &mut atlas, &mut random);
                        tried.map_err(|difference| Difference::new(format!("{}: {difference}", situation.name)))?;
                        report.add(VerbReport { sequences: 1, ..lab.report });
                    }
                }
            }
        }
        Ok(report)
    }

    /// Tries `count` random sequences of verbs on a home with several runs and processes. About
    /// half of the verbs crash at a random boundary.
    ///
    /// Sequence `n` is determined by `seed + n`, so a single sequence can be repeated.
    ///
    /// # Errors
    /// Returns an error as soon as a crash harms a run. The error names the seed of the sequence.
    pub fn verbs_anywhere(&self, count: u64, seed: u64) -> Result<VerbReport, Difference> {
        let (mut report, mut atlas) = (VerbReport::default(), Atlas::default());
        for number in 0..count {
            let seed = seed.wrapping_add(number);
            let tried = Sequence::new(&self.cast, seed)?.run(&mut atlas);
            report.add(tried.map_err(|difference| Difference::new(format!("seed {seed}: {difference}")))?);
        }
        Ok(report)
    }
}

/// Crashes `deed` at `boundary`, repeats the deed, performs another deed, and brings all runs to
/// their final states.
fn crash_once(
    lab: &mut Lab<'_>,
    deed: &Deed,
    boundary: u64,
    atlas: &mut Atlas,
    random: &mut SeededRandom,
) -> Result<(), Difference> {
    lab.act(0, deed.clone(), Some(boundary), atlas)?;
    lab.act(0, deed.clone(), None, atlas)?;
    let run = deed.run.or_else(|| lab.view.roots().next().map(|(id, _)| id));
    if let Some(run) = run {
        let others = deeds(lab, run, atlas)?;
        if !others.is_empty() {
            let other = others[random.below(others.len() as u64) as usize].clone();
            if lab.model.permits(&other, atlas.ladders()) {
                lab.act(1, other, None, atlas).map(drop)?;
            }
        }
    }
    lab.finish(atlas)
}

/// Returns a lab with an empty home into which the run of `deed` can be imported.
fn importing<'c>(lab: &Lab<'c>, deed: &Deed, atlas: &mut Atlas) -> Result<Lab<'c>, Difference> {
    let mut source = lab.copy()?;
    source.act(0, Deed { verb: Verb::Export, ..deed.clone() }, None, atlas)?;
    source.elsewhere()
}

/// Returns the deeds that apply to `run`.
pub(super) fn deeds(lab: &Lab<'_>, run: uuid::Uuid, atlas: &mut Atlas) -> Result<Vec<Deed>, Difference> {
    let Some(known) = lab.model.runs.get(&run) else { return Ok(Vec::new()) };
    let (workflow, stage) = (known.workflow.clone(), known.stages.first().cloned());
    let role = lab.cast.roles.iter().position(|role| role.definition.name == workflow);
    let role = role.expect("the workflow is in the cast");
    let new = |verb: Verb| Deed::new(verb, Some(run), &workflow);
    let mut deeds: Vec<Deed> = [
        Verb::Resume,
        Verb::ResumeAndPause,
        Verb::ResumeAndCancel,
        Verb::Retry,
        Verb::Cancel,
        Verb::Resolve,
        Verb::RunAgain,
        Verb::Export,
        Verb::Delete,
    ]
    .map(new)
    .into();
    deeds.extend([Verb::Prune, Verb::Compact, Verb::BackUp, Verb::Recover].map(|verb| Deed { run: None, ..new(verb) }));
    // A rerun has the latest definition of its source.
    if let Some(goal) = known.stages.first().and_then(Stage::goal)
        && known.has_known_definition()
    {
        let creates = Some(LadderId { edition: goal.ladder().edition, ..LadderId::of(role) });
        deeds.push(Deed { creates, ..new(Verb::Rerun) });
    }
    deeds.push(Deed { run: None, ..lab.start(role) });
    if lab.cast.roles[role].next.is_some() {
        deeds.push(new(Verb::Migrate));
    }
    let was_corrected = known.editions().iter().any(|edition| *edition != Edition::Original);
    for (number, correction) in lab.cast.roles[role].corrections.iter().enumerate() {
        let is_kept = |path: &&String| !was_corrected && lab.is_certain(run, path);
        for keep in [None].into_iter().chain(correction.kept.as_ref().filter(is_kept).map(Some)) {
            for how in [How::Resume, How::Retry] {
                deeds.push(new(Verb::Correct(Correcting { how, number, keep: keep.cloned() })));
            }
        }
    }
    if let Some((ladder, rung)) = stage.as_ref().and_then(Stage::rung) {
        let ladder_of = atlas.find(lab.cast, ladder)?.clone();
        if let Some(name) = ladder_of.signal_at(rung)
            && matches!(stage, Some(Stage::At(_)))
        {
            let data = lab.cast.signals.get(name).cloned().unwrap_or_default();
            deeds.push(Deed { signal: Some((name.to_owned(), data)), ..new(Verb::Signal) });
        }
        let rests = matches!(known.stage(), Some(Stage::At(Goal::Rung(..))));
        if rests && *ladder == LadderId::of(role) && known.has_known_definition() {
            let own = format!("{workflow}:");
            let paths = ladder_of.rungs[rung].effects.iter().filter_map(|effect| effect.strip_prefix(&own));
            for from in paths.filter(|path| !path.contains('$')) {
                let creates = Some(LadderId { fork: Some((rung, from.to_owned())), ..ladder.clone() });
                deeds.push(Deed { creates, ..new(Verb::Fork { from: from.to_owned() }) });
                for number in 0..lab.cast.roles[role].corrections.len() {
                    let edition = Edition::Corrected(number);
                    let corrected = atlas.find(lab.cast, &LadderId { edition, ..LadderId::of(role) })?;
                    let effects = corrected.rungs.iter().flat_map(|rung| &rung.effects);
                    let mut paths = effects.filter_map(|effect| effect.strip_prefix(&own));
                    if paths.any(|path| bare(path) == bare(from)) {
                        let creates = Some(LadderId { edition, fork: Some((rung, from.to_owned())), role });
                        let how = How::Fork { from: from.to_owned() };
                        deeds.push(Deed { creates, ..new(Verb::Correct(Correcting { how, number, keep: None })) });
                    }
                }
            }
        }
    }
    for deed in &mut deeds {
        lab.equip(deed, atlas);
        for ladder in lab.ladders_of(deed) {
            atlas.find(lab.cast, &ladder)?;
        }
    }
    deeds.retain(|deed| lab.model.permits(deed, atlas.ladders()));
    deeds.push(new(Verb::Import));
    Ok(deeds)
}
