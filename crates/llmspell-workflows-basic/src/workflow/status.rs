use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// The run has not started.
    Pending,
    /// The run is executing steps.
    Running,
    /// All active branches of the run are waiting.
    Waiting,
    /// The run was paused on request and continues when it is resumed.
    Paused,
    /// The process ended unexpectedly; the run can be resumed.
    Interrupted,
    /// The run ended successfully.
    Completed,
    /// A step failed, so the run failed.
    Failed,
    /// The run was cancelled.
    Cancelled,
    /// The run is undoing its steps.
    Compensating,
    /// The run has undone its steps.
    Compensated,
    /// A step must be resolved manually, because its outcome is unknown or it cannot be undone.
    Stuck,
}

impl RunStatus {
    /// All statuses.
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

    /// Returns whether a run may change from this status to `next`. Legal changes are defined only
    /// here.
    ///
    /// The command `retry` continues a failed run, and a cancelled or compensated run whose `finally` failed; `resolve`
    /// continues a stuck run. Keeping the same status is not a change.
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
            Failed | Cancelled | Compensated => matches!(next, Running),
            Compensating => matches!(next, Compensated | Stuck),
            Stuck => matches!(next, Running | Failed | Cancelled | Compensating),
            Completed => false,
        }
    }

    /// Returns whether the run has ended; a failed run may still be retried.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Compensated)
    }

    /// Returns the serialized name.
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
            format!("unknown run status `{text}`; expected one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_status_changes_are_legal() {
        let table = [
            ("pending", "running paused interrupted failed cancelled"),
            ("running", "waiting paused interrupted completed failed cancelled compensating stuck"),
            ("waiting", "running paused cancelled compensating"),
            ("paused", "running waiting cancelled compensating"),
            ("interrupted", "running waiting paused cancelled compensating"),
            ("completed", ""),
            ("failed", "running"),
            ("cancelled", "running"),
            ("compensating", "compensated stuck"),
            ("compensated", "running"),
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
    fn statuses_parse_from_their_serialized_names() {
        for status in RunStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert!(
            "done"
                .parse::<RunStatus>()
                .unwrap_err()
                .contains("unknown run status `done`; expected one of pending, running")
        );
    }
}
