//! The limits of a run that comes from elsewhere.
//!
//! Runs of this program stay far below them: they bound what reading, showing and resuming such a run can cost.

/// The maximum size of an exported document in bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 30;
/// The maximum number of records of a run.
pub const RECORDS_MAX: usize = 5_000_000;
/// The maximum number of definitions that a run has had.
pub const DEFINITIONS_MAX: usize = 1_000;
/// The maximum number of messages to a run.
pub const MESSAGES_MAX: usize = 1_000_000;
/// The maximum number of checkpoints of a run.
pub const CHECKPOINTS_MAX: usize = 100_000;
/// The maximum length of the path of a step in bytes.
pub const PATH_BYTES_MAX: usize = 4_096;
/// The maximum number of steps in a path, from the root to the step itself.
pub const PATH_STEPS_MAX: usize = 256;
/// The maximum total length in bytes of the paths of all steps and of the blocks that enclose them.
pub const PATHS_BYTES_MAX: usize = 512 << 20;
/// The maximum generation of a step.
pub const GENERATION_MAX: u32 = 1_000_000;
/// The maximum nesting of a value, with references to outputs of other steps replaced by these outputs.
pub const VALUE_NESTING_MAX: usize = 256;
/// The maximum total size in bytes of the outputs and state changes of all steps, with references replaced.
pub const VALUES_BYTES_MAX: u64 = 4 << 30;
/// The maximum total size in bytes of the state changes that refer to other values, with references replaced.
pub const CHANGES_BYTES_MAX: u64 = 512 << 20;
