use std::{fmt, sync::Arc};

use crate::record::Record;

/// Receives the records of a run as they are appended, in order and with their numbers.
///
/// An appended record may still be lost in a power loss. The run then resumes from an earlier point, and reports a
/// record with the same number again.
pub trait Listener: fmt::Debug + Send + Sync {
    /// Called after a record was appended. Other appenders to the run wait for this call, so it must be quick.
    fn appended(&self, number: u64, record: &Record);
}

/// The end of a run's records.
#[derive(Debug)]
pub(super) struct Tail {
    /// The number of records.
    pub(super) count: u64,
    /// Whether the end of the run is recorded. If so, an abandoned task cannot append anything more.
    pub(super) is_closed: bool,
    pub(super) listener: Option<Arc<dyn Listener>>,
}
