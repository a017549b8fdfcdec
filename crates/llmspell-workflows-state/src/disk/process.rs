//! Acquires a lock, or identifies the process that holds it.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long to wait for a lock's holder to identify itself.
const IDENTIFY_WAIT: Duration = Duration::from_secs(1);

/// The result of trying to acquire a lock.
#[derive(Debug, PartialEq, Eq)]
pub enum LockAttempt<T> {
    /// The lock was acquired.
    Acquired(T),
    /// Another holder has the lock; `None` if it did not identify itself.
    HeldBy(Option<String>),
}

/// Tries to `acquire` a lock until it succeeds, or until `identify` names a living process. `identify` returns the
/// holder's process id and description.
///
/// A new holder identifies itself shortly after it acquires the lock. Also, if a process is killed while it spawns a
/// child, the child may hold the lock until it has started.
///
/// # Errors
/// Returns an error if `acquire` fails.
pub fn acquire_or_identify<T, E>(
    mut acquire: impl FnMut() -> Result<Option<T>, E>,
    identify: impl Fn() -> Option<(u32, String)>,
) -> Result<LockAttempt<T>, E> {
    let deadline = Instant::now() + IDENTIFY_WAIT;
    loop {
        if let Some(lock) = acquire()? {
            return Ok(LockAttempt::Acquired(lock));
        }
        match identify() {
            Some((pid, holder)) if is_alive(pid) => return Ok(LockAttempt::HeldBy(Some(holder))),
            _ if Instant::now() > deadline => return Ok(LockAttempt::HeldBy(None)),
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Any other error, such as a missing permission to signal the process, means that the process exists.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_alive(_pid: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A process id above the system's maximum.
    const NO_SUCH_PID: u32 = 0x7fff_fffe;

    #[test]
    fn acquire_retries_while_the_holder_is_dead_and_names_a_live_holder() {
        let tries = Cell::new(0);
        let take = || {
            tries.set(tries.get() + 1);
            Ok::<_, ()>((tries.get() == 3).then_some("lock"))
        };
        let dead = || Some((NO_SUCH_PID, "a dead process".to_owned()));
        assert_eq!(acquire_or_identify(take, dead), Ok(LockAttempt::Acquired("lock")));
        let alive = || Some((std::process::id(), "this process".to_owned()));
        assert_eq!(
            acquire_or_identify(|| Ok::<Option<()>, ()>(None), alive),
            Ok(LockAttempt::HeldBy(Some("this process".to_owned())))
        );
        assert_eq!(acquire_or_identify(|| Err::<Option<()>, _>("no"), alive), Err("no"));
    }

    #[test]
    fn a_holder_without_a_name_still_holds_the_lock() {
        assert_eq!(acquire_or_identify(|| Ok::<Option<()>, ()>(None), || None), Ok(LockAttempt::HeldBy(None)));
    }
}
