//! Tests for the record format and the meaning of records.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod earlier_formats;
mod fields;
mod golden;
mod illegal;
mod random;
mod retrying;
