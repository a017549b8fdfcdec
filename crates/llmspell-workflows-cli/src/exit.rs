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
    /// Somebody has to say what became of a step.
    Stuck = 8,
    /// Ctrl-C.
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
    fn the_page_lists_every_code() {
        let meaning = |exit| match exit {
            Exit::Ok => "success",
            Exit::Failed => "the run failed, or the operating system refused an operation",
            Exit::Usage => "the arguments, the input or the configuration are invalid",
            Exit::Invalid => "the definition is invalid",
            Exit::NotFound => "a file or a name was not found",
            Exit::Waiting => "the run is waiting",
            Exit::TimedOut => "the run exceeded `--timeout` or its own time limit",
            Exit::Stuck => "the run is stuck: the outcome of a step is unknown and must be resolved manually",
            Exit::Interrupted => "interrupted by Ctrl-C or a termination signal",
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
        crate::docs::keep("exit-codes.md", "codes", &table);
    }
}
