use std::{fmt, sync::Arc};

use crate::record::Record;

/// Hears of the records of a run as they are appended, each with its number, in their order.
///
/// What has been appended may still be lost with the power; then the run goes on from before it, and tells it again
/// under the same number.
pub trait Listener: fmt::Debug + Send + Sync {
    /// A record was appended. This is called while others who append to the run wait, so it must be quick.
    fn appended(&self, number: u64, record: &Record);
}

/// The end of the records.
#[derive(Debug)]
pub(super) struct Tail {
    /// How many there are.
    pub(super) count: u64,
    /// Whether the end of the run is recorded: a task that was given up on adds nothing after that.
    pub(super) is_closed: bool,
    pub(super) listener: Option<Arc<dyn Listener>>,
}
