//! The model, the engine and the patterns.

pub mod expr;
