//! Who has a lock, once the lock says that somebody has.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a lock may be had by somebody who does not say who they are.
const UNTOLD_MAX: Duration = Duration::from_secs(1);

/// What came of taking something that a lock stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// It is ours.
    Ours(T),
    /// Somebody has it who says so, or who does not say who they are.
    By(Option<String>),
}

/// Tries `take` until it gives something, or until `told`, which is what is said of the holder and its process, names a
/// process that is alive.
///
/// Who has just taken a lock says so a moment later. And who was killed while it started another process may leave the
/// lock to that one until it has begun.
///
/// # Errors
/// Those of `take`.
pub fn take_or_tell<T, E>(
    mut take: impl FnMut() -> Result<Option<T>, E>,
    told: impl Fn() -> Option<(u32, String)>,
) -> Result<Taken<T>, E> {
    let late = Instant::now() + UNTOLD_MAX;
    loop {
        if let Some(taken) = take()? {
            return Ok(Taken::Ours(taken));
        }
        match told() {
            Some((pid, holder)) if is_alive(pid) => return Ok(Taken::By(Some(holder))),
            _ if Instant::now() > late => return Ok(Taken::By(None)),
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What no process is called: it is above the largest number that a system gives.
    const NOBODY: u32 = 0x7fff_fffe;

    #[test]
    fn a_lock_of_a_dead_process_is_waited_for_and_one_of_a_living_is_told() {
        let tries = Cell::new(0);
        let take = || {
            tries.set(tries.get() + 1);
            Ok::<_, ()>((tries.get() == 3).then_some("lock"))
        };
        let dead = || Some((NOBODY, "it has gone".to_owned()));
        assert_eq!(take_or_tell(take, dead), Ok(Taken::Ours("lock")));
        let alive = || Some((std::process::id(), "this process".to_owned()));
        assert_eq!(take_or_tell(|| Ok::<Option<()>, ()>(None), alive), Ok(Taken::By(Some("this process".to_owned()))));
        assert_eq!(take_or_tell(|| Err::<Option<()>, _>("no"), alive), Err("no"));
    }

    #[test]
    fn whoever_does_not_say_who_they_are_has_it_all_the_same() {
        assert_eq!(take_or_tell(|| Ok::<Option<()>, ()>(None), || None), Ok(Taken::By(None)));
    }
}
