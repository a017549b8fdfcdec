//! Functions that definitions name: [`Functions`].

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use crate::{StepError, patterns::BranchResult, state::Conflict};

/// Makes one output of the results of a parallel block's branches, in definition order.
pub type Aggregate = Arc<dyn Fn(Vec<BranchResult>) -> Result<Value, StepError> + Send + Sync>;

/// Says what a part of the state is that branches set to different values.
pub type Resolve = Arc<dyn Fn(&Conflict) -> Result<Value, StepError> + Send + Sync>;

/// Makes the state of a later version of a definition of that of an earlier one: an object, without `$input`.
pub type Migrate = Arc<dyn Fn(Value) -> Result<Value, StepError> + Send + Sync>;

/// What a definition cannot hold as data and names instead.
///
/// Closures given to builders are registered here as `WORKFLOW#STEP`.
#[derive(Clone, Default)]
pub struct Functions {
    aggregations: BTreeMap<String, Aggregate>,
    resolvers: BTreeMap<String, Resolve>,
    migrations: BTreeMap<String, Migrate>,
}

impl Functions {
    /// Registers an aggregation of branches.
    pub fn register_aggregation<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: Fn(Vec<BranchResult>) -> Result<Value, StepError> + Send + Sync + 'static,
    {
        self.aggregations.insert(name.into(), Arc::new(function));
        self
    }

    /// Registers what resolves conflicts between branches.
    pub fn register_resolver<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: Fn(&Conflict) -> Result<Value, StepError> + Send + Sync + 'static,
    {
        self.resolvers.insert(name.into(), Arc::new(function));
        self
    }

    /// Registers what makes the state of a later version of a definition of that of an earlier one.
    pub fn register_migration<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: Fn(Value) -> Result<Value, StepError> + Send + Sync + 'static,
    {
        self.migrations.insert(name.into(), Arc::new(function));
        self
    }

    /// Takes over everything of `other`.
    pub fn extend(&mut self, other: Self) -> &mut Self {
        self.aggregations.extend(other.aggregations);
        self.resolvers.extend(other.resolvers);
        self.migrations.extend(other.migrations);
        self
    }

    /// The names of all aggregations, sorted.
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
