//! What a definition may be at most.

/// Bytes of a file: 8 MiB.
pub const FILE_BYTES: usize = 8 << 20;

/// Values in a document, aliases counted as often as they stand for something.
pub const NODES: usize = 500_000;

/// Bytes of all texts of a document, aliases counted likewise: 16 MiB.
pub const TEXT_BYTES: usize = 16 << 20;

/// Collections inside of collections.
pub const NODE_NESTING: usize = 255;

/// Steps inside of steps.
pub const STEP_NESTING: usize = 64;

/// Characters of a key.
pub const KEY_CHARS: usize = 1_024;

/// Diagnostics of one file; those beyond are counted.
pub const DIAGNOSTICS: usize = 200;

/// Mistakes that are kept until they are sorted; those beyond are counted.
pub(crate) const FINDINGS: usize = 10_000;

/// Names among which the nearest to a wrong one is looked for.
pub(crate) const SUGGESTIONS: usize = 1_000;
