//! Random valid definitions, as proptest strategies.
//!
//! A definition is generated in two steps. A strategy grows a plan, which is a tree without ids
//! that shrinks well. The plan is then converted to a model in which each step has a unique id and
//! refers only to steps that it can see. Every definition is therefore valid by construction and
//! stays valid when it shrinks.
//!
//! ```
//! use llmspell_workflows_testing::generate;
//! use proptest::prelude::*;
//!
//! proptest!(|(definition in generate::definition())| {
//!     prop_assert_eq!(definition.hash(), definition.clone().hash());
//! });
//! ```

mod crashed;
mod plan;
mod settle;
mod values;
mod write;

use llmspell_workflows_basic::model::Definition;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

pub use crashed::crash_test;
pub use settle::{probe, settled};
pub use values::{json, text};

/// The name of the function that generated steps call. Register a function that returns its input under this name.
pub const FUNCTION: &str = "probe";

/// The name of the tool that generated steps call.
pub const TOOL: &str = "probe_tool";

/// The name of the concurrency limit that generated steps use.
pub const LIMIT: &str = "probe_limit";

/// Generates valid definitions of up to about forty steps, nested up to four levels deep.
///
/// They contain every kind of step. Their input has a number `n` and a list `items`. Steps in a list can refer to
/// earlier steps, except in a route; conditions can also refer to the state.
pub fn definition() -> impl Strategy<Value = Definition> {
    (plan::head(), plan::body()).prop_map(|(head, body)| write::definition(head, body))
}

/// Returns the definition generated from `seed`. The same seed always results in the same definition.
///
/// # Panics
/// Never panics: every plan that the strategy generates becomes a valid definition.
#[must_use]
pub fn from_seed(seed: u64) -> Definition {
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    definition().new_tree(&mut runner).expect("the strategy rejects nothing").current()
}
