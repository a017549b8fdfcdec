use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::StepPath;
use serde_json::Value;
use uuid::Uuid;

/// The ledger shared by all processes of a test; it survives their crashes.
pub(super) type SharedLedger = Arc<Mutex<Ledger>>;

/// The history of runs as seen from outside: the steps that took effect, and the completions that
/// were acknowledged.
///
/// The ledger is filled by activities and by acknowledgements of journals, never from a store.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    runs: BTreeMap<Uuid, Account>,
    /// The ids of at-most-once steps.
    once: BTreeSet<String>,
    violations: Vec<String>,
}

/// The history of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Account {
    /// The number of times that the effect of each step began, by the path of the step.
    pub(super) performed: BTreeMap<String, u32>,
    /// The outputs returned by the activities.
    pub(super) outputs: BTreeMap<String, Value>,
    /// The steps with acknowledged completions.
    pub(super) acknowledged: BTreeSet<String>,
    /// The at-most-once steps that may have begun.
    begun_once: BTreeSet<String>,
    /// The steps, without generations, that must not be executed again under any generation.
    certain: BTreeSet<String>,
    /// The completions that no longer count because their steps were announced to run again.
    void: BTreeSet<String>,
}

impl Ledger {
    pub(super) fn new(once: BTreeSet<String>) -> Self {
        Self { once, ..Self::default() }
    }

    /// Records that the effect of the step at `path` begins.
    pub(super) fn perform(&mut self, run: Uuid, path: &str) {
        let account = self.runs.entry(run).or_default();
        let times = account.performed.entry(path.to_owned()).or_default();
        *times += 1;
        if account.acknowledged.contains(path) {
            let message = "was executed again after its completion was acknowledged";
            self.violations.push(format!("{path} of run {run} {message}"));
        } else if account.certain.contains(&bare(path)) {
            let message = "was executed again although it had completed and no rerun was announced";
            self.violations.push(format!("{path} of run {run} {message}"));
        } else if *times > 1 && self.once.contains(id(path)) {
            self.violations.push(format!("{path} of run {run} runs at most once, but was executed {times} times"));
        }
    }

    pub(super) fn note_output(&mut self, run: Uuid, path: &str, output: Value) {
        self.runs.entry(run).or_default().outputs.insert(path.to_owned(), output);
    }

    /// Records that the journal may contain the start of the step at `path`.
    pub(super) fn begin(&mut self, run: Uuid, path: &str) {
        if self.once.contains(id(path)) {
            self.runs.entry(run).or_default().begun_once.insert(path.to_owned());
        }
    }

    /// Records the resolution of the stuck step at `path`. Once the resolution is acknowledged, the
    /// step must not be executed again.
    pub(super) fn resolve(&mut self, run: Uuid, path: &str, is_acknowledged: bool) {
        let account = self.runs.entry(run).or_default();
        account.performed.entry(path.to_owned()).or_default();
        account.acknowledged.extend(is_acknowledged.then(|| path.to_owned()));
    }

    pub(super) fn acknowledge(&mut self, completions: impl IntoIterator<Item = (Uuid, String)>) {
        for (run, path) in completions {
            let account = self.runs.entry(run).or_default();
            if !account.void.contains(&path) {
                account.certain.insert(bare(&path));
            }
            account.acknowledged.insert(path);
        }
    }

    /// Records that the step at `path`, without generations, may be executed once more. Returns
    /// whether the completion of the step was certain before.
    pub(super) fn expect_again(&mut self, run: Uuid, path: &str) -> bool {
        let Some(account) = self.runs.get_mut(&run) else { return false };
        account.void.extend(account.outputs.keys().filter(|done| bare(done) == path).cloned());
        account.certain.remove(path)
    }

    /// Records that the step at `path` will not run again after all.
    pub(super) fn expect_no_longer(&mut self, run: Uuid, path: &str) {
        self.runs.entry(run).or_default().certain.insert(path.to_owned());
    }

    /// Records that `fork` keeps the results of `source`, except those of the steps in `again`.
    pub(super) fn inherit(&mut self, source: Uuid, fork: Uuid, again: &BTreeSet<String>) {
        let certain: Vec<String> = self.runs.get(&source).into_iter().flat_map(|one| &one.certain).cloned().collect();
        let kept = certain.into_iter().filter(|path| !again.contains(path));
        self.runs.entry(fork).or_default().certain.extend(kept);
    }

    /// Returns whether the step at `path`, without generations, is certain to have completed.
    pub(super) fn is_certain(&self, run: Uuid, path: &str) -> bool {
        self.runs.get(&run).is_some_and(|account| account.certain.contains(path))
    }

    /// Returns whether an at-most-once step of the run may have begun.
    pub(super) fn has_begun_once(&self, run: Uuid) -> bool {
        self.runs.get(&run).is_some_and(|account| !account.begun_once.is_empty())
    }

    /// Records a violation.
    pub(super) fn object(&mut self, violation: String) {
        self.violations.push(violation);
    }

    /// Returns the at-most-once steps that began without an acknowledged completion; their runs may be stuck.
    pub(super) fn in_doubt(&self, run: Uuid) -> Vec<String> {
        let Some(account) = self.runs.get(&run) else { return Vec::new() };
        account.begun_once.difference(&account.acknowledged).cloned().collect()
    }

    pub(super) fn account(&self, run: Uuid) -> Option<&Account> {
        self.runs.get(&run)
    }

    /// Returns the runs that had effects.
    pub(super) fn runs(&self) -> impl Iterator<Item = Uuid> {
        self.runs.keys().copied()
    }

    /// Replaces the account of `run`, which was removed or restored from a copy.
    pub(super) fn set_account(&mut self, run: Uuid, account: Option<Account>) {
        match account {
            Some(account) => self.runs.insert(run, account),
            None => self.runs.remove(&run),
        };
    }

    /// Returns whether the step at `path` is an at-most-once step.
    pub(super) fn runs_once(&self, path: &str) -> bool {
        self.once.contains(id(path))
    }

    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }
}

/// Returns `path` without generations.
pub(super) fn bare(path: &str) -> String {
    path.parse::<StepPath>().map_or_else(|_| path.to_owned(), |path| path.without_generations().to_string())
}

/// Returns the id of the step at `path`, without its iteration and generation.
pub(super) fn id(path: &str) -> &str {
    let last = path.rsplit('/').next().unwrap_or(path);
    last.split(['[', '~']).next().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_execution_is_a_violation_only_after_the_acknowledgement() {
        let (mut ledger, run) = (Ledger::new(BTreeSet::from(["pay".to_owned()])), Uuid::now_v7());
        ledger.perform(run, "/main/a[2]~3");
        ledger.perform(run, "/main/a[2]~3");
        assert_eq!((ledger.violations().len(), id("/main/a[2]~3")), (0, "a"));
        ledger.acknowledge([(run, "/main/a[2]~3".to_owned())]);
        ledger.perform(Uuid::now_v7(), "/main/a[2]~3");
        assert_eq!(ledger.violations().len(), 0, "another run is free");
        ledger.perform(run, "/main/a[2]~4");
        assert_eq!(ledger.violations().len(), 1, "another generation has to be announced");
        assert!(ledger.expect_again(run, "/main/a[2]"));
        ledger.perform(run, "/main/a[2]~5");
        assert_eq!(ledger.violations().len(), 1);
        ledger.perform(run, "/main/a[2]~3");
        assert_eq!(ledger.violations().len(), 2);
        ledger.begin(run, "/main/pay");
        ledger.perform(run, "/main/pay");
        assert_eq!(ledger.in_doubt(run), ["/main/pay"]);
        ledger.perform(run, "/main/pay");
        assert_eq!(ledger.violations().len(), 3);
    }

    #[test]
    fn announced_step_may_run_again_until_its_next_acknowledged_completion() {
        let (mut ledger, run, path) = (Ledger::default(), Uuid::now_v7(), "/main/a");
        let again = |ledger: &mut Ledger, path: &str| {
            let before = ledger.violations().len();
            ledger.perform(run, path);
            ledger.violations().len() > before
        };
        ledger.perform(run, path);
        ledger.note_output(run, path, Value::Null);
        assert!(!ledger.expect_again(run, path), "the completion was not acknowledged yet");
        ledger.acknowledge([(run, path.to_owned())]);
        assert!(!again(&mut ledger, "/main/a~2"), "the old completion no longer counts");
        ledger.acknowledge([(run, "/main/a~2".to_owned())]);
        assert!(ledger.is_certain(run, path));
        assert!(again(&mut ledger, "/main/a~3"));
        let fork = Uuid::now_v7();
        ledger.inherit(run, fork, &BTreeSet::new());
        assert!(ledger.is_certain(fork, path));
        assert!(ledger.expect_again(run, path));
        ledger.expect_no_longer(run, path);
        assert!(ledger.is_certain(run, path));
    }
}
