//! Workflow tests written in YAML, run by `spellflow test`.
//!
//! [`File`] is the content of a test file; reading it reports all problems together. [`run()`] runs each case in its
//! own engine, where [`Mocks`] replace activities and a clock skips idle time. [`compare`] finds the differences
//! between a run and the expectations. `docs/testing-workflows.md` is the user guide.

mod clock;
mod compare;
mod format;
mod mocks;
mod pattern;
mod read;
mod report;
mod run;

use clock::IdleClock;
use compare::{Mismatch, mismatches};
pub(crate) use format::File;
use format::{Answer, Case, Expect, Mock, MockEntry};
use mocks::Mocks;
use pattern::Pattern;
pub(crate) use report::report_text;
pub(crate) use run::{CaseReport, Options, placeholders, problems, run};
