//! Workflow tests written in YAML, run by `spellflow test`.
//!
//! [`File`] is the content of a test file; all problems in the file are reported together.
//! [`problems`] compares the file with the steps of the workflow and its sub-workflows ([`steps`]).
//! [`run()`] runs each case in its own engine and thread. There, [`Mocks`] replace activities,
//! [`TestChildren`] answers for mocked sub-workflows, and [`Watch`] observes the waits of steps.
//! [`drive`] sends the messages of the [`Script`] and skips idle time. [`compare`] finds the
//! differences between the run and the expectations. `docs/testing-workflows.md` is the user guide.

mod check;
mod children;
mod clock;
mod compare;
mod drive;
mod explain;
mod format;
mod mocks;
mod pattern;
mod read;
mod report;
mod run;
mod script;
mod steps;
mod watch;

pub(crate) use check::problems;
use children::TestChildren;
use clock::IdleClock;
pub(crate) use compare::Mismatch;
use compare::{mismatches, unused_answers};
use drive::Ended;
pub(crate) use format::File;
use format::{Answer, Case, Content, Expect, Message, Mock, MockEntry};
use mocks::Mocks;
use pattern::Pattern;
pub(crate) use report::report_text;
pub(crate) use run::{CaseReport, Options, placeholders, run, unused_mocks};
use script::Script;
pub(crate) use steps::known_steps;
use watch::Watch;
