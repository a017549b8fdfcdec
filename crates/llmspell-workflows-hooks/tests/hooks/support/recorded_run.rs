use std::sync::Arc;

use llmspell_workflows_basic::{Finished, engine::Decision};
use llmspell_workflows_testing::{
    clock::SimClock,
    crash::{CrashPoint, CrashTest, Journal, MemoryJournal, Record, WatchedJournal},
};

/// The records of one run across several processes.
#[derive(Default)]
pub(crate) struct RecordedRun(Arc<MemoryJournal>);

impl RecordedRun {
    /// Resumes the run in a process that crashes at boundary `crash_at`; returns the result if the run finished.
    pub(crate) fn process(&self, test: &CrashTest, crash_at: Option<u64>) -> Option<Finished> {
        let point = crash_at.map_or_else(CrashPoint::never, CrashPoint::at);
        let journal: Arc<dyn Journal> = Arc::new(WatchedJournal::new(self.0.clone(), point.clone()));
        test.run_until(&journal, &SimClock::default(), &point).unwrap()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.0.runs().into_iter().flat_map(|run| self.0.kept(run)).collect()
    }

    /// Returns the paths of the steps that have ended.
    pub(crate) fn ended(&self) -> Vec<String> {
        let path = |record| if let Record::Ended { path, .. } = record { Some(path) } else { None };
        self.records().into_iter().filter_map(path).collect()
    }

    /// Returns each recorded decision with the path of its step.
    pub(crate) fn decided(&self) -> Vec<(String, Decision)> {
        let choice = |record| match record {
            Record::Decided { path, decision, .. } => Some((path, decision)),
            _ => None,
        };
        self.records().into_iter().filter_map(choice).collect()
    }

    /// Returns the number of recorded hook answers.
    pub(crate) fn answers(&self) -> usize {
        let is_answer = |decision: &Decision| {
            use Decision as D;
            matches!(decision, D::HookAnswer(..) | D::HookAnswerTo(..) | D::HookAnswerToSignal(..) | D::ForkPart(_))
        };
        self.decided().iter().filter(|(_, decision)| is_answer(decision)).count()
    }
}
