use std::sync::Barrier;

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{INBOX_PAGE, Message, Snapshot, StoreError, Stores, blob_hash},
    wait,
};
use crate::{End, Record, RecordLines, Started, record::StoredValue};

fn run(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Returns the records of a run with `steps` steps.
#[must_use]
pub(super) fn records(steps: usize) -> Vec<Record> {
    let at = Timestamp::from_second(1_700_000_000).expect("a valid timestamp");
    let input = json!({"text": "with\na line, \u{0} and \u{1f980}"});
    let started = Started {
        at,
        workflow: "w".to_owned(),
        version: String::new(),
        definition: "abc".to_owned(),
        input,
        ..Started::default()
    };
    let output = |value| End::Completed { output: StoredValue::Value(value), changes: Vec::new() };
    let mut records = vec![Record::Started(Box::new(started))];
    records.extend((0..steps).map(|step| Record::Ended {
        path: format!("/main/step{step}"),
        end: output(json!({ "step": step }).into()),
        time_us: 0,
    }));
    records.push(Record::Closed { end: output(json!(null).into()), time_us: 0, compensated: false });
    records
}

/// Checks that small and large archived records are returned unchanged, and can be removed.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn archives(stores: &Stores) {
    let archive = &stores.archive;
    assert_eq!(wait(archive.get(run(1))), Ok(None));
    assert_eq!(wait(archive.remove(run(1))), Ok(false));
    for steps in [0, 3, 5_000, 1] {
        wait(archive.put(run(1), records(steps))).expect("records are stored");
        assert_eq!(wait(archive.get(run(1))), Ok(Some(records(steps))), "{steps} steps");
    }
    wait(archive.put(run(2), Vec::new())).expect("no records are stored");
    assert_eq!(wait(archive.get(run(2))), Ok(Some(Vec::new())), "a run without records differs from an unknown run");
    let (a, b) = (records(1), records(2));
    let lines = |records: &[Record]| RecordLines::of(records).expect("records are encoded");
    wait(archive.put_all(vec![(run(3), lines(&a)), (run(4), lines(&b))])).expect("records are stored");
    assert_eq!((wait(archive.get(run(3))), wait(archive.get(run(4)))), (Ok(Some(a)), Ok(Some(b.clone()))));
    assert_eq!(wait(archive.remove(run(3))), Ok(true));
    assert_eq!((wait(archive.get(run(3))), wait(archive.get(run(4)))), (Ok(None), Ok(Some(b))));
}

/// Checks that definitions are returned by hash and never change.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn definitions(stores: &Stores) {
    let definitions = &stores.definitions;
    assert_eq!(wait(definitions.get("a")), Ok(None));
    let large = json!({"name": "w", "text": "ä".repeat(100_000)}).to_string();
    wait(definitions.put("a", &large)).expect("a definition is stored");
    wait(definitions.put("a", "another")).expect("a definition is stored again");
    wait(definitions.put("aa", "other")).expect("a definition is stored");
    assert_eq!(wait(definitions.get("a")), Ok(Some(large)));
    assert_eq!(wait(definitions.hashes()), Ok(vec!["a".to_owned(), "aa".to_owned()]));
    assert_eq!((wait(definitions.remove("a")), wait(definitions.remove("a"))), (Ok(true), Ok(false)));
    assert_eq!((wait(definitions.get("a")), wait(definitions.get("aa"))), (Ok(None), Ok(Some("other".to_owned()))));
}

/// Checks that snapshots are stored by run and name, and listed by position.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn snapshots(stores: &Stores) {
    let snapshot = |owner, name: &str, position| Snapshot {
        run: run(owner),
        name: name.to_owned(),
        position,
        at: Timestamp::from_second(1_700_000_000).expect("a valid timestamp"),
        state: json!({"position": position}),
    };
    let snapshots = &stores.snapshots;
    assert_eq!(wait(snapshots.list(run(1))), Ok(Vec::new()));
    for (owner, name, position) in [(1, "b", 5), (1, "a", 9), (1, "", 5), (2, "a", 1), (1, "a", 7)] {
        wait(snapshots.put(&snapshot(owner, name, position))).expect("a snapshot is stored");
    }
    assert_eq!(
        wait(snapshots.get(run(1), "a")),
        Ok(Some(snapshot(1, "a", 7))),
        "the latest snapshot of a name is returned"
    );
    assert_eq!(wait(snapshots.get(run(2), "b")), Ok(None));
    assert_eq!(wait(snapshots.list(run(1))), Ok(vec![snapshot(1, "", 5), snapshot(1, "b", 5), snapshot(1, "a", 7)]));
    assert_eq!((wait(snapshots.remove(run(1), "b")), wait(snapshots.remove(run(1), "b"))), (Ok(true), Ok(false)));
    assert_eq!((wait(snapshots.remove_all(run(1))), wait(snapshots.list(run(1)))), (Ok(2), Ok(Vec::new())));
    assert_eq!(wait(snapshots.list(run(2))), Ok(vec![snapshot(2, "a", 1)]));
}

/// Checks that messages are numbered per run, are read in order and in pages, and are posted once per id.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn inboxes(stores: &Stores) {
    let inbox = &stores.inbox;
    let signal = |number: usize| Message::Signal { name: "s".to_owned(), payload: json!({ "number": number }) };
    assert_eq!(wait(inbox.next(run(1), 0)), Ok(Vec::new()));
    let posts = [("a", Message::Pause), ("b", Message::Resume), ("c", Message::Cancel), ("d", signal(1))];
    for (number, (id, message)) in (1..).zip(&posts) {
        assert_eq!(wait(inbox.post(run(1), id, message)), Ok(number), "{id}");
    }
    assert_eq!(wait(inbox.post(run(2), "a", &signal(2))), Ok(1), "each run has its own numbers and ids");
    assert_eq!(wait(inbox.post(run(1), "b", &Message::Resume)), Ok(2), "posting again returns the same number");
    let taken = StoreError::MessageIdTaken { run: run(1), message_id: "b".to_owned() };
    assert_eq!(wait(inbox.post(run(1), "b", &Message::Cancel)), Err(taken));
    let all: Vec<_> = (1..).zip(posts.map(|(_, message)| message)).collect();
    for after in 0..=4 {
        assert_eq!(
            wait(inbox.next(run(1), after)),
            Ok(all[usize::try_from(after).expect("small")..].to_vec()),
            "{after}"
        );
    }
    assert_eq!(wait(inbox.next(run(1), u64::MAX)), Ok(Vec::new()));
    assert_eq!((wait(inbox.remove(run(1))), wait(inbox.remove(run(1)))), (Ok(4), Ok(0)));
    assert_eq!(wait(inbox.next(run(1), 0)), Ok(Vec::new()));
    assert_eq!(wait(inbox.post(run(1), "b", &Message::Cancel)), Ok(1));
    assert_eq!(wait(inbox.next(run(2), 0)), Ok(vec![(1, signal(2))]));

    let many = INBOX_PAGE + 5;
    for number in 1..=many {
        wait(inbox.post(run(3), &number.to_string(), &signal(number))).expect("a message is posted");
    }
    let first = wait(inbox.next(run(3), 0)).expect("messages are read");
    assert_eq!(first.len(), INBOX_PAGE);
    let rest = wait(inbox.next(run(3), INBOX_PAGE as u64)).expect("messages are read");
    let messages: Vec<_> = first.into_iter().chain(rest).collect();
    let expected: Vec<_> = (1..=many).map(|number| (number as u64, signal(number))).collect();
    assert_eq!(messages, expected);
}

/// Checks that concurrent posts to a run are numbered without gaps, and that posts with the
/// same id get the same number.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn inboxes_of_several_threads(stores: &Stores) {
    const THREADS: u64 = 4;
    const EACH: u64 = 25;
    let start = Barrier::new(usize::try_from(THREADS).expect("small"));
    let post = |thread: u64| {
        start.wait();
        let post = |id: String| wait(stores.inbox.post(run(1), &id, &Message::Pause)).expect("a message is posted");
        (0..EACH).map(|number| (post(format!("{thread}-{number}")), post(format!("all-{number}")))).collect::<Vec<_>>()
    };
    let numbers: Vec<Vec<(u64, u64)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || post(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread succeeds")).collect()
    });
    let shared = |list: &Vec<(u64, u64)>| list.iter().map(|(_, shared)| *shared).collect::<Vec<_>>();
    assert!(numbers.iter().all(|list| shared(list) == shared(&numbers[0])), "one id has one number");
    let mut all: Vec<_> = numbers.iter().flatten().map(|(own, _)| *own).chain(shared(&numbers[0])).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=(THREADS + 1) * EACH).collect::<Vec<_>>());
    let read = wait(stores.inbox.next(run(1), 0)).expect("messages are read");
    assert_eq!(read.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), all);
}

/// Checks that each value is stored only once, and is kept as long as it has an owner.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn blobs(stores: &Stores) {
    let blobs = &stores.blobs;
    let (large, small) = (vec![1; 300_000], b"small".to_vec());
    assert_eq!(wait(blobs.get(&blob_hash(&large))), Ok(None));
    assert_eq!(wait(blobs.owners(&blob_hash(&large))), Ok(0));
    assert_eq!(wait(blobs.release(run(1))), Ok(0));
    for owner in [1, 1, 2] {
        assert_eq!(wait(blobs.put(run(owner), large.clone())), Ok(blob_hash(&large)));
    }
    let hash = wait(blobs.put(run(1), small.clone())).expect("a value is stored");
    assert_eq!(hash, blob_hash(b"small"));
    assert_eq!(wait(blobs.owners(&blob_hash(&large))), Ok(2), "putting a value twice adds one owner");
    for owner in [run(1), run(2)] {
        assert!(
            wait(blobs.owned(owner)).expect("the hashes are read").contains(&blob_hash(&large)),
            "{owner} owns the value"
        );
    }
    assert_eq!(wait(blobs.share(run(3), &hash)), Ok(()));
    let missing = blob_hash(b"missing");
    assert_eq!(wait(blobs.share(run(3), &missing)), Err(StoreError::NoBlob { hash: missing.clone() }));

    assert_eq!(wait(blobs.release(run(1))), Ok(0), "other owners keep the values");
    assert_eq!(
        (wait(blobs.get(&blob_hash(&large))), wait(blobs.get(&hash))),
        (Ok(Some(large.clone())), Ok(Some(small)))
    );
    assert_eq!(wait(blobs.release(run(2))), Ok(1));
    assert_eq!((wait(blobs.get(&blob_hash(&large))), wait(blobs.owners(&blob_hash(&large)))), (Ok(None), Ok(0)));
    assert_eq!(wait(blobs.release(run(3))), Ok(1));
    assert_eq!(wait(blobs.get(&hash)), Ok(None));
    wait(blobs.put(run(4), large.clone())).expect("a value is stored again");
    assert_eq!(wait(blobs.get(&blob_hash(&large))), Ok(Some(large)));
}
