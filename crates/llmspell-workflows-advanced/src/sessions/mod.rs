//! Sessions, which group runs, and their manager and storage.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use llmspell_workflows_advanced::sessions::{
//!     MemorySessions, NewSession, SessionManager, SessionQuery, SessionStatus,
//! };
//!
//! let sessions = SessionManager::new(Arc::new(MemorySessions::default()));
//! let session = sessions.create(NewSession::named("research").tagged("draft")).await?;
//! sessions.suspend(&session.id).await?;
//!
//! let query = SessionQuery { status: Some(SessionStatus::Suspended), ..SessionQuery::default() };
//! assert_eq!(sessions.list(&query).await?[0].name, "research");
//! # Ok::<(), llmspell_workflows_advanced::sessions::SessionError>(()) }).unwrap();
//! ```

mod manager;
mod memory;
mod session;

use std::fmt;

use async_trait::async_trait;

pub use manager::SessionManager;
pub use memory::MemorySessions;
pub use session::{NewSession, Session, SessionError, SessionQuery, SessionStatus};

/// Stores sessions.
#[async_trait]
pub trait SessionStorage: Send + Sync + fmt::Debug {
    /// Stores `session`, replacing any session with the same id.
    ///
    /// # Errors
    /// Returns an error if the session cannot be written.
    async fn put(&self, session: &Session) -> Result<(), SessionError>;

    /// Returns the session with this id.
    ///
    /// # Errors
    /// Returns an error if the session cannot be read.
    async fn get(&self, id: &str) -> Result<Option<Session>, SessionError>;

    /// Returns the sessions that match `query`, most recently changed first.
    ///
    /// # Errors
    /// Returns an error if the sessions cannot be read.
    async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError>;

    /// Removes a session; returns whether it existed.
    ///
    /// # Errors
    /// Returns an error if the removal cannot be written.
    async fn remove(&self, id: &str) -> Result<bool, SessionError>;
}
