//! Limits on imported runs.
//!
//! These limits bound the cost of reading, showing and resuming an imported run. This
//! program's own runs stay far below them.

/// The maximum size of an exported document in bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 30;
/// The maximum number of records of a run.
pub const RECORDS_MAX: usize = 5_000_000;
/// The maximum number of definitions in a run's history.
pub const DEFINITIONS_MAX: usize = 1_000;
/// The maximum number of messages to a run.
pub const MESSAGES_MAX: usize = 1_000_000;
/// The maximum number of checkpoints of a run.
pub const CHECKPOINTS_MAX: usize = 100_000;
/// The maximum length of a step's path in bytes.
pub const PATH_BYTES_MAX: usize = 4_096;
/// The maximum number of steps in a path, from the root to the step itself.
pub const PATH_STEPS_MAX: usize = 256;
/// The maximum total length of the paths of all steps and their enclosing blocks, in bytes.
pub const PATHS_BYTES_MAX: usize = 512 << 20;
/// The maximum generation of a step.
pub const GENERATION_MAX: u32 = 1_000_000;
/// The maximum nesting depth of a value after references to other steps' outputs are resolved.
pub const VALUE_NESTING_MAX: usize = 256;
/// The maximum total size in bytes of all steps' outputs and state changes, with references
/// resolved.
pub const VALUES_BYTES_MAX: u64 = 4 << 30;
/// The maximum total size in bytes of state changes that refer to other values, with references
/// resolved.
pub const CHANGES_BYTES_MAX: u64 = 512 << 20;
