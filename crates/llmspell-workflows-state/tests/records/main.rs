//! The format of records and their meaning.

mod fields;
mod golden;
mod illegal;
mod old;
mod random;
