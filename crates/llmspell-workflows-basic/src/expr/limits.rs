//! Limits on the cost of expressions.
//!
//! Definitions are untrusted, so parsing, evaluation and rendering are all bounded. Every limit is
//! checked before the work is done.

use serde_json::Value;

use super::error::Fault;

/// The maximum size of an expression's source in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// The maximum nesting of parentheses, lists, arguments, signs and branches in an expression.
pub const NESTING_MAX: usize = 64;
/// The maximum number of operations in one evaluation; each evaluated node of the tree counts as one.
pub const OPERATIONS_MAX: u64 = 10_000;
/// The number of list elements or object fields that may be visited per operation.
pub const ITEMS_PER_OPERATION: u64 = 100;
/// The number of bytes of text that may be visited per operation.
pub const TEXT_BYTES_PER_OPERATION: u64 = 16 * 1024;
/// The maximum number of bytes of text, lists and objects that one evaluation creates, including temporary values.
pub const PRODUCED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The maximum size in bytes of the value that a template produces.
pub const RENDERED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The maximum nesting of a value that is compared, copied or converted to text.
pub const VALUE_DEPTH_MAX: usize = 256;

/// The memory charged for a list element or a field, in addition to its text.
const ITEM_BYTES: usize = std::mem::size_of::<Value>();

/// The remaining budget of one evaluation or rendering.
#[derive(Debug)]
pub(super) struct Budget {
    work_left: u64,
    bytes_left: usize,
    bytes_max: usize,
}

impl Budget {
    pub(super) fn for_evaluation() -> Self {
        Self::with_bytes(PRODUCED_BYTES_MAX)
    }

    pub(super) fn for_rendering() -> Self {
        Self::with_bytes(RENDERED_BYTES_MAX)
    }

    fn with_bytes(bytes_max: usize) -> Self {
        Self { work_left: OPERATIONS_MAX * ITEMS_PER_OPERATION, bytes_left: bytes_max, bytes_max }
    }

    /// Charges for one node of the tree.
    #[inline]
    pub(super) fn operation(&mut self) -> Result<(), Fault> {
        self.work(ITEMS_PER_OPERATION)
    }

    /// Charges for visiting elements or fields.
    #[inline]
    pub(super) fn items(&mut self, count: usize) -> Result<(), Fault> {
        self.work(count as u64)
    }

    /// Charges for visiting text.
    #[inline]
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Fault> {
        self.work(bytes as u64 / (TEXT_BYTES_PER_OPERATION / ITEMS_PER_OPERATION))
    }

    #[inline]
    fn work(&mut self, work: u64) -> Result<(), Fault> {
        match self.work_left.checked_sub(work) {
            Some(left) => {
                self.work_left = left;
                Ok(())
            }
            None => Err(Fault::Limit(format!("the expression takes more than {OPERATIONS_MAX} operations"))),
        }
    }

    /// Charges for `bytes` of text, before it is created.
    #[inline]
    pub(super) fn produce(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => Err(Fault::Limit(format!(
                "more than {} bytes of text, lists and objects would be created",
                self.bytes_max
            ))),
        }
    }

    /// Charges for a list of `count` elements, without their content.
    pub(super) fn produce_items(&mut self, count: usize) -> Result<(), Fault> {
        self.items(count)?;
        self.produce(count.saturating_mul(ITEM_BYTES))
    }

    /// Charges for a copy of a value.
    pub(super) fn copy(&mut self, value: &Value) -> Result<(), Fault> {
        self.copy_within(value, VALUE_DEPTH_MAX)
    }

    fn copy_within(&mut self, value: &Value, depth_left: usize) -> Result<(), Fault> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => self.produce(text.len()),
            Value::Array(items) => {
                let depth_left = descend(depth_left)?;
                self.produce(items.len().saturating_mul(ITEM_BYTES))?;
                items.iter().try_for_each(|item| self.copy_within(item, depth_left))
            }
            Value::Object(fields) => {
                let depth_left = descend(depth_left)?;
                self.produce(fields.len().saturating_mul(2 * ITEM_BYTES))?;
                fields.iter().try_for_each(|(name, field)| {
                    self.produce(name.len())?;
                    self.copy_within(field, depth_left)
                })
            }
        }
    }
}

/// Descends one level into a value; fails if the value is nested too deeply.
pub(super) fn descend(depth_left: usize) -> Result<usize, Fault> {
    depth_left
        .checked_sub(1)
        .ok_or_else(|| Fault::Limit(format!("a value is nested more than {VALUE_DEPTH_MAX} levels deep")))
}
