//! Definitions made ready, for the next run of the same one.

use std::{collections::VecDeque, sync::Arc};

use llmspell_workflows_basic::{Engine, Plan, model::Definition};

use super::{Inner, Recipe, lock};
use crate::ExecutorError;

/// How many definitions are kept ready.
const READY_MAX: usize = 32;

/// Those that were used last, the newest first.
#[derive(Debug, Default)]
pub(super) struct Prepared(VecDeque<Ready>);

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

impl Prepared {
    fn find(&mut self, is_told: bool, is_it: impl Fn(&Ready) -> bool) -> Option<Ready> {
        let position = self.0.iter().position(|ready| ready.is_told == is_told && is_it(ready))?;
        let found = self.0.remove(position)?;
        self.0.push_front(found.clone());
        Some(found)
    }

    fn put(&mut self, ready: Ready) {
        self.0.truncate(READY_MAX - 1);
        self.0.push_front(ready);
    }

    /// Something else is known of the definition of this hash by now.
    pub(super) fn forget(&mut self, hash: &str) {
        self.0.retain(|ready| *ready.hash != *hash);
    }
}

impl Inner {
    /// What it takes to run `definition`, which is kept for its runs.
    pub(super) fn ready_to_start(&self, definition: &Arc<Definition>) -> Result<Ready, ExecutorError> {
        let is_told = self.is_told();
        // Nobody can have changed it while it is held here.
        let known = lock(&self.prepared).find(is_told, |ready| Arc::ptr_eq(&ready.definition, definition));
        if let Some(known) = known {
            return Ok(known);
        }
        let ready = self.make_ready(definition, definition.hash())?;
        self.home.keep_as(&ready.hash, definition)?;
        Ok(ready)
    }

    /// What it takes to run the definition that is kept under `hash`.
    pub(super) fn recalled(&self, hash: &str) -> Result<Ready, ExecutorError> {
        let is_told = self.is_told();
        let known = lock(&self.prepared).find(is_told, |ready| *ready.hash == *hash);
        if let Some(known) = known {
            return Ok(known);
        }
        self.make_ready(&Arc::new(self.home.definition(hash)?), hash.to_owned())
    }

    fn make_ready(&self, definition: &Arc<Definition>, hash: String) -> Result<Ready, ExecutorError> {
        let ready = self.ready_by(&self.recipe(&hash), definition, hash)?;
        lock(&self.prepared).put(ready.clone());
        Ok(ready)
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

    fn is_told(&self) -> bool {
        self.services.events.as_ref().is_some_and(llmspell_workflows_hooks::EventBus::is_wanted)
    }
}
