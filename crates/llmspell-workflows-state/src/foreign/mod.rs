//! Checks an imported run before it is used.
//!
//! [`RunState`](crate::RunState) defines which records may follow each other. The checks here
//! bound the work that a run can cause, since a document of a few kilobytes can describe
//! paths, generations and values of any size.

mod definition;
pub mod limits;
mod paths;
mod values;

use llmspell_workflows_basic::engine::{ChildRun, Decision};
use uuid::Uuid;

pub use self::definition::check_definition;
use self::{paths::Paths, values::Sizes};
use crate::record::Record;

/// Checks the records of `run`, which another program may have written.
///
/// # Errors
/// Returns an error if a limit in [`limits`] is exceeded, a path is invalid, or the run is its own
/// parent, origin or child. The string names the record at fault and the limit.
pub fn check_records(run: Uuid, records: &[Record]) -> Result<(), String> {
    check_count("records", records.len(), limits::RECORDS_MAX, "RECORDS_MAX")?;
    let (mut paths, mut sizes) = (Paths::default(), Sizes::default());
    for (number, record) in records.iter().enumerate() {
        let checked =
            paths.check(record).and_then(|()| sizes.check(record)).and_then(|()| check_relations(run, record));
        checked.map_err(|reason| format!("record {number}: {reason}"))?;
    }
    Ok(())
}

/// Checks that a run has at most `max` items of the kind `what`, such as records; `limit` is
/// the limit's name.
///
/// # Errors
/// Returns an error that names the limit.
pub fn check_count(what: &str, count: usize, max: usize, limit: &str) -> Result<(), String> {
    if count <= max { Ok(()) } else { Err(format!("{count} {what} exceed the limit `{limit}` of {max}")) }
}

/// Checks that a run is not its own parent, origin or child.
fn check_relations(run: Uuid, record: &Record) -> Result<(), String> {
    let other = match record {
        Record::Started(started) => {
            let parent = started.parent.as_ref().map(|parent| ("parent", parent.run));
            let origin = started.origin.as_ref().map(|origin| ("origin", origin.run));
            parent.into_iter().chain(origin).find(|(_, other)| *other == run)
        }
        Record::Decided { decision: Decision::Child(_, ChildRun { run: child, .. }), .. } => {
            (*child == run).then_some(("child", run))
        }
        _ => None,
    };
    match other {
        Some((relation, _)) => Err(format!("the run cannot be its own {relation}")),
        None => Ok(()),
    }
}
