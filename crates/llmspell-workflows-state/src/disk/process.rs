//! Who has a lock, once the lock says that somebody has.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long somebody who has just taken a lock has to say who they are.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What `read` gives once it names a process that is alive: who has a lock says so a moment after taking it, and until
/// then it is the one before who is named. `None`: nobody says so in time.
pub fn living_holder<T>(read: impl Fn() -> Option<(u32, T)>) -> Option<T> {
    let late = Instant::now() + TOLD_WITHIN;
    loop {
        match read() {
            Some((pid, holder)) if is_alive(pid) => return Some(holder),
            _ if Instant::now() > late => return None,
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(unix)]
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Whoever may not be asked is there all the same.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_alive(_pid: u32) -> bool {
    true
}
