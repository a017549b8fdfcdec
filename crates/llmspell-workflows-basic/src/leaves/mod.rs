//! The leaves without effects, one per file: plan, validation and execution.

mod set;
mod sleep;
mod validate;
mod wait_for_event;
