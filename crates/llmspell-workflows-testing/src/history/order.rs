//! Finds steps and acknowledgements in an impossible order.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use super::{
    Effect, Observation, Recorded, Rule, Sequences, StoredRun, Violation, What, scope::Commands, sequence::are_siblings,
};

/// The work of one process in one run, in order.
#[derive(Default)]
struct Work<'h> {
    acknowledged: Vec<(&'h str, usize)>,
    /// The effects, each with the position of its start and, if it ended, of its end.
    effects: Vec<(&'h Effect, usize, Option<usize>)>,
}

/// The path of a step whose effect began, the start time in microseconds, and the position in the
/// history.
type TimedStep<'h> = (&'h str, u64, usize);

/// The declared sequences. Answers are cached because the same few steps are compared repeatedly.
struct Known<'h> {
    sequences: Sequences,
    answers: RefCell<HashMap<(&'h str, &'h str), bool>>,
}

impl<'h> Known<'h> {
    fn new(sequences: Sequences) -> Self {
        Self { sequences, answers: RefCell::default() }
    }

    fn precedes(&self, earlier: &'h str, later: &'h str) -> bool {
        let mut answers = self.answers.borrow_mut();
        *answers.entry((earlier, later)).or_insert_with(|| self.sequences.precedes(earlier, later))
    }
}

pub(super) fn violations(history: &[Observation]) -> Vec<Violation> {
    let commands = Commands::read(history);
    let declared = history.iter().filter_map(|observation| match &observation.what {
        What::Declared { sequences } => Some(sequences.0.iter().cloned()),
        _ => None,
    });
    let sequences = Known::new(Sequences(declared.flatten().collect()));
    let (mut found, mut work) = (Vec::new(), BTreeMap::<(&str, &str), Work<'_>>::new());
    let mut began_us: HashMap<(&str, &str), Vec<TimedStep<'_>>> = HashMap::new();
    for (at, observation) in history.iter().enumerate() {
        let process = observation.process.as_str();
        match &observation.what {
            What::StepCompleted { run, step } => {
                work.entry((process, run)).or_default().acknowledged.push((step, at));
            }
            What::EffectBegan(effect) => {
                work.entry((process, &effect.run)).or_default().effects.push((effect, at, None));
                if let Some(time) = observation.time_us {
                    let of_run = began_us.entry((commands.store(process), &effect.run)).or_default();
                    of_run.push((&effect.step, time, at));
                }
            }
            What::EffectEnded(effect) => {
                let effects = &mut work.entry((process, &effect.run)).or_default().effects;
                let open = effects.iter_mut().rfind(|(other, _, ended)| *other == effect && ended.is_none());
                open.into_iter().for_each(|(_, _, ended)| *ended = Some(at));
            }
            What::Found(run) => {
                let store = commands.store(process);
                let copy = commands.copy(process, &run.run);
                let began = began_us.get(&(store, run.run.as_str())).into_iter().flatten();
                // If the run may have been replaced in the meantime, its records say nothing about
                // the effect.
                let began = began.filter(|(_, _, began)| !commands.may_replace(&copy, *began, at)).copied();
                found.extend(in_records(&sequences, store, run, at));
                found.extend(before_records(&sequences, store, run, began, at));
            }
            _ => {}
        }
    }
    for ((process, run), work) in work {
        found.extend(in_process(&sequences, commands.store(process), run, &work));
    }
    found
}

/// Checks the order of one process's acknowledgements, and the order of its effects.
fn in_process<'h>(sequences: &Known<'h>, store: &str, run: &str, work: &Work<'h>) -> Vec<Violation> {
    let violation = |rule, step: &str, observations| Violation {
        rule,
        store: store.to_owned(),
        run: run.to_owned(),
        step: Some(step.to_owned()),
        observations,
        records: Vec::new(),
    };
    let mut found = Vec::new();
    for (nth, (step, at)) in work.acknowledged.iter().enumerate() {
        let before = work.acknowledged[..nth].iter().filter(|(before, _)| sequences.precedes(step, before));
        found.extend(before.map(|(_, before)| violation(Rule::AcknowledgedOutOfOrder, step, vec![*before, *at])));
    }
    for (effect, at, _) in &work.effects {
        // An effect that was killed never ends and proves nothing.
        let open = work.effects.iter().filter_map(|(other, began, ended)| {
            let ended = ended.filter(|ended| began < at && at < ended)?;
            sequences.precedes(&other.step, &effect.step).then_some((*began, ended))
        });
        found.extend(open.map(|(began, ended)| violation(Rule::EffectTooEarly, &effect.step, vec![began, *at, ended])));
    }
    found
}

/// Compares the records of a run with each other. Steps that ran before and after a rewind are not compared.
fn in_records<'h>(sequences: &Known<'h>, store: &str, run: &'h StoredRun, at: usize) -> Vec<Violation> {
    let mut found = Vec::new();
    for part in run.records.split(|record| matches!(record.what, Recorded::Rewound { .. })) {
        let (mut began, mut ended) = (Vec::<(&str, usize)>::new(), HashMap::<&str, usize>::new());
        for (position, record) in part.iter().enumerate() {
            match &record.what {
                // An interrupted step begins again, but its predecessors ended before it first
                // began.
                Recorded::Began { step } if began.iter().all(|(other, _)| other != step) => {
                    began.push((step, position))
                }
                Recorded::Ended { step, .. } => drop(ended.entry(step).or_insert(position)),
                Recorded::Began { .. } | Recorded::Rewound { .. } => {}
            }
        }
        for (step, position) in &began {
            for (earlier, began) in began.iter().filter(|(earlier, _)| sequences.precedes(earlier, step)) {
                let is_proof = match ended.get(earlier) {
                    Some(end) => end > position,
                    // A step inside a block may have been abandoned with the block.
                    None => began < position && are_siblings(earlier, step),
                };
                if is_proof {
                    found.push(Violation {
                        rule: Rule::BeganTooEarly,
                        store: store.to_owned(),
                        run: run.run.clone(),
                        step: Some((*step).to_owned()),
                        observations: vec![at],
                        records: [Some(began), Some(position), ended.get(earlier)]
                            .into_iter()
                            .flatten()
                            .map(|position| part[*position].number)
                            .collect(),
                    });
                }
            }
        }
    }
    found
}

/// Compares the start times of effects with the times of records, but only for runs that were never
/// rewound.
fn before_records<'h>(
    sequences: &Known<'h>,
    store: &str,
    run: &'h StoredRun,
    began: impl Iterator<Item = TimedStep<'h>>,
    at: usize,
) -> Vec<Violation> {
    let is_rewound = run.records.iter().any(|record| matches!(record.what, Recorded::Rewound { .. }));
    let Some(started_us) = run.started_us.filter(|_| !is_rewound) else { return Vec::new() };
    let ends = run.records.iter().filter_map(|record| match &record.what {
        Recorded::Ended { step, .. } => Some((step, started_us + record.time_us?, record.number)),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    let mut found = Vec::new();
    for (step, time, began) in began {
        for (_, _, number) in ends.iter().filter(|(earlier, end, _)| *end > time && sequences.precedes(earlier, step)) {
            found.push(Violation {
                rule: Rule::EffectTooEarly,
                store: store.to_owned(),
                run: run.run.clone(),
                step: Some(step.to_owned()),
                observations: vec![began, at],
                records: vec![*number],
            });
        }
    }
    found
}
