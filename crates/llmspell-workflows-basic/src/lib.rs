//! The model, the engine and the patterns.
