//! The limits on definitions and runs: [`Limits`].

use std::time::Duration;

/// The limits of the engine.
///
/// Exceeding a limit is an error that names the limit, except for `warnings_max`: further warnings are only counted, in
/// [`crate::Finished`]. The table in `docs/limits.md` is generated from [`Limits::table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of steps in a definition.
    pub definition_steps_max: usize,
    /// The maximum depth of nested steps in a definition.
    pub nesting_max: usize,
    /// The maximum number of steps executed in a run.
    pub run_steps_max: u64,
    /// The maximum number of iterations of a loop that does not set its own maximum.
    pub loop_iterations_max: u64,
    /// The maximum number of branches, iterations or graph steps that run at once, unless the block
    /// sets its own maximum.
    pub parallelism_max: u32,
    /// The maximum number of transitions in a route that does not set its own maximum.
    pub transitions_max: u32,
    /// The maximum depth of nested sub-workflow runs.
    pub sub_workflow_depth_max: u32,
    /// The maximum number of crashes during one step before the step fails as `poison`.
    pub crash_cuts_max: u32,
    /// The maximum size of a step's output, in bytes of JSON.
    pub output_bytes_max: usize,
    /// The maximum total size of a run's activity outputs, in bytes of JSON. The run keeps all of
    /// them until it ends.
    pub run_outputs_bytes_max: u64,
    /// The maximum number of warnings that a run stores; further warnings are only counted.
    pub warnings_max: usize,
    /// How long a cancelled activity may take to stop.
    pub cancel_grace: Duration,
    /// How long a cleanup step (a `finally` step or a compensation step) may take,
    /// unless it has its own timeout.
    pub cleanup_step_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            definition_steps_max: 10_000,
            nesting_max: 64,
            run_steps_max: 1_000_000,
            loop_iterations_max: 10_000,
            parallelism_max: 100,
            transitions_max: 1_000,
            sub_workflow_depth_max: 5,
            crash_cuts_max: 3,
            output_bytes_max: 64 << 20,
            run_outputs_bytes_max: 1 << 30,
            warnings_max: 1_000,
            cancel_grace: Duration::from_secs(5),
            cleanup_step_max: Duration::from_secs(60 * 60),
        }
    }
}

impl Limits {
    /// Returns each limit's name, value and meaning, for the documentation.
    #[must_use]
    pub fn table(&self) -> Vec<(&'static str, String, &'static str)> {
        vec![
            ("definition_steps_max", self.definition_steps_max.to_string(), "steps in a definition"),
            ("nesting_max", self.nesting_max.to_string(), "nesting depth of steps"),
            ("run_steps_max", self.run_steps_max.to_string(), "steps executed in a run"),
            (
                "loop_iterations_max",
                self.loop_iterations_max.to_string(),
                "iterations of a loop without its own maximum",
            ),
            ("parallelism_max", self.parallelism_max.to_string(), "concurrent branches, iterations or graph steps"),
            ("transitions_max", self.transitions_max.to_string(), "transitions of a route"),
            ("sub_workflow_depth_max", self.sub_workflow_depth_max.to_string(), "nested sub-workflow runs"),
            ("crash_cuts_max", self.crash_cuts_max.to_string(), "process crashes during one step"),
            ("output_bytes_max", self.output_bytes_max.to_string(), "size of a step's output, in bytes of JSON"),
            (
                "run_outputs_bytes_max",
                self.run_outputs_bytes_max.to_string(),
                "total output size of a run's activities, in bytes of JSON",
            ),
            (
                "warnings_max",
                self.warnings_max.to_string(),
                "warnings stored by a run; further warnings are only counted",
            ),
            ("cancel_grace", format!("{} s", self.cancel_grace.as_secs()), "time for a cancelled activity to stop"),
            (
                "cleanup_step_max",
                format!("{} s", self.cleanup_step_max.as_secs()),
                "time of a `finally` step or a compensation without its own timeout",
            ),
        ]
    }
}
