//! Tests that the model finds each planted fault, and that fixed bugs do not return.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    StepError,
    model::{Definition, Step, StepKind, WaitForEvent},
    sync::lock,
};
use llmspell_workflows_state::{
    Arrival, End, Epoch, Journal, JournalError, Opened, OpenedLines, Receipt, Record,
    store::{InboxStore, Message, RunPage, RunQuery, RunStore, RunSummary, StoreError, Stores},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    VerbTest,
    climb::Atlas,
    lab::Lab,
    ladder::LadderId,
    verb::{Deed, Verb},
};

/// The maximum number of crash boundaries to try; no verb has more.
const BOUNDARIES_MAX: u64 = 200;

/// Whether a planted fault is active. It is inactive while the ladders of uninterrupted runs are
/// computed.
type Armed = Arc<AtomicBool>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The completion of `/main/a` is acknowledged but not recorded.
    LosesCompletion,
    /// Runs arrive without the completion of `/main/a`.
    ArrivesWithoutCompletion,
    /// Runs are forgotten as soon as they are read for archiving.
    ForgetsEarly,
}

#[derive(Debug)]
struct FaultyJournal {
    inner: Arc<dyn Journal>,
    fault: Fault,
    armed: Armed,
    last: Mutex<Option<Receipt>>,
}

impl FaultyJournal {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault && self.armed.load(Ordering::SeqCst)
    }
}

fn completes_a(record: &Record) -> bool {
    matches!(record, Record::Ended { path, end: End::Completed { .. }, .. } if path == "/main/a")
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.inner.open(run).await
    }

    async fn open_lines(&self, runs: &[Uuid]) -> Result<Vec<OpenedLines>, JournalError> {
        let opened = self.inner.open_lines(runs).await?;
        if self.has(Fault::ForgetsEarly) {
            let epochs: Vec<(Uuid, Epoch)> =
                runs.iter().zip(&opened).map(|(run, opened)| (*run, opened.epoch)).collect();
            self.inner.forget(&epochs).await?;
        }
        Ok(opened)
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        if self.has(Fault::LosesCompletion) && completes_a(record) {
            return Ok(lock(&self.last).expect("the start was appended earlier"));
        }
        let receipt = self.inner.append(run, epoch, record)?;
        *lock(&self.last) = Some(receipt);
        Ok(receipt)
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.inner.write(receipt).await
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.inner.sync(receipt).await
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        self.inner.records(run).await
    }

    fn runs(&self) -> Vec<Uuid> {
        self.inner.runs()
    }

    async fn arrive(&self, mut arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        if self.has(Fault::ArrivesWithoutCompletion) {
            arrivals.iter_mut().for_each(|arrival| arrival.records.retain(|record| !completes_a(record)));
        }
        self.inner.arrive(arrivals).await
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        if self.has(Fault::ForgetsEarly) { Ok(()) } else { self.inner.forget(runs).await }
    }
}

/// An index of runs that keeps removed sub-workflows.
#[derive(Debug)]
struct KeepsChildren(Arc<dyn RunStore>, Armed);

#[async_trait]
impl RunStore for KeepsChildren {
    async fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError> {
        self.0.put_all(runs).await
    }

    async fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError> {
        self.0.get(run).await
    }

    async fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError> {
        self.0.list(query).await
    }

    async fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError> {
        let is_kept = |run: &&Uuid| self.1.load(Ordering::SeqCst) && run.get_version_num() == 8;
        let removed: Vec<Uuid> = runs.iter().filter(|run| !is_kept(run)).copied().collect();
        self.0.remove_all(&removed).await
    }
}

/// An inbox that acknowledges messages without storing them.
#[derive(Debug)]
struct LosesMessages(Arc<dyn InboxStore>, Armed);

#[async_trait]
impl InboxStore for LosesMessages {
    async fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError> {
        if self.1.load(Ordering::SeqCst) { Ok(1) } else { self.0.post(run, message_id, message).await }
    }

    async fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError> {
        self.0.next(run, after).await
    }

    async fn remove(&self, run: Uuid) -> Result<usize, StoreError> {
        self.0.remove(run).await
    }
}

fn work(id: &str) -> Step {
    Step::function(id, "work", json!(null))
}

/// Returns a workflow that fails after its first step, and completes when it is retried.
fn failing() -> Definition {
    Definition::sequence("failing", [work("a"), Step::function("bad", "fail", json!(null)), work("c")])
}

fn waiting() -> Definition {
    let wait = StepKind::WaitForEvent(WaitForEvent { event: "go".into(), ..WaitForEvent::default() });
    Definition::sequence("waiting", [work("a"), Step::new("wait", wait)])
}

fn with_child() -> Definition {
    let child = Definition::sequence("child", [work("x")]);
    Definition::sequence("parent", [work("a"), Step::workflow("sub", "child", json!(null))]).with_workflow(child)
}

fn test(definition: Definition) -> VerbTest {
    let fail = |context: llmspell_workflows_basic::activity::ActivityContext| async move {
        let path = context.path().to_path();
        match path.segments().last().is_some_and(|last| last.generation > 1) {
            true => Ok(json!(2).into()),
            false => Err(StepError::configuration("broken", "the first generation fails")),
        }
    };
    let test = VerbTest::new().workflow(definition, json!(null)).signal("go", json!(1));
    test.activity("function", "work", |_| async { Ok(json!(1).into()) }).activity("function", "fail", fail)
}

/// Performs `verbs` on a run, crashing the last verb at each boundary in turn, and then brings the
/// run to its final state. Returns the number of crashes and the first difference.
fn first_difference(test: &VerbTest, armed: &Armed, verbs: &[Verb]) -> (u64, Option<String>) {
    let mut atlas = Atlas::default();
    atlas.find(test.cast(), &LadderId::of(0)).expect("the workflow runs without a crash");
    armed.store(true, Ordering::SeqCst);
    for boundary in 0..BOUNDARIES_MAX {
        let mut lab = Lab::new(test.cast()).expect("the folder is created");
        let mut tried = || {
            let mut run = None;
            for (number, verb) in verbs.iter().enumerate() {
                let is_of_home = matches!(verb, Verb::Compact | Verb::Prune | Verb::Recover);
                let concerned = run.filter(|_| !is_of_home);
                let deed = match verb {
                    Verb::Start => lab.start(0),
                    verb => Deed::new(verb.clone(), concerned, lab.name(0)),
                };
                let is_last = number + 1 == verbs.len();
                lab.act(0, deed, is_last.then_some(boundary), &mut atlas)?;
                run = run.or_else(|| lab.view.roots().next().map(|(id, _)| id));
                lab.exit_all();
            }
            lab.finish(&mut atlas)
        };
        if let Err(difference) = tried() {
            return (boundary, Some(difference.to_string()));
        }
        if lab.report.crashes == 0 {
            return (boundary, None);
        }
    }
    panic!("the verb has more than {BOUNDARIES_MAX} boundaries");
}

/// Checks that the fault added by `plant` is found, and that there is no difference without the
/// fault.
fn finds(expected: &str, definition: Definition, verbs: &[Verb], plant: impl Fn(VerbTest, &Armed) -> VerbTest) {
    let armed = Armed::default();
    let (crashes, difference) = first_difference(&test(definition.clone()), &armed, verbs);
    assert_eq!(difference, None, "without a fault");
    assert!(crashes >= 4, "only {crashes} boundaries");
    let armed = Armed::default();
    let (_, difference) = first_difference(&plant(test(definition), &armed), &armed, verbs);
    let difference = difference.unwrap_or_else(|| panic!("the fault was not found: {expected}"));
    assert!(difference.contains(expected), "expected {expected:?}, got {difference}");
}

#[test]
fn no_crash_of_the_last_verb_harms_a_run() {
    use Verb::{Compact, Delete, Export, Import, Prune, Recover, Retry, Start};
    for (definition, verbs) in [
        // The archive keeps the old version of a run that was brought back from it.
        (failing(), vec![Start, Compact, Retry, Delete]),
        (with_child(), vec![Start, Delete]),
        (with_child(), vec![Start, Compact, Prune]),
        (with_child(), vec![Start, Export, Delete, Import]),
        (waiting(), vec![Start, Recover]),
    ] {
        let name = definition.name.clone();
        let (crashes, difference) = first_difference(&test(definition), &Armed::default(), &verbs);
        assert_eq!(difference, None, "{name}: {verbs:?}");
        assert!(crashes >= 4, "{name}: {verbs:?}: only {crashes} boundaries");
    }
}

fn faulty(fault: Fault) -> impl Fn(VerbTest, &Armed) -> VerbTest {
    move |test, armed| {
        let armed = armed.clone();
        test.journal(move |inner| {
            Arc::new(FaultyJournal { inner, fault, armed: armed.clone(), last: Mutex::default() })
        })
    }
}

#[test]
fn lost_completion_is_found() {
    let expected = "was executed again after its completion was acknowledged";
    finds(expected, waiting(), &[Verb::Start], faulty(Fault::LosesCompletion));
}

#[test]
fn retry_that_executes_a_completed_step_is_found() {
    let expected = "was executed again after its completion was acknowledged";
    finds(expected, failing(), &[Verb::Start, Verb::Retry], faulty(Fault::ArrivesWithoutCompletion));
}

#[test]
fn journal_that_forgets_too_early_is_found() {
    finds("is gone", failing(), &[Verb::Start, Verb::Compact], faulty(Fault::ForgetsEarly));
}

#[test]
fn deletion_that_leaves_a_sub_workflow_is_found() {
    let verbs = [Verb::Start, Verb::Compact, Verb::Delete];
    finds("exists without its parent", with_child(), &verbs, |test, armed| {
        let armed = armed.clone();
        test.stores(move |stores| {
            let runs = Arc::new(KeepsChildren(stores.runs.clone(), armed.clone()));
            Stores { runs, ..stores }
        })
    });
}

#[test]
fn lost_messages_are_found() {
    finds("of waiting is Rest { status: Waiting", waiting(), &[Verb::Start, Verb::Cancel], |test, armed| {
        let armed = armed.clone();
        test.stores(move |stores| {
            let inbox = Arc::new(LosesMessages(stores.inbox.clone(), armed.clone()));
            Stores { inbox, ..stores }
        })
    });
}
