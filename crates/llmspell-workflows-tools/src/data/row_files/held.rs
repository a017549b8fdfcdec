use crate::data::support::too_large;
use crate::{Policy, ToolError};

/// Counts the bytes that an operation holds in memory because it needs all rows, up to the policy's
/// `rows_held_bytes_max`.
pub(crate) struct Held {
    what: &'static str,
    bytes: usize,
    bytes_max: usize,
}

impl Held {
    /// Starts counting; `what` names the operation in the error.
    pub(crate) fn new(what: &'static str, policy: &Policy) -> Self {
        Self { what, bytes: 0, bytes_max: policy.rows_held_bytes_max }
    }

    /// Adds the size of newly held texts; fails if the limit is exceeded.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), ToolError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= self.bytes_max {
            return Ok(());
        }
        let message = format!(
            "`{}` needs to hold more than {} bytes of rows in memory, the limit `rows_held_bytes_max`",
            self.what, self.bytes_max
        );
        Err(too_large("rows_too_large", message)
            .with_help("filter the rows or select fields first, or raise `rows_held_bytes_max` in the policy"))
    }
}
