//! Definitions prepared to run: [`Plan`].
//!
//! [`crate::Engine::prepare`] parses all expressions and templates once, looks up activities, orders dependencies, and
//! selects the interceptors that apply to each step. A plan can be run any number of times.

mod absence;
mod activities;
mod body;
mod build;
mod children;
pub(crate) mod circles;
mod cleanup;
mod code;
mod collections;
mod given;
pub(crate) mod graph;
mod in_scope;
mod list;
mod migrations;
mod names;
mod node;
mod order;
mod presence;
mod root;
mod settings;
pub(crate) mod shapes;
mod waits;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, OnceLock},
};

use indexmap::IndexMap;

pub(crate) use body::{ActivityPlan, Body, Child, ChildAt, Composite, Leaf, SubPlan, Work};
pub(crate) use build::Builder;
pub use given::UnmetRead;
pub(crate) use in_scope::ListKind;
pub(crate) use list::List;
pub use node::Role;
pub(crate) use node::{Length, Node, NodeRef, Recovery};
pub use order::Order;

use crate::{
    Problem, Severity,
    expr::{Expr, Template},
    model::Definition,
};

/// A definition prepared to run by one engine.
pub struct Plan {
    pub(crate) definition: Arc<Definition>,
    /// The hash of the definition, once it has been needed.
    pub(crate) hash: OnceLock<String>,
    /// All nodes of the plan, by their numbers.
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) root: Arc<Node>,
    pub(crate) finally: Option<Arc<Node>>,
    pub(crate) trigger: Option<Expr>,
    pub(crate) variables: IndexMap<String, Template>,
    pub(crate) environments: HashMap<String, IndexMap<String, Template>>,
    pub(crate) conditions: HashMap<String, Expr>,
    pub(crate) migrations: migrations::Migrations,
    pub(crate) fields_read: BTreeMap<String, bool>,
    pub(crate) warnings: Vec<Problem>,
}

impl Plan {
    /// Returns the definition.
    #[must_use]
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Returns the hash of the definition; it is computed only once.
    #[must_use]
    pub fn definition_hash(&self) -> &str {
        self.hash.get_or_init(|| self.definition.hash())
    }

    /// Returns whether a step of the workflow runs a sub-workflow.
    #[must_use]
    pub fn has_sub_workflows(&self) -> bool {
        self.nodes.iter().any(|node| node.body.sub_workflow().is_some())
    }

    /// Returns whether a step of the workflow or its sub-workflows can be undone.
    fn has_compensation(&self) -> bool {
        let compensates = |node: &Arc<Node>| {
            node.undo.is_some() || node.body.sub_workflow().is_some_and(|sub| sub.plan.has_compensation())
        };
        self.nodes.iter().any(compensates)
    }

    /// Returns whether the step at `path` is undone by undoing its sub-workflow: the step has no
    /// compensation step itself, but its workflow contains compensation steps.
    #[must_use]
    pub fn undoes_child_at(&self, path: &crate::StepPath) -> bool {
        let node = self.node_at(path).filter(|node| node.undo.is_none());
        node.and_then(|node| node.body.sub_workflow()).is_some_and(|sub| sub.plan.has_compensation())
    }

    /// Returns the warnings about the definition.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Returns the input fields that expressions read, and whether each is required.
    ///
    /// The map is empty if the definition declares its inputs. A field is not required if it is read only with a
    /// default, or if a step may set a state key of the same name.
    ///
    /// ```
    /// use llmspell_workflows_basic::{Engine, model::{Definition, Step}};
    /// use serde_json::{Map, json};
    ///
    /// let greeting = json!("{{ greeting || 'Hello' }} {{ user.name }}");
    /// let step = Step::set("greet", Map::from_iter([("text".to_owned(), greeting)]));
    /// let plan = Engine::builder().build().prepare(Definition::sequence("greet", [step]))?;
    /// let fields: Vec<_> = plan.input_fields().iter().map(|(name, required)| (name.as_str(), *required)).collect();
    /// assert_eq!(fields, [("greeting", false), ("user", true)]);
    /// # Ok::<(), llmspell_workflows_basic::Invalid>(())
    /// ```
    #[must_use]
    pub fn input_fields(&self) -> &BTreeMap<String, bool> {
        &self.fields_read
    }

    /// Returns whether any step of the plan or its sub-workflows takes a permit of the limit
    /// `name`.
    pub(crate) fn takes_permit(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| {
            let takes_it = node.step.limits.iter().any(|limit| limit == name);
            takes_it || node.body.sub_workflow().is_some_and(|sub| sub.plan.takes_permit(name))
        })
    }

    pub(crate) fn condition(&self, name: &str) -> Option<&Expr> {
        self.conditions.get(name)
    }

    pub(crate) fn has_condition(&self, name: &str) -> bool {
        self.conditions.contains_key(name)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan of {} {}", self.definition.name, self.definition.version)
    }
}

/// An invalid definition: all its problems, including warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl Invalid {
    /// Returns the stable code, documented under `docs/errors`; each problem has its own code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_definition"
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.iter().filter(|problem| problem.severity == Severity::Error);
        for (number, problem) in errors.enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
