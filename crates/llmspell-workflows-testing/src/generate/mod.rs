//! Random valid definitions, as strategies of proptest.
//!
//! A definition is made in two steps: a strategy grows a plan, a tree without names that shrinks well, and
//! that is written out as a model, where each step gets an id of its own and refers only to what it can see. So every
//! definition is valid by construction, and a smaller one stays valid.
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

/// The name of the function that generated steps call; register one that answers with its input.
pub const FUNCTION: &str = "probe";

/// The name of the tool that generated steps call.
pub const TOOL: &str = "probe_tool";

/// The name of the concurrency limit that generated steps take permits of.
pub const LIMIT: &str = "probe_limit";

/// Valid definitions of up to some forty steps, nested up to four levels deep.
///
/// They hold every kind of step. Their input has a number `n` and a list `items`; each list but a route's may refer to
/// earlier steps, conditions also to the state.
pub fn definition() -> impl Strategy<Value = Definition> {
    (plan::head(), plan::body()).prop_map(|(head, body)| write::definition(head, body))
}

/// The definition that `seed` stands for; always the same.
///
/// # Panics
/// Never: every plan that the strategy grows is a definition.
#[must_use]
pub fn from_seed(seed: u64) -> Definition {
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    definition().new_tree(&mut runner).expect("the strategy refuses nothing").current()
}
