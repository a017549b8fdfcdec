//! What the tests share: activities that misbehave, a clock, a journal, processes that crash.

mod clock;
mod gate;
mod journal;
mod lab;
mod naive;
mod probes;
mod process;

pub(crate) use clock::{Frozen, Paused};
pub(crate) use gate::{Gate, Opens};
pub(crate) use journal::{Journal, Records};
pub(crate) use lab::{Lab, echo, fail, hang, ids, put, slow};
pub(crate) use naive::Naive;
pub(crate) use probes::AnySchema;
pub(crate) use process::{Time, crash_everywhere, crash_generated};
