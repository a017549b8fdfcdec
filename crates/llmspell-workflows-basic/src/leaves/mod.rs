//! The leaves without effects, each in a file: what it is made of, what can be wrong with it, and what it does.

mod set;
mod sleep;
mod validate;
mod wait_for_event;
