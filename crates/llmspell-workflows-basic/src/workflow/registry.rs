use std::{collections::BTreeMap, fmt, sync::Arc};

use super::BasicWorkflow;

/// A registry of workflows by name.
#[derive(Clone, Default)]
pub struct WorkflowRegistry {
    workflows: BTreeMap<String, Arc<dyn BasicWorkflow>>,
}

impl WorkflowRegistry {
    /// Creates an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers `workflow` under its name; returns the replaced workflow, if any.
    pub fn register(&mut self, workflow: Arc<dyn BasicWorkflow>) -> Option<Arc<dyn BasicWorkflow>> {
        self.workflows.insert(workflow.name().to_owned(), workflow)
    }

    /// Returns the workflow `name`, if it exists.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn BasicWorkflow>> {
        self.workflows.get(name)
    }

    /// Returns all names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.workflows.keys().map(String::as_str)
    }

    /// Removes and returns the workflow `name`.
    pub fn remove(&mut self, name: &str) -> Option<Arc<dyn BasicWorkflow>> {
        self.workflows.remove(name)
    }
}

impl fmt::Debug for WorkflowRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.workflows.keys()).finish()
    }
}
