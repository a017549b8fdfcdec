use std::process::ExitCode;

/// How the process ends; the table in `docs/exit-codes.md` says the same to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Ok = 0,
    /// The run failed, or the machine could not do what was asked.
    Failed = 1,
    /// The arguments, the input or the configuration are wrong.
    Usage = 2,
    /// The definition is invalid.
    Invalid = 3,
    /// A file, a run or a name was not found.
    NotFound = 4,
    /// The run waits for something.
    Waiting = 5,
    /// The run took longer than `--timeout` or its own limit.
    TimedOut = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
