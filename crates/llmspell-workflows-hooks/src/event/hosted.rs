use std::fmt;

/// What a host that keeps runs knows of one that it drives: put among the run's extensions, the run's events say it.
pub struct Hosted {
    pub(super) entry: Entry,
    pub(super) is_paused: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Why a run is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is new.
    Started,
    /// It was paused or interrupted.
    Resumed,
    /// What it waited for has come.
    Woken,
    /// It had failed.
    Retried,
}

impl Hosted {
    /// A run that is driven for the reason `entry`; `is_paused` is asked when it leaves memory.
    pub fn new(entry: Entry, is_paused: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { entry, is_paused: Box::new(is_paused) }
    }
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosted").field("entry", &self.entry).finish_non_exhaustive()
    }
}
