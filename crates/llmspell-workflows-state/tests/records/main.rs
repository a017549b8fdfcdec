//! The format of records and their meaning.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod fields;
mod golden;
mod illegal;
mod old;
mod random;
