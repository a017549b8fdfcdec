use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Not begun.
    Pending,
    /// At work.
    Running,
    /// All of its live branches wait.
    Waiting,
    /// Stopped on request until someone lets it go on.
    Paused,
    /// Its process ended without a word; it continues when someone resumes it.
    Interrupted,
    /// Did what it should.
    Completed,
    /// A step failed for good.
    Failed,
    /// Was stopped for good.
    Cancelled,
    /// Undoes what it did.
    Compensating,
    /// Has undone what it did.
    Compensated,
    /// Nobody knows what happened in a step; someone has to say.
    Stuck,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Interrupted,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Compensating,
        Self::Compensated,
        Self::Stuck,
    ];

    /// Whether a run may go from this status to `next`: the one table of legal changes.
    ///
    /// A failed run goes on by `retry`, a stuck one by `resolve`. Staying the same is no change.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use RunStatus::*;
        match self {
            Pending => matches!(next, Running | Paused | Interrupted | Failed | Cancelled),
            Running => {
                matches!(next, Waiting | Paused | Interrupted | Completed | Failed | Cancelled | Compensating | Stuck)
            }
            Waiting | Paused | Interrupted => {
                matches!(next, Running | Waiting | Paused | Cancelled | Compensating) && next != self
            }
            Failed => matches!(next, Running),
            Compensating => matches!(next, Compensated | Stuck),
            Stuck => matches!(next, Running | Failed | Cancelled | Compensating),
            Completed | Cancelled | Compensated => false,
        }
    }

    /// Whether the run has ended; a failed one may still be retried.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Compensated)
    }

    /// The status as programs read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Interrupted => "interrupted",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::Stuck => "stuck",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            format!("`{text}` is no status of a run; one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_changes() {
        let table = [
            ("pending", "running paused interrupted failed cancelled"),
            ("running", "waiting paused interrupted completed failed cancelled compensating stuck"),
            ("waiting", "running paused cancelled compensating"),
            ("paused", "running waiting cancelled compensating"),
            ("interrupted", "running waiting paused cancelled compensating"),
            ("completed", ""),
            ("failed", "running"),
            ("cancelled", ""),
            ("compensating", "compensated stuck"),
            ("compensated", ""),
            ("stuck", "running failed cancelled compensating"),
        ];
        assert_eq!(table.map(|(status, _)| status.parse::<RunStatus>().unwrap()), RunStatus::ALL);
        for (status, legal) in table {
            let status: RunStatus = status.parse().unwrap();
            let next = RunStatus::ALL.into_iter().filter(|next| status.may_become(*next));
            assert_eq!(next.map(RunStatus::as_str).collect::<Vec<_>>().join(" "), legal, "{status}");
        }
    }

    #[test]
    fn a_status_reads_as_it_is_written() {
        for status in RunStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert!("done".parse::<RunStatus>().unwrap_err().contains("no status of a run; one of pending, running"));
    }
}
