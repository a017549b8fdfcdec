//! The leaves without effects. Each file contains one leaf's plan, validation and execution.

mod set;
mod sleep;
mod validate;
mod wait_for_event;
