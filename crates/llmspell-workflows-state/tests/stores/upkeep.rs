//! Backup, compaction and verification of the stores.

use llmspell_workflows_state::store::{
    Message, Stores,
    conformance::{summary, wait},
};
use uuid::Uuid;

use crate::support::{ON_DISK, folder};

fn run() -> Uuid {
    summary(1, 1).id
}

fn fill(stores: &Stores) {
    wait(stores.runs.put(&summary(1, 1))).unwrap();
    wait(stores.archive.put(run(), Vec::new())).unwrap();
    wait(stores.definitions.put("hash", "{}")).unwrap();
    wait(stores.inbox.post(run(), "one", &Message::Pause)).unwrap();
    wait(stores.blobs.put(run(), vec![3; 100_000])).unwrap();
}

#[test]
fn a_backup_is_a_valid_store_without_later_changes() {
    for adapter in ON_DISK {
        let (name, first, second) = (adapter.name, folder(), folder());
        let open = |folder: &tempfile::TempDir| adapter.open_in(folder.path()).unwrap();
        let stores = open(&first);
        fill(&stores);
        let all = wait(stores.adapter.verify()).unwrap();
        assert!(all.summaries.contains(&run()) && all.archived.contains(&run()), "{name}: {all:?}");
        assert_eq!((all.others, &all.damage[..]), (3, &[][..]), "{name}");
        std::fs::create_dir(second.path().join("store")).unwrap();
        wait(stores.adapter.back_up(&adapter.path(second.path()))).unwrap();
        // The copy does not contain messages posted later.
        wait(stores.inbox.post(run(), "two", &Message::Pause)).unwrap();
        wait(stores.adapter.compact()).unwrap();
        let copy = open(&second);
        assert_eq!(wait(copy.adapter.verify()).unwrap(), all, "{name}");
        assert_eq!(wait(copy.inbox.next(run(), 0)).unwrap(), [(1, Message::Pause)], "{name}");
        assert_eq!(wait(copy.inbox.post(run(), "two", &Message::Cancel)), Ok(2), "{name}");
        assert_eq!(wait(stores.inbox.next(run(), 0)).unwrap().len(), 2, "{name}");
    }
}

#[test]
fn in_memory_stores_cannot_be_backed_up() {
    let stores = Stores::memory();
    fill(&stores);
    assert_eq!(wait(stores.adapter.verify()).unwrap().others, 3);
    let error = wait(stores.adapter.back_up("anywhere".as_ref())).unwrap_err();
    assert!(error.to_string().contains("in memory"), "{error}");
}
