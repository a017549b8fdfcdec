//! What a definition and a run may use: [`Limits`].

use std::time::Duration;

/// Every limit of the engine, with its default.
///
/// Reaching one is an error that names it; reaching `warnings_max` is counted in [`crate::Finished`] instead. The table in `docs/limits.md` is made from [`Limits::table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many steps a definition may have.
    pub definition_steps_max: usize,
    /// How deep its steps may nest.
    pub nesting_max: usize,
    /// How many steps may be executed in a run.
    pub run_steps_max: u64,
    /// How many iterations a loop makes unless it says more itself.
    pub loop_iterations_max: u64,
    /// How many branches, iterations or steps of a graph run at once unless the block says otherwise.
    pub parallelism_max: u32,
    /// How often a route goes from one step to another unless it says otherwise.
    pub transitions_max: u32,
    /// How many runs may nest in each other.
    pub sub_workflow_depth_max: u32,
    /// How often a crash may cut a step until it is not tried again.
    pub crash_cuts_max: u32,
    /// How large a step's output may be, in bytes of JSON.
    pub output_bytes_max: usize,
    /// How many warnings a run keeps; further ones are counted.
    pub warnings_max: usize,
    /// How long an activity has to stop once it is asked to.
    pub cancel_grace: Duration,
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
            warnings_max: 1_000,
            cancel_grace: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Each limit's name, its value here and what it bounds, for the documentation.
    #[must_use]
    pub fn table(&self) -> Vec<(&'static str, String, &'static str)> {
        vec![
            ("definition_steps_max", self.definition_steps_max.to_string(), "steps of a definition"),
            ("nesting_max", self.nesting_max.to_string(), "depth of nested steps"),
            ("run_steps_max", self.run_steps_max.to_string(), "steps executed in a run"),
            (
                "loop_iterations_max",
                self.loop_iterations_max.to_string(),
                "iterations of a loop that does not set its own",
            ),
            ("parallelism_max", self.parallelism_max.to_string(), "branches, iterations or graph steps at once"),
            ("transitions_max", self.transitions_max.to_string(), "transitions of a route"),
            ("sub_workflow_depth_max", self.sub_workflow_depth_max.to_string(), "runs nested in each other"),
            ("crash_cuts_max", self.crash_cuts_max.to_string(), "crashes of the process while one step runs"),
            ("output_bytes_max", self.output_bytes_max.to_string(), "bytes of JSON of a step's output"),
            ("warnings_max", self.warnings_max.to_string(), "warnings that a run keeps; further ones are counted"),
            ("cancel_grace", format!("{} s", self.cancel_grace.as_secs()), "time to stop once asked to"),
        ]
    }
}
