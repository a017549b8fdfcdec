//! Tests of workflows, written in YAML beside them: what `spellflow test` runs.
//!
//! [`File`] is what such a file says, read with all that is wrong at once. [`run()`] runs each of its cases in an engine
//! of its own, where [`Mocks`] answer instead of activities and a clock skips what steps only wait for. [`compare`]
//! says where a run differs from what was expected. `docs/testing-workflows.md` is the guide for users.

mod clock;
mod compare;
mod format;
mod mocks;
mod placed;
mod read;
mod report;
mod run;

use clock::IdleClock;
use compare::{Mismatch, mismatches};
pub(crate) use format::File;
use format::{Answer, Case, Expect, Mock, Mocked};
use mocks::Mocks;
use placed::Pattern;
pub(crate) use report::report_text;
pub(crate) use run::{CaseReport, Options, problems, run, stand_ins};
