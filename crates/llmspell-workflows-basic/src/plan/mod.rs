//! A definition made ready to run: [`Plan`].
//!
//! Texts are parsed once, activities found, dependencies ordered, and each step has just the interceptors that concern
//! it. A plan is made by [`crate::Engine::prepare`] and can be run any number of times.

mod activities;
mod body;
mod build;
mod children;
mod code;
pub(crate) mod graph;
mod list;
mod migrations;
mod names;
mod node;
mod order;
mod root;
mod waits;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use indexmap::IndexMap;

pub(crate) use body::{ActivityPlan, Body, Child, ChildAt, Composite, Leaf, SubPlan, Work};
pub(crate) use build::Builder;
pub(crate) use list::List;
pub use node::Role;
pub(crate) use node::{Length, Node, NodeRef, Recovery};
pub use order::Order;

use crate::{
    Problem, Severity,
    expr::{Expr, Template},
    model::Definition,
};

/// A definition made ready to run by one engine.
pub struct Plan {
    pub(crate) definition: Arc<Definition>,
    /// All its nodes; each knows its place.
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
    /// What it runs.
    #[must_use]
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// What is odd about the definition without keeping it from running.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The fields of the input that expressions read, and whether one must be there; empty where inputs are declared.
    ///
    /// A field that is read only with a default, or that a step may set in the state, need not be there.
    ///
    /// ```
    /// use llmspell_workflows_basic::{Engine, model::{Definition, Step}};
    /// use serde_json::{Map, json};
    ///
    /// let greeting = json!("{{ greeting || 'Hello' }} {{ user.name }}");
    /// let step = Step::set("greet", Map::from_iter([("text".to_owned(), greeting)]));
    /// let plan = Engine::builder().build().prepare(Definition::sequence("greet", [step]))?;
    /// let fields: Vec<_> = plan.input_fields().iter().map(|(name, needed)| (name.as_str(), *needed)).collect();
    /// assert_eq!(fields, [("greeting", false), ("user", true)]);
    /// # Ok::<(), llmspell_workflows_basic::Invalid>(())
    /// ```
    #[must_use]
    pub fn input_fields(&self) -> &BTreeMap<String, bool> {
        &self.fields_read
    }

    /// Whether a step of it, or of a sub-workflow of it, takes a permit of the limit `name`.
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

/// Why a definition cannot run: all its problems, with warnings among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl Invalid {
    /// The stable code of the definition as a whole, which has a page; each problem has one of its own.
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
