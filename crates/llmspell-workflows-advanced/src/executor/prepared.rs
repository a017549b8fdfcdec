//! Definitions made ready, for the next run of the same one.

use std::{collections::VecDeque, sync::Arc};

use llmspell_workflows_basic::{Engine, Plan, model::Definition};

use super::{Inner, Recipe, lock};
use crate::ExecutorError;

/// How many definitions are kept ready.
const READY_MAX: usize = 32;

/// Those that were used last, the newest first.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    ready: VecDeque<Ready>,
    /// How often something was forgotten: what was begun before that is not kept.
    forgotten: u64,
}

/// A definition, and what it takes to run it.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) definition: Arc<Definition>,
    pub(super) hash: Arc<str>,
    pub(super) engine: Engine,
    pub(super) plan: Arc<Plan>,
    /// Whether somebody listened to events when it was made ready; others are not told of its steps.
    is_told: bool,
}

/// One that is new, and what had been forgotten when its making began.
struct Made {
    ready: Ready,
    forgotten: u64,
}

impl Prepared {
    fn find(&mut self, is_told: bool, is_it: impl Fn(&Ready) -> bool) -> Option<Ready> {
        let position = self.ready.iter().position(|ready| ready.is_told == is_told && is_it(ready))?;
        let found = self.ready.remove(position)?;
        self.ready.push_front(found.clone());
        Some(found)
    }

    fn put(&mut self, Made { ready, forgotten }: Made) {
        if self.forgotten == forgotten {
            self.ready.truncate(READY_MAX - 1);
            self.ready.push_front(ready);
        }
    }

    /// Something else is known of the definition of this hash by now.
    pub(super) fn forget(&mut self, hash: &str) {
        self.ready.retain(|ready| *ready.hash != *hash);
        self.forgotten += 1;
    }
}

impl Inner {
    /// What it takes to run `definition`, which is kept for its runs.
    pub(super) async fn ready_to_start(&self, definition: &Arc<Definition>) -> Result<Ready, ExecutorError> {
        let is_told = self.is_told();
        // Nobody can have changed it while it is held here.
        let known = lock(&self.prepared).find(is_told, |ready| Arc::ptr_eq(&ready.definition, definition));
        if let Some(known) = known {
            return Ok(known);
        }
        let made = self.make_ready(definition, definition.hash())?;
        // Kept in the home first: no run of it may begin that could not go on later.
        self.home.keep_as(&made.ready.hash, definition).await?;
        Ok(self.keep_ready(made))
    }

    /// What it takes to run the definition that is kept under `hash`.
    pub(super) async fn recalled(&self, hash: &str) -> Result<Ready, ExecutorError> {
        let is_told = self.is_told();
        let known = lock(&self.prepared).find(is_told, |ready| *ready.hash == *hash);
        if let Some(known) = known {
            return Ok(known);
        }
        let made = self.make_ready(&Arc::new(self.home.definition(hash).await?), hash.to_owned())?;
        Ok(self.keep_ready(made))
    }

    fn make_ready(&self, definition: &Arc<Definition>, hash: String) -> Result<Made, ExecutorError> {
        let forgotten = lock(&self.prepared).forgotten;
        let ready = self.ready_by(&self.recipe(&hash), definition, hash)?;
        Ok(Made { ready, forgotten })
    }

    fn keep_ready(&self, made: Made) -> Ready {
        let ready = made.ready.clone();
        lock(&self.prepared).put(made);
        ready
    }

    pub(super) fn ready_by(
        &self,
        recipe: &Recipe,
        definition: &Arc<Definition>,
        hash: String,
    ) -> Result<Ready, ExecutorError> {
        let is_told = self.is_told();
        let (engine, plan) = recipe.ready(definition.clone())?;
        Ok(Ready { definition: definition.clone(), hash: hash.into(), engine, plan, is_told })
    }

    pub(super) fn is_told(&self) -> bool {
        self.services.events.as_ref().is_some_and(llmspell_workflows_hooks::EventBus::is_wanted)
    }
}
