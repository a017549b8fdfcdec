use std::time::Duration;

use super::{Extensions, Resume, StuckStep, Wait};
use crate::workflow::Finished;

/// The options of one run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The run to resume; `None` to start a new run.
    pub resume: Option<Resume>,
    /// The name of one of the definition's environments, whose values override the variables.
    pub environment: Option<String>,
    /// Values that interceptors need for this run.
    pub extensions: Extensions,
    /// The number of runs that enclose this run.
    pub depth: u32,
    /// The time limit of the run, in addition to the definition's limit.
    pub timeout: Option<Duration>,
}

/// The result of [`Engine::drive`](super::Engine::drive).
#[derive(Debug)]
pub enum Driven {
    /// The run has ended.
    Done(Box<Finished>),
    /// All active branches of the run are waiting, and all of the run's tasks have ended.
    Parked(Wait),
    /// The run cannot continue until its stuck steps are resolved.
    Stuck {
        /// The stuck steps, each with the reason.
        steps: Vec<StuckStep>,
        /// The result so far.
        so_far: Box<Finished>,
    },
}
