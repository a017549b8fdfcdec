//! Workflows that consist of more than data, for example closures, code or lifecycle methods.

use std::{fmt, sync::Arc};

use llmspell_workflows_basic::{
    BasicWorkflow, Engine, Plan,
    model::{Definition, Step},
};

use super::{Executor, Inner, lock};
use crate::{ExecutorError, services::Services, stack::stack};

/// How to prepare a definition whose data does not fully describe it.
#[derive(Clone)]
pub(crate) struct Recipe {
    engine: Engine,
    /// The root step, if it is code.
    body: Option<Arc<dyn BasicWorkflow>>,
}

impl Recipe {
    /// Returns an engine for `definition`, and the plan of `definition` on that engine.
    pub(super) fn prepare(&self, definition: Arc<Definition>) -> Result<(Engine, Arc<Plan>), ExecutorError> {
        let plan = match &self.body {
            Some(body) => self.engine.prepare_code(body.clone()),
            None => self.engine.prepare(definition)?,
        };
        Ok((self.engine.clone(), plan))
    }
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe").field("is_code", &self.body.is_some()).finish_non_exhaustive()
    }
}

impl Inner {
    /// Returns the recipe for the definition with this hash.
    pub(super) fn recipe(&self, hash: &str) -> Recipe {
        let known = lock(&self.recipes).get(hash).cloned();
        known.unwrap_or_else(|| Recipe { engine: self.engine.clone(), body: None })
    }
}

impl Executor {
    /// Registers `workflow` so that its runs can resume with its closures, its code and the hooks in `services`.
    ///
    /// Returns the definition to record for its runs, and the recipe.
    pub(crate) fn register(&self, workflow: Arc<dyn BasicWorkflow>, services: &Services) -> (Arc<Definition>, Recipe) {
        let (definition, recipe) = match workflow.as_defined() {
            Some(defined) => {
                let engine = self.inner.plain.with_functions(defined.functions().clone());
                (defined.definition().clone(), Recipe { engine: stack(&engine, services), body: None })
            }
            None => {
                let engine = stack(&self.inner.plain, services);
                (placeholder(&*workflow), Recipe { engine, body: Some(workflow) })
            }
        };
        let hash = definition.hash();
        lock(&self.inner.recipes).insert(hash.clone(), recipe.clone());
        lock(&self.inner.prepared).invalidate(&hash);
        (Arc::new(definition), recipe)
    }
}

/// Returns the definition to record for a code workflow. Running the definition fails unless the code is registered.
fn placeholder(workflow: &dyn BasicWorkflow) -> Definition {
    let metadata = workflow.metadata();
    let name = workflow.name();
    Definition {
        version: metadata.version,
        description: metadata.description,
        author: metadata.author,
        tags: metadata.tags,
        required_tools: metadata.required_tools,
        ..Definition::sequence(name, [Step::activity("code", "code", name, serde_json::json!({}))])
    }
}
