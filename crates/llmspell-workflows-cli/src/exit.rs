use std::process::ExitCode;

/// The exit code of the process; `docs/exit-codes.md` has the same table for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Ok = 0,
    /// The run failed, a check failed, or the operation is not possible now.
    Failed = 1,
    /// The arguments, the input or the configuration are invalid.
    Usage = 2,
    /// The definition is invalid.
    Invalid = 3,
    /// A file, a run or a name was not found.
    NotFound = 4,
    /// The run is waiting or paused.
    Waiting = 5,
    /// The run exceeded `--timeout` or its own time limit.
    TimedOut = 6,
    /// The run is stuck: the outcome of a step is unknown and must be resolved manually.
    Stuck = 8,
    /// Interrupted by Ctrl-C or a termination signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn exit_codes_page_lists_every_code() {
        let meaning = |exit| match exit {
            Exit::Ok => "success",
            Exit::Failed => "the run failed, a check failed, or the operation is not possible now",
            Exit::Usage => "the arguments, the input or the configuration are invalid",
            Exit::Invalid => "the definition is invalid",
            Exit::NotFound => "a file, a run or a name was not found",
            Exit::Waiting => "the run is waiting or paused",
            Exit::TimedOut => "the run exceeded `--timeout` or its own time limit",
            Exit::Stuck => "the run is stuck: the outcome of a step is unknown and must be resolved manually",
            Exit::Interrupted => "stopped at once by a second Ctrl-C, or interrupted while running with `--in-memory`",
        };
        let all = [
            Exit::Ok,
            Exit::Failed,
            Exit::Usage,
            Exit::Invalid,
            Exit::NotFound,
            Exit::Waiting,
            Exit::TimedOut,
            Exit::Stuck,
            Exit::Interrupted,
        ];
        let rows = all.map(|exit| format!("| {} | {} |\n", exit as u8, meaning(exit)));
        let table = format!("| code | meaning |\n|--:|---|\n{}", rows.concat());
        crate::docs::assert_up_to_date("exit-codes.md", "codes", &table);
    }
}
