//! The leaves without effects. Each file contains the plan, the validation and the execution of one leaf.

mod set;
mod sleep;
mod validate;
mod wait_for_event;
