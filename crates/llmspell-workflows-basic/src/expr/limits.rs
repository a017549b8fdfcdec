//! Limits on the cost of expressions.
//!
//! Definitions are untrusted, so parsing, evaluation and rendering are all bounded. Every limit is
//! checked before the corresponding work is done.

use serde_json::Value;

use super::error::Fault;

/// The maximum size of an expression's source in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// The maximum nesting of parentheses, lists, arguments, signs and branches in an expression.
pub const NESTING_MAX: usize = 64;
/// The maximum number of operations in one evaluation; each evaluated node of the tree counts as one.
pub const OPERATIONS_MAX: u64 = 10_000;
/// The number of list elements or object fields that each operation may visit.
pub const ITEMS_PER_OPERATION: u64 = 100;
/// The number of bytes of text that each operation may visit.
pub const TEXT_BYTES_PER_OPERATION: u64 = 16 * 1024;
/// The maximum number of bytes of text, lists and objects that one evaluation creates, including temporary values.
pub const PRODUCED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The maximum number of bytes of text, lists and objects that a template creates.
pub const RENDERED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The maximum number of bytes of existing values that a template passes on unchanged, such as the
/// whole output of a step.
pub const PASSED_ON_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The maximum nesting of a value being compared, copied or converted to text.
pub const VALUE_DEPTH_MAX: usize = 256;

/// The memory charged for a list element or a field, in addition to its text.
const ITEM_BYTES: usize = std::mem::size_of::<Value>();

/// The remaining budget of one evaluation or rendering.
#[derive(Debug)]
pub(super) struct Budget {
    work_left: u64,
    bytes_left: usize,
    bytes_max: usize,
    passed_on_left: usize,
}

impl Budget {
    pub(super) fn for_evaluation() -> Self {
        Self::with_bytes(PRODUCED_BYTES_MAX)
    }

    pub(super) fn for_rendering() -> Self {
        Self::with_bytes(RENDERED_BYTES_MAX)
    }

    fn with_bytes(bytes_max: usize) -> Self {
        let work_left = OPERATIONS_MAX * ITEMS_PER_OPERATION;
        Self { work_left, bytes_left: bytes_max, bytes_max, passed_on_left: PASSED_ON_BYTES_MAX }
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
            None => Err(Fault::Limit(format!("the expression needs more than {OPERATIONS_MAX} operations"))),
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
                "the expression would create more than {} bytes of text, lists and objects",
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
        visit(value, VALUE_DEPTH_MAX, &mut |bytes| self.produce(bytes))
    }

    /// Charges for an existing value that is passed on unchanged.
    pub(super) fn pass_on(&mut self, value: &Value) -> Result<(), Fault> {
        visit(value, VALUE_DEPTH_MAX, &mut |bytes| match self.passed_on_left.checked_sub(bytes) {
            Some(left) => {
                self.passed_on_left = left;
                Ok(())
            }
            None => Err(Fault::Limit(format!(
                "the expression would pass on more than {PASSED_ON_BYTES_MAX} bytes of existing values; pass on only \
                 a part of them, or a file path"
            ))),
        })
    }
}

/// Calls `charge` with the bytes of each part of a value.
fn visit(value: &Value, depth_left: usize, charge: &mut impl FnMut(usize) -> Result<(), Fault>) -> Result<(), Fault> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) => charge(text.len()),
        Value::Array(items) => {
            let depth_left = descend(depth_left)?;
            charge(items.len().saturating_mul(ITEM_BYTES))?;
            items.iter().try_for_each(|item| visit(item, depth_left, charge))
        }
        Value::Object(fields) => {
            let depth_left = descend(depth_left)?;
            charge(fields.len().saturating_mul(2 * ITEM_BYTES))?;
            fields.iter().try_for_each(|(name, field)| {
                charge(name.len())?;
                visit(field, depth_left, charge)
            })
        }
    }
}

/// Descends one level into a value; fails if the value is nested too deeply.
pub(super) fn descend(depth_left: usize) -> Result<usize, Fault> {
    depth_left
        .checked_sub(1)
        .ok_or_else(|| Fault::Limit(format!("a value is nested more than {VALUE_DEPTH_MAX} levels deep")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_on_values_have_a_separate_limit() {
        let mut budget = Budget::for_rendering();
        let value = Value::String("x".repeat(1 << 20));
        let passed_on = (0..300).take_while(|_| budget.pass_on(&value).is_ok()).count();
        assert_eq!(passed_on, 256);
        assert!(budget.copy(&value).is_ok());
    }
}
