//! What the tests share: activities that misbehave, a clock, a journal.

mod clock;
mod journal;
mod lab;

pub(crate) use clock::Paused;
pub(crate) use journal::{Journal, Records};
pub(crate) use lab::{Lab, Ran, code, echo, fail, fixed, output, put, seconds, slow, with};
