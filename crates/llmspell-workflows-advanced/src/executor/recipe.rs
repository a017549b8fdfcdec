//! Workflows that are more than data: with closures, written as code, or with methods of their own around their steps.

use std::{fmt, sync::Arc};

use llmspell_workflows_basic::{
    BasicWorkflow, Engine, Plan,
    model::{Definition, Step},
};

use super::{Executor, Inner, lock};
use crate::{ExecutorError, services::Services, stack::stack};

/// How a definition is made ready where it does not say everything itself.
#[derive(Clone)]
pub(crate) struct Recipe {
    engine: Engine,
    /// The root step, where that is code.
    body: Option<Arc<dyn BasicWorkflow>>,
}

impl Recipe {
    /// The engine that runs `definition`, and the definition made ready for it.
    pub(super) fn ready(&self, definition: Arc<Definition>) -> Result<(Engine, Arc<Plan>), ExecutorError> {
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
    /// How the definition of this hash is made ready.
    pub(super) fn recipe(&self, hash: &str) -> Recipe {
        let known = lock(&self.recipes).get(hash).cloned();
        known.unwrap_or_else(|| Recipe { engine: self.engine.clone(), body: None })
    }
}

impl Executor {
    /// Makes `workflow` known, so that its runs go on with its closures, its code and the hooks in `services`.
    ///
    /// Returns what stands for it where runs are recorded.
    pub(crate) fn know(&self, workflow: Arc<dyn BasicWorkflow>, services: &Services) -> (Arc<Definition>, Recipe) {
        let (definition, recipe) = match workflow.as_defined() {
            Some(defined) => {
                let engine = self.inner.plain.with_functions(defined.functions().clone());
                (defined.definition().clone(), Recipe { engine: stack(&engine, services), body: None })
            }
            None => {
                let engine = stack(&self.inner.plain, services);
                (stand_in(&*workflow), Recipe { engine, body: Some(workflow) })
            }
        };
        let hash = definition.hash();
        lock(&self.inner.recipes).insert(hash.clone(), recipe.clone());
        lock(&self.inner.prepared).forget(&hash);
        (Arc::new(definition), recipe)
    }
}

/// What is recorded as the definition of code: it does not run where the code is not known, and says so.
fn stand_in(workflow: &dyn BasicWorkflow) -> Definition {
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
