//! Named concurrency limits: their scope, and the permits that steps hold.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, Weak},
};

use tokio::sync::{Mutex as Turn, Notify};

use super::{LimitName, SharedLimits, SharedPermit};
use crate::{StepError, model::Definition, sync::lock};

/// The named limits of an engine; all runs of the engine share them.
///
/// A name declared by the engine refers to the engine's limit in every definition. Any other name
/// belongs to the definition that declares it: definitions with different names never share a
/// limit, and a sub-workflow does not see its parent's limits.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    declared: BTreeMap<String, Share>,
    /// The limits of definitions that currently have runs, by definition name and limit name.
    definitions: Mutex<HashMap<(String, String), Weak<Limit>>>,
}

impl Permits {
    /// Creates the limits declared by the engine itself.
    pub(super) fn new(declared: &BTreeMap<String, u32>) -> Self {
        let share = |(name, holders): (&String, &u32)| (name.clone(), Share::new(None, name, *holders, Arc::default()));
        Self { declared: declared.iter().map(share).collect(), definitions: Mutex::default() }
    }

    /// Returns how many steps may hold the limit `name`; `None` if the engine does not declare it.
    pub(crate) fn declared(&self, name: &str) -> Option<u32> {
        self.declared.get(name).map(|share| share.holders)
    }

    /// Returns a run's shares in the limits that its definition, `definition`, declares itself.
    pub(super) fn shares(&self, definition: &Definition) -> Vec<Share> {
        let own = definition.concurrency.iter().filter(|(name, _)| self.declared(name).is_none());
        let share = |(name, holders): (&String, &u32)| {
            Share::new(Some(&definition.name), name, *holders, self.own(&definition.name, name))
        };
        own.map(share).collect()
    }

    fn own(&self, definition: &str, name: &str) -> Arc<Limit> {
        let key = (definition.to_owned(), name.to_owned());
        let mut definitions = lock(&self.definitions);
        if let Some(limit) = definitions.get(&key).and_then(Weak::upgrade) {
            return limit;
        }
        // Limits without runs are dropped, so the map contains only limits of current runs.
        definitions.retain(|_, limit| limit.strong_count() > 0);
        let limit = Arc::default();
        definitions.insert(key, Arc::downgrade(&limit));
        limit
    }

    /// Returns the limit `name` for a run; `own` are the run's shares in the limits of its definition.
    pub(super) fn find<'s>(&'s self, name: &str, own: &'s [Share]) -> Option<&'s Share> {
        self.declared.get(name).or_else(|| own.iter().find(|share| share.name == name))
    }
}

/// A named limit, shared by all runs that declare it.
#[derive(Debug, Default)]
struct Limit {
    /// The turn of the step that gets the next permit. Turns are granted in the order of arrival.
    turn: Turn<()>,
    held: Mutex<u32>,
    released: Notify,
    /// The number of runs for each declared number of holders.
    declared: Mutex<BTreeMap<u32, usize>>,
}

/// A run's share in a named limit, with the number of holders declared by its definition.
///
/// Versions of a definition that declare different numbers of holders share the limit. Each step
/// waits, in the order of arrival, until fewer steps hold permits than its own version allows. A
/// version with a lower number therefore observes it from its first step, and the total never
/// exceeds the highest number.
#[derive(Debug)]
pub(super) struct Share {
    /// The definition that declares the limit; `None` for a limit of the engine.
    definition: Option<String>,
    name: String,
    holders: u32,
    limit: Arc<Limit>,
}

impl Share {
    fn new(definition: Option<&str>, name: &str, holders: u32, limit: Arc<Limit>) -> Self {
        *lock(&limit.declared).entry(holders).or_default() += 1;
        Self { definition: definition.map(str::to_owned), name: name.to_owned(), holders, limit }
    }

    /// Returns the name of the limit.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns how many steps may hold the limit, as declared by this run's definition.
    pub(super) fn holders(&self) -> u32 {
        self.holders
    }

    /// Returns the number of holders declared by another current run, if different from this run's.
    pub(super) fn other_number(&self) -> Option<u32> {
        lock(&self.limit.declared).keys().copied().find(|number| *number != self.holders)
    }

    /// Waits for a permit of this process, then for a permit that counts in all
    /// processes sharing the limit.
    ///
    /// # Errors
    /// Fails if the holders in other processes cannot be counted.
    pub(super) async fn acquire_shared(&self, shared: &dyn SharedLimits) -> Result<Permit, StepError> {
        let mut permit = self.acquire().await;
        let name = LimitName { definition: self.definition.as_deref(), name: &self.name };
        permit.shared = shared.acquire(name, self.holders).await?;
        Ok(permit)
    }

    /// Waits for a permit of this process.
    async fn acquire(&self) -> Permit {
        let _turn = self.limit.turn.lock().await;
        loop {
            {
                let mut held = lock(&self.limit.held);
                if *held < self.holders {
                    *held += 1;
                    return Permit { limit: self.limit.clone(), shared: None };
                }
            }
            // Only the holder of the turn waits here; a release before this line is not lost.
            self.limit.released.notified().await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut declared = lock(&self.limit.declared);
        if let Some(runs) = declared.get_mut(&self.holders) {
            *runs -= 1;
            if *runs == 0 {
                declared.remove(&self.holders);
            }
        }
    }
}

/// A permit of a named limit, held until it is dropped.
pub(crate) struct Permit {
    limit: Arc<Limit>,
    /// The permit visible to other processes; dropping it releases the permit.
    shared: Option<SharedPermit>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        // The next step of this process must find the permit free in all processes.
        self.shared = None;
        *lock(&self.limit.held) -= 1;
        self.limit.released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::model::StepKind;

    fn definition(name: &str, holders: u32) -> Definition {
        let mut definition = Definition::new(name, StepKind::Sequence(Vec::new()));
        definition.concurrency.insert("api".to_owned(), holders);
        definition
    }

    fn share(permits: &Permits, name: &str, holders: u32) -> Share {
        permits.shares(&definition(name, holders)).pop().expect("the limit belongs to the definition")
    }

    #[test]
    fn definition_versions_share_a_limit_but_observe_their_own_numbers() {
        let permits = Permits::default();
        let (old, new) = (share(&permits, "nightly", 1), share(&permits, "nightly", 3));
        assert_eq!((old.other_number(), new.other_number()), (Some(3), Some(1)));
        let first = old.acquire().now_or_never().unwrap();
        let second = new.acquire().now_or_never().unwrap();
        assert!(old.acquire().now_or_never().is_none(), "two steps hold it");
        let third = new.acquire().now_or_never().unwrap();
        assert!(new.acquire().now_or_never().is_none(), "three steps hold it");
        drop((first, second));
        assert!(old.acquire().now_or_never().is_none(), "one step holds it");
        drop(third);
        assert!(old.acquire().now_or_never().is_some());
    }

    #[tokio::test]
    async fn permits_are_granted_in_the_order_of_arrival() {
        let permits = Permits::default();
        let (low, high) = (share(&permits, "nightly", 1), share(&permits, "nightly", 2));
        let held = high.acquire().await;
        let mut first = std::pin::pin!(low.acquire());
        let mut second = std::pin::pin!(high.acquire());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none(), "a later step must not overtake the first waiter");
        drop(held);
        let first = first.await;
        let _second = second.await;
        assert_eq!(*lock(&low.limit.held), 2);
        drop(first);
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_passes_its_turn_on() {
        let permits = Permits::default();
        let share = share(&permits, "nightly", 1);
        let held = share.acquire().await;
        {
            let mut given_up = std::pin::pin!(share.acquire());
            assert!(given_up.as_mut().now_or_never().is_none());
        }
        let mut next = std::pin::pin!(share.acquire());
        assert!(next.as_mut().now_or_never().is_none());
        drop(held);
        assert!(next.as_mut().now_or_never().is_some());
    }

    #[test]
    fn definitions_with_different_names_do_not_share_a_limit() {
        let permits = Permits::default();
        let (one, two) = (share(&permits, "one", 1), share(&permits, "two", 1));
        let _held = one.acquire().now_or_never().unwrap();
        assert!(two.acquire().now_or_never().is_some());
        assert_eq!(one.other_number(), None);
    }

    #[test]
    fn a_limit_is_dropped_with_the_last_run_that_declares_it() {
        let permits = Permits::default();
        for number in 0..10 {
            drop(share(&permits, &format!("workflow-{number}"), 1));
        }
        assert_eq!(lock(&permits.definitions).len(), 1);
    }
}
