use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    RunStatus, StepError,
    engine::{Attempt, Decision},
};
use uuid::Uuid;

use crate::{
    End, Record, Started,
    store::{RunError, RunSummary},
};

impl RunSummary {
    /// What a list says of `run`, out of its records; `None`: it was never started.
    ///
    /// A run that has not ended and waits for nothing is running where a process, `owner`, has it, else paused.
    #[must_use]
    pub fn of(run: Uuid, records: &[Record], owner: Option<&str>) -> Option<Self> {
        let started = Started::of(records)?;
        let mut summary = Self {
            id: run,
            workflow: started.workflow,
            version: started.version,
            definition: started.definition,
            status: if owner.is_some() { RunStatus::Running } else { RunStatus::Paused },
            started_at: started.at,
            updated_at: started.at,
            ended_at: None,
            wake_at: None,
            error: None,
            parent: started.parent.map(|parent| parent.run),
            labels: started.labels,
            owner: owner.map(str::to_owned),
        };
        match end(records) {
            Some((end, at, compensated)) => {
                (summary.status, summary.error) = ended(end);
                if compensated {
                    summary.status = RunStatus::Compensated;
                }
                (summary.ended_at, summary.updated_at) = (Some(at), at);
            }
            None => {
                let waits = Waits::of(records);
                if let Some(error) = waits.stuck.values().next() {
                    summary.status = RunStatus::Stuck;
                    summary.error = Some(RunError { code: error.code.to_string(), message: error.message.clone() });
                } else if waits.at_work.is_empty() && !waits.until.is_empty() {
                    summary.status = RunStatus::Waiting;
                    summary.wake_at = waits.until.values().filter_map(|until| *until).min();
                }
            }
        }
        Some(summary)
    }
}

/// How the run ended, if it has.
fn end(records: &[Record]) -> Option<(&End, Timestamp, bool)> {
    match records.iter().rev().find(|record| matches!(record, Record::Closed { .. } | Record::Rewound(_)))? {
        Record::Closed { end, at, compensated } => Some((end, *at, *compensated)),
        _ => None,
    }
}

fn ended(end: &End) -> (RunStatus, Option<RunError>) {
    match end {
        End::Completed { .. } | End::Skipped(_) => (RunStatus::Completed, None),
        End::Cancelled(_) => (RunStatus::Cancelled, None),
        End::Failed(failure) => {
            let error = &failure.error;
            (RunStatus::Failed, Some(RunError { code: error.code.to_string(), message: error.message.clone() }))
        }
    }
}

/// Which leaves are at work, and until when others wait.
#[derive(Default)]
struct Waits<'r> {
    at_work: HashSet<&'r str>,
    until: HashMap<&'r str, Option<Timestamp>>,
    stuck: BTreeMap<&'r str, &'r StepError>,
}

impl<'r> Waits<'r> {
    fn of(records: &'r [Record]) -> Self {
        let mut waits = Self::default();
        for record in records {
            if let Record::Rewound(rewound) = record {
                let goes_on = |path: &str| {
                    let entry = path.rsplit_once('~').map_or(path, |(entry, _)| entry);
                    rewound.reopened.iter().any(|other| other == path)
                        || rewound.reentered.iter().any(|(other, _)| other == path || other == entry)
                };
                waits.stuck.retain(|path, _| !goes_on(path));
            }
            let Some(path) = record.path() else { continue };
            match record {
                Record::Stuck { error, .. } => {
                    waits.stuck.insert(path, error);
                }
                Record::Began { .. } => {
                    waits.at_work.insert(path);
                }
                Record::Stopped { .. } => {
                    waits.at_work.remove(path);
                }
                Record::Ended { .. } => {
                    waits.stuck.remove(path);
                    waits.at_work.remove(path);
                    waits.until.remove(path);
                }
                Record::Decided { decision: Decision::Awaits(awaited), .. } => {
                    waits.until.insert(path, awaited.until);
                }
                Record::Decided { decision: Decision::Attempt(Attempt::Failed { wake_at, .. }), .. } => {
                    waits.at_work.remove(path);
                    waits.until.insert(path, Some(*wake_at));
                }
                Record::Decided { decision: Decision::Received(_), .. } => {
                    waits.until.remove(path);
                }
                _ => {}
            }
        }
        waits
    }
}
