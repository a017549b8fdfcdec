//! The limits on definition files.

/// The maximum size of a file in bytes: 8 MiB.
pub const FILE_BYTES: usize = 8 << 20;

/// The maximum number of values in a document, with aliases expanded.
pub const NODES: usize = 500_000;

/// The maximum total size of all strings in a document in bytes, with aliases expanded: 16 MiB.
pub const TEXT_BYTES: usize = 16 << 20;

/// The maximum nesting depth of collections.
pub const NODE_NESTING: usize = 255;

/// The maximum nesting depth of steps.
pub const STEP_NESTING: usize = 64;

/// The maximum length of a key in characters.
pub const KEY_CHARS: usize = 1_024;

/// The maximum number of diagnostics for one file; further diagnostics are only counted.
pub const DIAGNOSTICS: usize = 200;

/// The maximum number of findings before sorting; further findings are only counted.
pub(crate) const FINDINGS: usize = 10_000;

/// The maximum number of names that are compared with an unknown name to find a similar one.
pub(crate) const SUGGESTIONS: usize = 1_000;
