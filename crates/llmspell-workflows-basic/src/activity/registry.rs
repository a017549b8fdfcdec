use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use uuid::Uuid;

use super::{Activity, Leftovers};
use crate::model::ActivityName;

/// A registry of activities. Activities are registered by kind and name, or by a [`Provider`] for a whole kind.
#[derive(Clone, Default)]
pub struct Activities {
    named: BTreeMap<ActivityName, Arc<dyn Activity>>,
    providers: BTreeMap<String, Arc<dyn Provider>>,
    may_be_missing: BTreeSet<String>,
    leftovers: Vec<Arc<dyn Leftovers>>,
}

/// A provider of all activities of one kind, for example of all tools.
pub trait Provider: Send + Sync {
    /// Returns the activity `name`, if it exists.
    fn find(&self, name: &str) -> Option<Arc<dyn Activity>>;

    /// Returns the names of all activities, to suggest similar names in errors.
    fn names(&self) -> Vec<String>;
}

impl Activities {
    /// Creates an empty registry. A reference to a missing persona is only a warning; calling the
    /// persona fails.
    #[must_use]
    pub fn new() -> Self {
        Self { may_be_missing: BTreeSet::from(["persona-request".to_owned()]), ..Self::default() }
    }

    /// Registers the activity `name` of `kind`; replaces an activity with the same name.
    ///
    /// An activity with an empty name is the fallback for every unregistered name of its kind.
    pub fn register(
        &mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        activity: impl Activity + 'static,
    ) -> &mut Self {
        self.named.insert(ActivityName::new(kind, name), Arc::new(activity));
        self
    }

    /// Registers a provider for the activities of `kind` that are not registered by name.
    pub fn provide(&mut self, kind: impl Into<String>, provider: impl Provider + 'static) -> &mut Self {
        self.providers.insert(kind.into(), Arc::new(provider));
        self
    }

    /// Adds all activities and providers of `other`, replacing those with the same names.
    pub fn extend(&mut self, other: Self) -> &mut Self {
        self.named.extend(other.named);
        self.providers.extend(other.providers);
        self.may_be_missing.extend(other.may_be_missing);
        self.leftovers.extend(other.leftovers);
        self
    }

    /// Adds a service that ends the leftovers of steps whose process died.
    pub fn end_leftovers_with(&mut self, leftovers: impl Leftovers + 'static) -> &mut Self {
        self.leftovers.push(Arc::new(leftovers));
        self
    }

    /// Ends the leftovers of the steps at `paths` of `run`; returns a description of each leftover
    /// that could not be ended.
    pub async fn end_leftovers(&self, run: Uuid, paths: &[String]) -> Vec<String> {
        let mut left = Vec::new();
        for leftovers in &self.leftovers {
            left.extend(leftovers.end(run, paths).await);
        }
        left
    }

    /// Returns the activity `name`, if it exists.
    #[must_use]
    pub fn find(&self, name: &ActivityName) -> Option<Arc<dyn Activity>> {
        let any = || self.named.get(&ActivityName::new(name.kind.clone(), "")).cloned();
        let provided = || self.providers.get(&name.kind)?.find(&name.name);
        self.named.get(name).cloned().or_else(provided).or_else(any)
    }

    /// Returns the names of all activities of `kind`, sorted.
    #[must_use]
    pub fn names(&self, kind: &str) -> Vec<String> {
        let named = self.named.keys().filter(|name| name.kind == kind).map(|name| name.name.clone());
        let provided = self.providers.get(kind).map(|provider| provider.names()).unwrap_or_default();
        let names: BTreeSet<_> = named.chain(provided).filter(|name| !name.is_empty()).collect();
        names.into_iter().collect()
    }

    /// Returns the kinds with at least one activity or a provider, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let kinds: BTreeSet<_> =
            self.named.keys().map(|name| name.kind.clone()).chain(self.providers.keys().cloned()).collect();
        kinds.into_iter().collect()
    }

    /// Returns whether a reference to an unknown activity of `kind` is only a warning until a step
    /// calls it.
    #[must_use]
    pub fn may_be_missing(&self, kind: &str) -> bool {
        self.may_be_missing.contains(kind)
    }
}

impl fmt::Debug for Activities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activities")
            .field("named", &self.named.keys().map(ToString::to_string).collect::<Vec<_>>())
            .field("providers", &self.providers.keys().collect::<Vec<_>>())
            .finish()
    }
}
