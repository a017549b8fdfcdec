use std::cell::RefCell;

use llmspell_workflows_state::store::{Stores, conformance};

use crate::support::{OnDisk, SLED, SQLITE, folder};

fn check_conformance(adapter: &OnDisk, admits_several_processes: bool) {
    let folders = RefCell::new(Vec::new());
    conformance::all(|| {
        let folder = folder();
        let stores = adapter.open_in(folder.path()).unwrap();
        folders.borrow_mut().push(folder);
        stores
    });
    let folder = folder();
    conformance::persists(|| adapter.open_in(folder.path()).unwrap());
    let stores = adapter.open_in(folder.path()).unwrap();
    assert_eq!(stores.adapter.name(), adapter.name);
    assert_eq!(stores.admits_several_processes(), admits_several_processes);
}

#[test]
fn in_memory_stores_pass_the_conformance_suite() {
    conformance::all(Stores::memory);
    assert!(!Stores::memory().admits_several_processes());
}

#[test]
fn sqlite_stores_pass_the_conformance_suite() {
    check_conformance(&SQLITE, true);
}

#[test]
fn sled_stores_pass_the_conformance_suite() {
    check_conformance(&SLED, false);
}
