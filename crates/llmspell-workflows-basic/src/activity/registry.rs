use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::Activity;
use crate::model::ActivityName;

/// Where activities are found: by kind and name, or by a [`Provider`] of a whole kind.
#[derive(Clone, Default)]
pub struct Activities {
    named: BTreeMap<ActivityName, Arc<dyn Activity>>,
    providers: BTreeMap<String, Arc<dyn Provider>>,
    late: BTreeSet<String>,
}

/// Finds the activities of one kind, for example all tools.
pub trait Provider: Send + Sync {
    /// The activity `name`, if there is one.
    fn find(&self, name: &str) -> Option<Arc<dyn Activity>>;

    /// The names of all activities, for suggestions.
    fn names(&self) -> Vec<String>;
}

impl Activities {
    /// A registry with nothing in it, in which personas may be missing until they are called.
    #[must_use]
    pub fn new() -> Self {
        Self { late: BTreeSet::from(["persona-request".to_owned()]), ..Self::default() }
    }

    /// Registers the activity `name` of `kind`; a former one of that name is replaced.
    ///
    /// With an empty name it is the one activity of its kind, which answers for every name not registered itself.
    pub fn register(
        &mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        activity: impl Activity + 'static,
    ) -> &mut Self {
        self.named.insert(ActivityName::new(kind, name), Arc::new(activity));
        self
    }

    /// Registers where the activities of `kind` are found that are not registered by name.
    pub fn provide(&mut self, kind: impl Into<String>, provider: impl Provider + 'static) -> &mut Self {
        self.providers.insert(kind.into(), Arc::new(provider));
        self
    }

    /// Takes over everything of `other`; its activities stand where both have one of a name.
    pub fn extend(&mut self, other: Self) -> &mut Self {
        self.named.extend(other.named);
        self.providers.extend(other.providers);
        self.late.extend(other.late);
        self
    }

    /// The activity `name`, if there is one.
    #[must_use]
    pub fn find(&self, name: &ActivityName) -> Option<Arc<dyn Activity>> {
        let any = || self.named.get(&ActivityName::new(name.kind.clone(), "")).cloned();
        let provided = || self.providers.get(&name.kind)?.find(&name.name);
        self.named.get(name).cloned().or_else(provided).or_else(any)
    }

    /// The names of all activities of `kind`, sorted.
    #[must_use]
    pub fn names(&self, kind: &str) -> Vec<String> {
        let named = self.named.keys().filter(|name| name.kind == kind).map(|name| name.name.clone());
        let provided = self.providers.get(kind).map(|provider| provider.names()).unwrap_or_default();
        let names: BTreeSet<_> = named.chain(provided).filter(|name| !name.is_empty()).collect();
        names.into_iter().collect()
    }

    /// The kinds of which there is any activity, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let kinds: BTreeSet<_> =
            self.named.keys().map(|name| name.kind.clone()).chain(self.providers.keys().cloned()).collect();
        kinds.into_iter().collect()
    }

    /// Whether an unknown activity of `kind` is an error only when it is called, and a warning before.
    #[must_use]
    pub fn may_be_missing(&self, kind: &str) -> bool {
        self.late.contains(kind)
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
