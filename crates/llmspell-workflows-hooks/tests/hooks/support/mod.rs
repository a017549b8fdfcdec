//! Shared helpers: test activities, and runs whose processes crash.

mod lab;
mod recorded_run;

pub(crate) use lab::{Lab, LabRun, code, echo, fail, fixed, output, put, seconds, slow, with};
pub(crate) use recorded_run::RecordedRun;
