use std::{collections::BTreeMap, fmt, sync::Arc};

use super::BasicWorkflow;

/// Workflows by name.
#[derive(Clone, Default)]
pub struct WorkflowRegistry {
    workflows: BTreeMap<String, Arc<dyn BasicWorkflow>>,
}

impl WorkflowRegistry {
    /// A registry with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers `workflow` under its name; the former one of that name, if there was one.
    pub fn register(&mut self, workflow: Arc<dyn BasicWorkflow>) -> Option<Arc<dyn BasicWorkflow>> {
        self.workflows.insert(workflow.name().to_owned(), workflow)
    }

    /// The workflow `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn BasicWorkflow>> {
        self.workflows.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.workflows.keys().map(String::as_str)
    }

    /// Takes the workflow `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Arc<dyn BasicWorkflow>> {
        self.workflows.remove(name)
    }
}

impl fmt::Debug for WorkflowRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.workflows.keys()).finish()
    }
}
