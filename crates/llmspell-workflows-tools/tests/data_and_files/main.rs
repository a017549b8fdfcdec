//! The data and file tools as callers see them: through a registry, under a policy.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod every_tool;
mod operations;
mod place;
mod search;
mod writer;
