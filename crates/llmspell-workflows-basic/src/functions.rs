//! The functions that definitions refer to by name: [`Functions`].

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use crate::{StepError, patterns::BranchResult, state::Conflict};

/// Combines the results of a parallel block's branches, given in definition order, into one output.
pub type Aggregate = Arc<dyn Fn(Vec<BranchResult>) -> Result<Value, StepError> + Send + Sync>;

/// Resolves a conflict: chooses the value of a part of the state that branches set differently.
pub type Resolve = Arc<dyn Fn(&Conflict) -> Result<Value, StepError> + Send + Sync>;

/// Migrates the state of a run, an object without `$input`, to a later version of its definition.
pub type Migrate = Arc<dyn Fn(Value) -> Result<Value, StepError> + Send + Sync>;

/// A registry of functions by name.
///
/// A definition is data, so it can refer to a function only by its name. Builders register closures as `WORKFLOW#STEP`.
#[derive(Clone, Default)]
pub struct Functions {
    aggregations: BTreeMap<String, Aggregate>,
    resolvers: BTreeMap<String, Resolve>,
    migrations: BTreeMap<String, Migrate>,
}

impl Functions {
    /// Registers a function that aggregates the results of branches.
    pub fn register_aggregation<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: Fn(Vec<BranchResult>) -> Result<Value, StepError> + Send + Sync + 'static,
    {
        self.aggregations.insert(name.into(), Arc::new(function));
        self
    }

    /// Registers a function that resolves conflicts between branches.
    pub fn register_resolver<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: Fn(&Conflict) -> Result<Value, StepError> + Send + Sync + 'static,
    {
        self.resolvers.insert(name.into(), Arc::new(function));
        self
    }

    /// Registers a function that migrates the state to a later version of a definition.
    pub fn register_migration<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: Fn(Value) -> Result<Value, StepError> + Send + Sync + 'static,
    {
        self.migrations.insert(name.into(), Arc::new(function));
        self
    }

    /// Adds all functions of `other`, replacing existing functions with the same names.
    pub fn extend(&mut self, other: Self) -> &mut Self {
        self.aggregations.extend(other.aggregations);
        self.resolvers.extend(other.resolvers);
        self.migrations.extend(other.migrations);
        self
    }

    /// Returns the names of all aggregations, sorted.
    #[must_use]
    pub fn aggregations(&self) -> Vec<String> {
        self.aggregations.keys().cloned().collect()
    }

    pub(crate) fn has_aggregation(&self, name: &str) -> bool {
        self.aggregations.contains_key(name)
    }

    pub(crate) fn has_resolver(&self, name: &str) -> bool {
        self.resolvers.contains_key(name)
    }

    pub(crate) fn aggregation(&self, name: &str) -> Option<&Aggregate> {
        self.aggregations.get(name)
    }

    pub(crate) fn migration(&self, name: &str) -> Option<&Migrate> {
        self.migrations.get(name)
    }

    pub(crate) fn migration_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.migrations.keys().map(String::as_str)
    }

    pub(crate) fn resolver(&self, name: &str) -> Option<&Resolve> {
        self.resolvers.get(name)
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions")
            .field("aggregations", &self.aggregations.keys().collect::<Vec<_>>())
            .field("resolvers", &self.resolvers.keys().collect::<Vec<_>>())
            .field("migrations", &self.migrations.keys().collect::<Vec<_>>())
            .finish()
    }
}
