//! What the tests share: activities that misbehave, a clock, a journal, processes that crash.

mod clock;
mod journal;
mod lab;
mod process;

pub(crate) use clock::Paused;
pub(crate) use journal::{Journal, Records};
pub(crate) use lab::{Lab, echo, fail, hang, ids, put, slow};
pub(crate) use process::{Time, crash_everywhere};
