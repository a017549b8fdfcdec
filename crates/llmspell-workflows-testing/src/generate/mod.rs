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

mod plan;
mod values;
mod write;

use llmspell_workflows_basic::model::Definition;
use proptest::prelude::*;

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
