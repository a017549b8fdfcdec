use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::{NewSession, Session, SessionError, SessionQuery, SessionStatus, SessionStorage};

/// Looks after sessions: each change is kept before it is told.
#[derive(Debug, Clone)]
pub struct SessionManager {
    storage: Arc<dyn SessionStorage>,
    /// One change at a time, so that none is lost.
    changes: Arc<tokio::sync::Mutex<()>>,
}

impl SessionManager {
    /// One that keeps sessions in `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn SessionStorage>) -> Self {
        Self { storage, changes: Arc::default() }
    }

    /// Where the sessions are kept.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn SessionStorage> {
        &self.storage
    }

    /// Makes a session, which is active.
    ///
    /// # Errors
    /// Its parent is not there, or it cannot be written.
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

    /// The session of this id.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn get(&self, id: &str) -> Result<Session, SessionError> {
        self.storage.get(id).await?.ok_or_else(|| SessionError::Unknown(id.to_owned()))
    }

    /// The sessions that the query asks for, the last changed first.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError> {
        self.storage.list(query).await
    }

    /// Lets a session rest.
    ///
    /// # Errors
    /// It is not active, there is none, or it cannot be written.
    pub async fn suspend(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Suspended).await
    }

    /// Lets a session that rests go on.
    ///
    /// # Errors
    /// It does not rest, there is none, or it cannot be written.
    pub async fn resume(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Active).await
    }

    /// Ends a session that did what it should.
    ///
    /// # Errors
    /// It has ended, there is none, or it cannot be written.
    pub async fn complete(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Completed).await
    }

    /// Ends a session that did not.
    ///
    /// # Errors
    /// It has ended, there is none, or it cannot be written.
    pub async fn fail(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Failed).await
    }

    /// Puts away a session that rests or has ended.
    ///
    /// # Errors
    /// It is active or put away, there is none, or it cannot be written.
    pub async fn archive(&self, id: &str) -> Result<Session, SessionError> {
        self.set_status(id, SessionStatus::Archived).await
    }

    /// Forgets a session; its runs stay.
    ///
    /// # Errors
    /// There is none, or it cannot be written.
    pub async fn delete(&self, id: &str) -> Result<(), SessionError> {
        if self.storage.remove(id).await? { Ok(()) } else { Err(SessionError::Unknown(id.to_owned())) }
    }

    /// That runs can be started in the session.
    ///
    /// # Errors
    /// It is not active, or there is none.
    pub async fn check_active(&self, id: &str) -> Result<Session, SessionError> {
        let session = self.get(id).await?;
        match session.status {
            SessionStatus::Active => Ok(session),
            status => Err(SessionError::NotActive { id: id.to_owned(), status }),
        }
    }

    /// Notes a run of a session.
    ///
    /// # Errors
    /// There is no such session, or it cannot be written.
    pub async fn add_run(&self, id: &str, run: Uuid) -> Result<Session, SessionError> {
        let add = |session: &mut Session| {
            if !session.runs.contains(&run) {
                session.runs.push(run);
            }
            Ok(())
        };
        self.update(id, add).await
    }

    /// Notes the state in which the workflow `name` ended last in a session.
    ///
    /// # Errors
    /// There is no such session, or it cannot be written.
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
        let _alone = self.changes.lock().await;
        let mut session = self.get(id).await?;
        change(&mut session)?;
        session.updated_at = Timestamp::now();
        self.storage.put(&session).await?;
        Ok(session)
    }
}
