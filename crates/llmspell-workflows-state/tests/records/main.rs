//! Tests of the record format and of the meaning of records.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod fields;
mod format_1;
mod golden;
mod illegal;
mod random;
