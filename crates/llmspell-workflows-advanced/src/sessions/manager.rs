use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::{NewSession, Session, SessionError, SessionQuery, SessionStatus, SessionStorage};

/// Manages sessions; every change is stored before it is returned.
#[derive(Debug, Clone)]
pub struct SessionManager {
    storage: Arc<dyn SessionStorage>,
    /// Serializes changes so that no change is lost.
    changes: Arc<tokio::sync::Mutex<()>>,
}

impl SessionManager {
    /// Returns a manager that stores sessions in `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn SessionStorage>) -> Self {
        Self { storage, changes: Arc::default() }
    }

    /// Returns the storage of the sessions.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn SessionStorage> {
        &self.storage
    }

    /// Creates an active session.
    ///
    /// # Errors
    /// Returns an error if the parent session does not exist or the session cannot be written.
    pub async fn create(&self, new: NewSession) -> Result<Session, SessionError> {
        if let Some(parent) = &new.parent {
            self.get(parent).await?;
        }
        let now = Timestamp::now();
        let NewSession { name, parent, tags, metadata } = new;
        let session = Session {
            id: Uuid::now_v7().to_string(),
            name,
            status: SessionStatus::Active,
            parent,
            tags,
            metadata,
            runs: Vec::new(),
            states: BTreeMap::new(),
            created_at: now,
            updated_at: now,
        };
        self.storage.put(&session).await?;
        Ok(session)
    }

    /// Returns the session with this id.
    ///
    /// # Errors
    /// Returns an error if the session does not exist or cannot be read.
    pub async fn get(&self, id: &str) -> Result<Session, SessionError> {
        self.storage.get(id).await?.ok_or_else(|| SessionError::Unknown(id.to_owned()))
    }

    /// Returns the sessions that match `query`, most recently changed first.
    ///
    /// # Errors
    /// Returns an error if the sessions cannot be read.
    pub async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError> {
        self.storage.list(query).await
    }

    /// Suspends an active session.
    ///
    /// # Errors
    /// Returns an error if the session is not active, does not exist or cannot be written.
    pub async fn suspend(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Suspended).await
    }

    /// Resumes a suspended session.
    ///
    /// # Errors
    /// Returns an error if the session is not suspended, does not exist or cannot be written.
    pub async fn resume(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Active).await
    }

    /// Ends a session as completed.
    ///
    /// # Errors
    /// Returns an error if the session has already ended, does not exist or cannot be written.
    pub async fn complete(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Completed).await
    }

    /// Ends a session as failed.
    ///
    /// # Errors
    /// Returns an error if the session has already ended, does not exist or cannot be written.
    pub async fn fail(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Failed).await
    }

    /// Archives a suspended or ended session.
    ///
    /// # Errors
    /// Returns an error if the session is active or already archived, does not exist or cannot be written.
    pub async fn archive(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Archived).await
    }

    /// Deletes a session; its runs are kept.
    ///
    /// # Errors
    /// Returns an error if the session does not exist or the deletion cannot be written.
    pub async fn delete(&self, id: &str) -> Result<(), SessionError> {
        if self.storage.remove(id).await? { Ok(()) } else { Err(SessionError::Unknown(id.to_owned())) }
    }

    /// Checks that a session is active; runs can be started only in active sessions.
    ///
    /// # Errors
    /// Returns an error if the session is not active or does not exist.
    pub async fn check_active(&self, id: &str) -> Result<Session, SessionError> {
        let session = self.get(id).await?;
        match session.status {
            SessionStatus::Active => Ok(session),
            status => Err(SessionError::NotActive { id: id.to_owned(), status }),
        }
    }

    /// Adds a run to a session.
    ///
    /// # Errors
    /// Returns an error if the session does not exist or cannot be written.
    pub async fn add_run(&self, id: &str, run: Uuid) -> Result<Session, SessionError> {
        let add = |session: &mut Session| {
            if !session.runs.contains(&run) {
                session.runs.push(run);
            }
            Ok(())
        };
        self.update(id, add).await
    }

    /// Stores the final state of the last run of the workflow `name` in a session.
    ///
    /// # Errors
    /// Returns an error if the session does not exist or cannot be written.
    pub async fn set_state(&self, id: &str, name: &str, state: Value) -> Result<Session, SessionError> {
        let set = |session: &mut Session| {
            session.states.insert(name.to_owned(), state);
            Ok(())
        };
        self.update(id, set).await
    }

    async fn set_status(&self, id: &str, wanted: SessionStatus) -> Result<Session, SessionError> {
        let set = |session: &mut Session| {
            if !session.status.may_become(wanted) {
                return Err(SessionError::Status { id: id.to_owned(), status: session.status, wanted });
            }
            session.status = wanted;
            Ok(())
        };
        self.update(id, set).await
    }

    async fn update(
        &self,
        id: &str,
        change: impl FnOnce(&mut Session) -> Result<(), SessionError>,
    ) -> Result<Session, SessionError> {
        let _changing = self.changes.lock().await;
        let mut session = self.get(id).await?;
        change(&mut session)?;
        session.updated_at = Timestamp::now();
        self.storage.put(&session).await?;
        Ok(session)
    }
}
