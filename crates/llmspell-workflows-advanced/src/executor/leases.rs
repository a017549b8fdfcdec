//! The journals that this process has leased.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::{runtime::Handle, sync::oneshot};
use uuid::Uuid;

use super::Inner;
use crate::{
    ExecutorError,
    home::{Contact, JournalId, Lease, ListenerGuard, MessageListener},
};

/// The journals that an executor has leased.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_id: BTreeMap<JournalId, Lease>,
    /// The journal for new runs.
    own: Option<JournalId>,
    /// The port and the listener for messages; started with the first lease.
    listener: Option<(u16, ListenerGuard)>,
}

impl Inner {
    /// Returns the lease on the journal for new runs.
    pub(super) async fn own_lease(self: &Arc<Self>) -> Result<Lease, ExecutorError> {
        let mut leases = self.leases.lock().await;
        if let Some(lease) = leases.own.as_ref().and_then(|own| leases.by_id.get(own)) {
            return Ok(lease.clone());
        }
        // If this program cannot read the store, fail before writing anything next to it.
        self.home.existing_stores().await?;
        let contact = self.contact(&mut leases)?;
        let lease = self.home.lease_for_new_runs(contact).await?;
        leases.own = Some(lease.id.clone());
        Ok(self.add(&mut leases, lease))
    }

    /// Returns the lease on the journal `id`, which contains `run`.
    pub(super) async fn lease_of(self: &Arc<Self>, run: Uuid, id: &JournalId) -> Result<Lease, ExecutorError> {
        let mut leases = self.leases.lock().await;
        if let Some(lease) = leases.by_id.get(id) {
            return Ok(lease.clone());
        }
        let contact = self.contact(&mut leases)?;
        let leased = self.home.lease(id, contact).await;
        let lease = leased.map_err(|error| error.held_by(run))?;
        Ok(self.add(&mut leases, lease))
    }

    /// Returns the lease on the journal `id` if this process has leased it.
    pub(super) async fn leased_journal(&self, id: &JournalId) -> Option<Lease> {
        self.leases.lock().await.by_id.get(id).cloned()
    }

    /// Returns a lease on the journal `id`, which contains `run`. Dropping it releases the journal, unless this process
    /// already has a lease on it.
    pub(super) async fn lease_briefly(&self, run: Uuid, id: &JournalId) -> Result<Lease, ExecutorError> {
        match self.leased_journal(id).await {
            Some(lease) => Ok(lease),
            None => self.home.lease(id, Contact::None).await.map_err(|error| error.held_by(run)),
        }
    }

    /// Keeps a brief lease for the runs of this process.
    pub(super) async fn keep_lease(self: &Arc<Self>, lease: Lease) -> Result<Lease, ExecutorError> {
        let mut leases = self.leases.lock().await;
        if leases.by_id.contains_key(&lease.id) {
            return Ok(lease);
        }
        let contact = self.contact(&mut leases)?;
        self.home.announce(&lease, contact).await?;
        Ok(self.add(&mut leases, lease))
    }

    /// Returns all current leases.
    pub(super) async fn leased(&self) -> Vec<Lease> {
        self.leases.lock().await.by_id.values().cloned().collect()
    }

    fn add(&self, leases: &mut Leases, lease: Lease) -> Lease {
        self.registry.note_ended(&lease.id, &lease.ended);
        leases.by_id.insert(lease.id.clone(), lease.clone());
        lease
    }

    fn contact(self: &Arc<Self>, leases: &mut Leases) -> Result<Contact, ExecutorError> {
        if let Some((port, _)) = &leases.listener {
            return Ok(Contact::Port(*port));
        }
        let no_socket = |error: std::io::Error| ExecutorError::NoLoopback(error.to_string());
        let listener = MessageListener::new().map_err(no_socket)?;
        let port = listener.port().map_err(no_socket)?;
        let inner = Arc::downgrade(self);
        // The listener's thread handles messages itself, even while nothing drives the runtime.
        let runtime = Handle::current();
        let guard = listener.listen(move |run| {
            let Some(inner) = inner.upgrade() else { return false };
            unless_shut_down(&runtime, inner.message_arrived(run))
        });
        leases.listener = Some((port, guard.map_err(no_socket)?));
        Ok(Contact::Port(port))
    }
}

/// Runs `work` on the calling thread, which is outside the runtime; returns whether the work was done.
///
/// Work that waits for a runtime that has shut down would never end, so it is dropped then.
fn unless_shut_down(runtime: &Handle, work: impl Future<Output = ()>) -> bool {
    let (open, shut_down) = oneshot::channel::<()>();
    // When the runtime shuts down, it drops this task.
    let task = runtime.spawn(async move {
        std::future::pending::<()>().await;
        drop(open);
    });
    let done = async {
        tokio::select! {
            biased;
            _ = shut_down => false,
            () = work => true,
        }
    };
    let done = catch_unwind(AssertUnwindSafe(|| runtime.block_on(done)));
    task.abort();
    // The panic has been reported; later messages are still handled.
    done.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::{future::pending, thread, time::Duration};

    use super::unless_shut_down;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn work_is_done_even_if_nothing_drives_the_runtime() {
        assert!(unless_shut_down(runtime().handle(), async {}));
    }

    #[test]
    fn panicking_work_is_not_done() {
        assert!(!unless_shut_down(runtime().handle(), async { panic!("expected by the test") }));
    }

    #[test]
    fn work_ends_when_the_runtime_shuts_down() {
        let idle = runtime();
        let handle = idle.handle().clone();
        let (begin, began) = std::sync::mpsc::channel();
        let waits = thread::spawn(move || {
            unless_shut_down(&handle, async {
                begin.send(()).unwrap();
                pending::<()>().await;
            })
        });
        began.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(idle);
        assert!(!waits.join().unwrap());
        assert!(!unless_shut_down(&shut_down(), pending::<()>()));
    }

    /// Returns the handle of a runtime that has shut down.
    fn shut_down() -> tokio::runtime::Handle {
        runtime().handle().clone()
    }
}
