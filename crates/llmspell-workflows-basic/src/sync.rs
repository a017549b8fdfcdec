//! Locks that are not poisoned by panics.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, even if an earlier holder panicked.
///
/// Use this only for values that are consistent after every statement, and never run user code
/// while holding the lock: an observer or a filter called under the lock deadlocks if it accesses
/// the guarded value.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
