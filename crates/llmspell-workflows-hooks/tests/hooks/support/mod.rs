//! What the tests share: activities that misbehave, and runs whose processes crash.

mod lab;
mod recorded;

pub(crate) use lab::{Lab, Ran, code, echo, fail, fixed, output, put, seconds, slow, with};
pub(crate) use recorded::Recorded;
