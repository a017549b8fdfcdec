//! Code shared by the tests: activities, clocks, a journal, crashing processes, and a naive interpreter.

mod clock;
mod gate;
mod journal;
mod lab;
mod naive;
mod probes;
mod process;

pub(crate) use clock::{FrozenClock, PausedClock};
pub(crate) use gate::{Gate, OpenOnDrop};
pub(crate) use journal::{Journal, Records};
pub(crate) use lab::{Lab, echo, fail, hang, ids, put, slow};
pub(crate) use naive::Naive;
pub(crate) use probes::AnySchema;
pub(crate) use process::{ManualClock, crash_everywhere, crash_generated};
