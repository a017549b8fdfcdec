//! The journals that this process holds.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_state::JournalError;
use uuid::Uuid;

use super::Inner;
use crate::{
    ExecutorError,
    home::{Bell, Contact, JournalId, Lease, Ringer},
};

/// The journals that an executor has leased.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_id: BTreeMap<JournalId, Lease>,
    /// The one that new runs go to.
    own: Option<JournalId>,
    /// Hears of messages; there as soon as there is a lease.
    bell: Option<(u16, Ringer)>,
}

impl Inner {
    /// The journal that new runs go to.
    pub(super) async fn own_lease(self: &Arc<Self>) -> Result<Lease, ExecutorError> {
        let mut leases = self.leases.lock().await;
        if let Some(lease) = leases.own.as_ref().and_then(|own| leases.by_id.get(own)) {
            return Ok(lease.clone());
        }
        // A store that this program cannot read is refused before anything is written beside it.
        self.home.existing_stores().await?;
        let contact = self.contact(&mut leases)?;
        let lease = self.home.lease_for_new_runs(contact).await?;
        leases.own = Some(lease.id.clone());
        Ok(self.take(&mut leases, lease))
    }

    /// The journal `id`, which `run` is in.
    pub(super) async fn lease_of(self: &Arc<Self>, run: Uuid, id: &JournalId) -> Result<Lease, ExecutorError> {
        let mut leases = self.leases.lock().await;
        if let Some(lease) = leases.by_id.get(id) {
            return Ok(lease.clone());
        }
        let contact = self.contact(&mut leases)?;
        let leased = self.home.lease(id, contact).await;
        let lease = leased.map_err(|error| match error {
            ExecutorError::Journal(JournalError::Held { holder, .. }) => ExecutorError::Held { run, holder },
            error => error,
        })?;
        Ok(self.take(&mut leases, lease))
    }

    /// All journals that are leased now.
    pub(super) async fn leased(&self) -> Vec<Lease> {
        self.leases.lock().await.by_id.values().cloned().collect()
    }

    fn take(&self, leases: &mut Leases, lease: Lease) -> Lease {
        self.registry.have_ended(&lease.id, &lease.ended);
        leases.by_id.insert(lease.id.clone(), lease.clone());
        lease
    }

    fn contact(self: &Arc<Self>, leases: &mut Leases) -> Result<Contact, ExecutorError> {
        if let Some((port, _)) = &leases.bell {
            return Ok(Contact::Port(*port));
        }
        let no_bell = |error: std::io::Error| ExecutorError::NoBell(error.to_string());
        let bell = Bell::new().map_err(no_bell)?;
        let port = bell.port().map_err(no_bell)?;
        let inner = Arc::downgrade(self);
        // The bell's thread is not one of the runtime's, on which the message is obeyed.
        let runtime = tokio::runtime::Handle::current();
        let ringer = bell.hear(move |run| {
            if let Some(inner) = inner.upgrade() {
                runtime.block_on(inner.rung(run));
            }
        });
        leases.bell = Some((port, ringer.map_err(no_bell)?));
        Ok(Contact::Port(port))
    }
}
