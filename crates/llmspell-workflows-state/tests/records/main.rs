//! Tests of the record format and of the meaning of records.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod fields;
mod golden;
mod illegal;
mod old;
mod random;
