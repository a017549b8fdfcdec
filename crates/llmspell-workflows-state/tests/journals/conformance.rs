use std::{cell::RefCell, sync::Arc};

use llmspell_workflows_state::{MemoryJournal, journal::conformance};

use crate::support::{FJALL, ON_DISK, OnDisk, SLED, folder};

fn conforms(adapter: &OnDisk) {
    let folders = RefCell::new(Vec::new());
    conformance::all(|| {
        let folder = folder();
        let journal = adapter.open_in(folder.path()).unwrap();
        folders.borrow_mut().push(folder);
        journal
    });
    let folder = folder();
    conformance::lasts(|| adapter.open_in(folder.path()).unwrap());
}

#[test]
fn memory() {
    conformance::all(|| Arc::new(MemoryJournal::new()));
}

#[test]
fn wal() {
    conforms(&ON_DISK[0]);
}

#[test]
fn fjall() {
    conforms(&FJALL);
}

#[test]
fn sled() {
    conforms(&SLED);
}

#[test]
fn a_journal_that_is_in_use_names_who_has_it() {
    for adapter in [FJALL, SLED] {
        let folder = folder();
        conformance::held(|| adapter.open_in(folder.path()));
    }
}
