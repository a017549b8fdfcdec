//! The layout of keys. A variable-length part is either last or preceded by its length.
//!
//! | key | value |
//! |---|---|
//! | `r` run | the run's summary |
//! | `i` field, value, start, run | nothing: an index of summaries |
//! | `a` run | the run's records |
//! | `d` hash | a definition |
//! | `s` run, name | a snapshot |
//! | `m` run, number | a message |
//! | `n` run, message id | the number of the message |
//! | `b` hash | a large value |
//! | `o` hash, owner | nothing |
//! | `w` owner, hash | nothing |

use uuid::Uuid;

use super::super::{RunCursor, RunSummary};

/// The indexed fields of runs.
pub(super) mod field {
    pub(in super::super) const ALL: u8 = b'a';
    pub(in super::super) const STATUS: u8 = b's';
    pub(in super::super) const WORKFLOW: u8 = b'w';
    pub(in super::super) const PARENT: u8 = b'p';
    pub(in super::super) const LABEL: u8 = b'l';
}

/// The length in bytes of a run's start time and id.
pub(super) const CURSOR: usize = 24;

pub(super) fn of_run(kind: u8, run: Uuid) -> Vec<u8> {
    [&[kind], &run.as_bytes()[..]].concat()
}

pub(super) fn named(kind: u8, run: Uuid, name: &[u8]) -> Vec<u8> {
    [&[kind], &run.as_bytes()[..], name].concat()
}

pub(super) fn hashed(kind: u8, hash: &str) -> Vec<u8> {
    [&[kind], hash.as_bytes()].concat()
}

/// Returns the key prefix shared by all owners of the value with this hash. The last byte of
/// the prefix never occurs in a hash.
pub(super) fn owners(hash: &str) -> Vec<u8> {
    [b"o", hash.as_bytes(), b"/"].concat()
}

pub(super) fn owner(hash: &str, owner: Uuid) -> Vec<u8> {
    [&owners(hash), &owner.as_bytes()[..]].concat()
}

/// Returns the prefix of the index entries in which `field` has this value.
pub(super) fn index(field: u8, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).expect("fields of a run are far smaller than 4 GiB");
    [&[b'i', field], &length.to_be_bytes()[..], value].concat()
}

pub(super) fn label(key: &str, value: &str) -> Vec<u8> {
    let mut both = index(field::LABEL, key.as_bytes());
    both.extend_from_slice(&(value.len() as u64).to_be_bytes());
    both.extend_from_slice(value.as_bytes());
    both
}

/// Encodes a cursor as bytes that sort in the same order.
pub(super) fn cursor(cursor: RunCursor) -> [u8; CURSOR] {
    let mut bytes = [0; CURSOR];
    bytes[..8].copy_from_slice(&start(cursor.started_us));
    bytes[8..].copy_from_slice(cursor.id.as_bytes());
    bytes
}

/// Encodes a signed number as bytes that sort in the same order.
pub(super) fn start(started_us: i64) -> [u8; 8] {
    (started_us.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Returns all index entries of a run.
pub(super) fn entries(run: &RunSummary) -> Vec<Vec<u8>> {
    let mut entries = vec![
        index(field::ALL, &[]),
        index(field::STATUS, run.status.as_str().as_bytes()),
        index(field::WORKFLOW, run.workflow.as_bytes()),
    ];
    entries.extend(run.parent.map(|parent| index(field::PARENT, parent.as_bytes())));
    entries.extend(run.labels.iter().map(|(key, value)| label(key, value)));
    let location = cursor(run.cursor());
    entries.iter_mut().for_each(|entry| entry.extend_from_slice(&location));
    entries
}

/// Returns the first key after all keys that begin with `prefix`.
pub(super) fn after(mut prefix: Vec<u8>) -> Vec<u8> {
    while prefix.pop_if(|last| *last == u8::MAX).is_some() {}
    *prefix.last_mut().expect("key kinds are letters") += 1;
    prefix
}
