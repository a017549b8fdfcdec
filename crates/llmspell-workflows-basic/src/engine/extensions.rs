use std::{
    any::{Any, TypeId, type_name},
    collections::BTreeMap,
    fmt,
    sync::Arc,
};

/// Values that interceptors need for one run, at most one of each type.
///
/// ```
/// use llmspell_workflows_basic::engine::Extensions;
///
/// struct Budget(u32);
///
/// let extensions = Extensions::new().with(Budget(7));
/// assert_eq!(extensions.get::<Budget>().map(|budget| budget.0), Some(7));
/// ```
#[derive(Clone, Default)]
pub struct Extensions(BTreeMap<TypeId, (&'static str, Arc<dyn Any + Send + Sync>)>);

impl Extensions {
    /// Creates an empty set of extensions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `value`, replacing the value of the same type.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(self, value: T) -> Self {
        self.with_shared(Arc::new(value))
    }

    /// Adds a shared value.
    #[must_use]
    pub fn with_shared<T: Any + Send + Sync>(mut self, value: Arc<T>) -> Self {
        self.0.insert(TypeId::of::<T>(), (type_name::<T>(), value));
        self
    }

    /// Returns the value of type `T`.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.get(&TypeId::of::<T>()).and_then(|(_, value)| value.clone().downcast().ok())
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.values().map(|(name, _)| name)).finish()
    }
}
