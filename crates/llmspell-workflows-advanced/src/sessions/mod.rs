//! What ties runs together: sessions, where they are kept, and who looks after them.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use llmspell_workflows_advanced::sessions::{MemorySessions, NewSession, SessionManager, SessionQuery, SessionStatus};
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

/// Keeps sessions.
#[async_trait]
pub trait SessionStorage: Send + Sync + fmt::Debug {
    /// Keeps `session` in place of the one of its id.
    ///
    /// # Errors
    /// It cannot be written.
    async fn put(&self, session: &Session) -> Result<(), SessionError>;

    /// The session of this id.
    ///
    /// # Errors
    /// It cannot be read.
    async fn get(&self, id: &str) -> Result<Option<Session>, SessionError>;

    /// The sessions that the query asks for, the last changed first.
    ///
    /// # Errors
    /// They cannot be read.
    async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError>;

    /// Forgets a session; whether there was one.
    ///
    /// # Errors
    /// It cannot be written.
    async fn remove(&self, id: &str) -> Result<bool, SessionError>;
}
