use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use async_trait::async_trait;

use super::{Session, SessionError, SessionQuery, SessionStorage};

/// Stores sessions in memory. They are lost when the storage is dropped.
#[derive(Debug, Default)]
pub struct MemorySessions(RwLock<BTreeMap<String, Session>>);

#[async_trait]
impl SessionStorage for MemorySessions {
    async fn put(&self, session: &Session) -> Result<(), SessionError> {
        let mut sessions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(session.id.clone(), session.clone());
        Ok(())
    }

    async fn get(&self, id: &str) -> Result<Option<Session>, SessionError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned())
    }

    async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError> {
        let sessions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = sessions.values().filter(|session| query.admits(session)).cloned().collect();
        found.sort_by_key(|session| Reverse((session.updated_at, session.id.clone())));
        found.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn remove(&self, id: &str) -> Result<bool, SessionError> {
        Ok(self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id).is_some())
    }
}
