use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use llmspell_workflows_basic::{engine::Output, state::Change, sync::lock};

/// The maximum number of outputs in a dispatcher's cache; when it is full, the output that expires first is dropped.
pub const CACHE_ENTRIES_MAX: usize = 10_000;

/// An in-memory cache of the outputs that hooks asked to cache, by key.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    output: Output,
    expires_at: Timestamp,
}

impl Cache {
    /// Returns the output cached under `key` if it has not expired.
    pub(crate) fn get(&self, key: &str, now: Timestamp) -> Option<Output> {
        self.lock().get(key).filter(|entry| now < entry.expires_at).map(|entry| entry.output.clone())
    }

    pub(crate) fn put(&self, key: String, output: Output, now: Timestamp, ttl: Duration) {
        // The output may be reused with a different state, to which an append might not apply.
        let state_changes = output.state_changes.into_iter().map(Change::whole).collect();
        let output = Output { state_changes, ..output };
        let mut entries = self.lock();
        if entries.len() >= CACHE_ENTRIES_MAX && !entries.contains_key(&key) {
            entries.retain(|_, entry| now < entry.expires_at);
            let first = entries.iter().min_by_key(|(_, entry)| entry.expires_at).map(|(key, _)| key.clone());
            if let Some(first) = first.filter(|_| entries.len() >= CACHE_ENTRIES_MAX) {
                entries.remove(&first);
            }
        }
        entries.insert(key, Entry { output, expires_at: later(now, ttl) });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        lock(&self.0)
    }
}

/// Returns `time` plus `delay`, or the maximum timestamp if that overflows.
pub(crate) fn later(time: Timestamp, delay: Duration) -> Timestamp {
    let delay = jiff::SignedDuration::try_from(delay).ok();
    delay.and_then(|delay| time.checked_add(delay).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use llmspell_workflows_basic::WorkflowState;
    use serde_json::json;

    use super::*;

    #[test]
    fn appends_to_a_list_are_cached_as_the_whole_list() {
        let (cache, now) = (Cache::default(), Timestamp::UNIX_EPOCH);
        let mut state = WorkflowState::default();
        state.set("list", json!([1])).unwrap();
        let whole = Change::key("list", json!([1, 2]));
        let output = Output { state_changes: vec![state.shortened(whole.clone())], ..Output::default() };
        assert_ne!(output.state_changes, std::slice::from_ref(&whole));
        cache.put("key".into(), output, now, Duration::from_secs(1));
        assert_eq!(cache.get("key", now).unwrap().state_changes, [whole]);
    }

    #[test]
    fn entries_expire_and_a_full_cache_drops_the_first_to_expire() {
        let (cache, now, ttl) = (Cache::default(), Timestamp::UNIX_EPOCH, Duration::from_secs(1));
        for number in 0..CACHE_ENTRIES_MAX as u64 {
            cache.put(number.to_string(), Output::new(json!(number)), now, ttl + Duration::from_secs(number));
        }
        cache.put("more".into(), Output::new(json!(1)), now, ttl);
        assert_eq!((cache.get("0", now), cache.lock().len()), (None, CACHE_ENTRIES_MAX));
        assert!(cache.get("more", now).is_some() && cache.get("1", now).is_some());
        assert_eq!(cache.get("more", later(now, ttl)), None);
    }
}
