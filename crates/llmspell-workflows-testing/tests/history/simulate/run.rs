//! A run of the simulated program.

use llmspell_workflows_testing::history::{Recorded, Sequences, StoredRecord, StoredRun};

/// The steps of every run, in stages; the steps of a stage run in parallel.
pub(super) const STAGES: [&[&str]; 6] = [
    &["/main/a"],
    &["/main/each[0]/x"],
    &["/main/each[0]/y"],
    &["/main/each[1]/x"],
    &["/main/both/left", "/main/both/right"],
    &["/main/b"],
];

/// Returns the order of the steps in [`STAGES`].
pub(crate) fn sequences() -> Sequences {
    let list = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect();
    Sequences(vec![
        list(&["/main/a", "/main/each[*]", "/main/both", "/main/b"]),
        list(&["/main/each[*]/x", "/main/each[*]/y"]),
    ])
}

#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    pub(super) started_us: u64,
    pub(super) status: String,
    pub(super) records: Vec<StoredRecord>,
    /// The current stage, and the generation of the last step.
    pub(super) stage: usize,
    pub(super) generation: u32,
    pub(super) attempts: u64,
    /// The process that drives the run.
    pub(super) holder: Option<String>,
    pub(super) stops: Option<&'static str>,
}

impl Run {
    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.status, "running" | "paused")
    }

    pub(super) fn record(&mut self, time_us: u64, what: Recorded) {
        let number = self.records.len() as u64;
        self.records.push(StoredRecord { number, time_us: Some(time_us - self.started_us), what });
    }

    /// Returns the uncompleted steps of the current stage, under their current generation.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let Some(stage) = STAGES.get(self.stage) else { return Vec::new() };
        let path = |step: &&str| match self.generation {
            1 => (*step).to_owned(),
            generation if *step == "/main/b" => format!("{step}~{generation}"),
            _ => (*step).to_owned(),
        };
        let has_ended = |path: &String| {
            self.records.iter().any(|record| matches!(&record.what, Recorded::Ended { step, .. } if step == path))
        };
        stage.iter().map(path).filter(|path| !has_ended(path)).collect()
    }

    pub(super) fn stored(&self, id: &str) -> StoredRun {
        // An unowned run that has not ended looks the same in every state.
        StoredRun {
            run: id.to_owned(),
            status: self.status.clone(),
            started_us: Some(self.started_us),
            parent: None,
            records: self.records.clone(),
        }
    }
}
