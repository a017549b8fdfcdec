//! A cache of prepared definitions.

use std::{collections::VecDeque, sync::Arc};

use llmspell_workflows_basic::{Engine, Plan, model::Definition};

use super::{Inner, Recipe, lock};
use crate::ExecutorError;

/// The maximum number of cached definitions.
const CACHED_MAX: usize = 32;

/// The most recently used prepared definitions, latest first.
#[derive(Debug, Default)]
pub(super) struct PreparedCache {
    definitions: VecDeque<PreparedDefinition>,
    /// The number of invalidations; a definition whose preparation began before the last invalidation is not cached.
    invalidations: u64,
}

/// A definition with its engine and its plan.
#[derive(Debug, Clone)]
pub(super) struct PreparedDefinition {
    pub(super) definition: Arc<Definition>,
    pub(super) hash: Arc<str>,
    pub(super) engine: Engine,
    pub(super) plan: Arc<Plan>,
    /// Whether the event bus had a subscriber when the definition was prepared; if not, step events are not published.
    publishes_steps: bool,
}

/// A newly prepared definition, and the number of invalidations when its preparation began.
struct NewlyPrepared {
    definition: PreparedDefinition,
    invalidations: u64,
}

impl PreparedCache {
    fn find(
        &mut self,
        publishes_steps: bool,
        matches: impl Fn(&PreparedDefinition) -> bool,
    ) -> Option<PreparedDefinition> {
        let position = self.definitions.iter().position(|it| it.publishes_steps == publishes_steps && matches(it))?;
        let found = self.definitions.remove(position)?;
        self.definitions.push_front(found.clone());
        Some(found)
    }

    fn put(&mut self, NewlyPrepared { definition, invalidations }: NewlyPrepared) {
        if self.invalidations == invalidations {
            self.definitions.truncate(CACHED_MAX - 1);
            self.definitions.push_front(definition);
        }
    }

    /// Drops the definition with this hash because its recipe has changed.
    pub(super) fn invalidate(&mut self, hash: &str) {
        self.definitions.retain(|it| *it.hash != *hash);
        self.invalidations += 1;
    }
}

impl Inner {
    /// Prepares `definition` for a new run and stores it in the home.
    pub(super) async fn prepare_to_start(
        &self,
        definition: &Arc<Definition>,
    ) -> Result<PreparedDefinition, ExecutorError> {
        let publishes_steps = self.has_subscribers();
        // The definition in a cached `Arc` cannot have changed since it was cached.
        let known = lock(&self.prepared).find(publishes_steps, |it| Arc::ptr_eq(&it.definition, definition));
        if let Some(known) = known {
            return Ok(known);
        }
        let text = definition.to_json();
        let new = self.prepare(definition, Definition::hash_of(&text))?;
        // Store the definition first so that every run that starts can be resumed later.
        self.home.definitions().put(&new.definition.hash, &text).await?;
        Ok(self.cache(new))
    }

    /// Prepares the definition stored under `hash`.
    pub(super) async fn prepared_by_hash(&self, hash: &str) -> Result<PreparedDefinition, ExecutorError> {
        let publishes_steps = self.has_subscribers();
        let known = lock(&self.prepared).find(publishes_steps, |it| *it.hash == *hash);
        if let Some(known) = known {
            return Ok(known);
        }
        let new = self.prepare(&Arc::new(self.home.definition(hash).await?), hash.to_owned())?;
        Ok(self.cache(new))
    }

    fn prepare(&self, definition: &Arc<Definition>, hash: String) -> Result<NewlyPrepared, ExecutorError> {
        let invalidations = lock(&self.prepared).invalidations;
        let definition = self.prepare_with(&self.recipe(&hash), definition, hash)?;
        Ok(NewlyPrepared { definition, invalidations })
    }

    fn cache(&self, new: NewlyPrepared) -> PreparedDefinition {
        let definition = new.definition.clone();
        lock(&self.prepared).put(new);
        definition
    }

    pub(super) fn prepare_with(
        &self,
        recipe: &Recipe,
        definition: &Arc<Definition>,
        hash: String,
    ) -> Result<PreparedDefinition, ExecutorError> {
        let publishes_steps = self.has_subscribers();
        let (engine, plan) = recipe.prepare(definition.clone())?;
        Ok(PreparedDefinition { definition: definition.clone(), hash: hash.into(), engine, plan, publishes_steps })
    }

    pub(super) fn has_subscribers(&self) -> bool {
        self.services.events.as_ref().is_some_and(llmspell_workflows_hooks::EventBus::is_wanted)
    }
}
