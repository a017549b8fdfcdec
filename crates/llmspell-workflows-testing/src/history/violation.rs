//! The violations and reports of the checker.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Observation, Outcome, What};

/// The kind of a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An acknowledged event happened again.
    Repeated,
    /// An acknowledged fact is missing from the store.
    Lost,
    /// Steps or acknowledgements are in an impossible order.
    Reordered,
    /// A step or a run was executed by two processes at the same time.
    Overlapping,
    /// A command was acknowledged, but the store contradicts it.
    Contradicted,
}

/// The rule that a history violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// An effect began after the completion of its step had been acknowledged.
    EffectAfterCompletion,
    /// A completed step was executed again, as another generation, although no command was allowed
    /// to repeat it.
    RepeatedUnasked,
    /// The completion of a step was acknowledged twice.
    AcknowledgedTwice,
    /// The store contains two completions of a step, without a rewind between them that reopened it.
    RecordedTwice,
    /// An acknowledged completion is missing from the store.
    CompletionLost,
    /// A run that was acknowledged as started is missing from the store.
    RunLost,
    /// A process acknowledged the completions of two steps in the wrong order.
    AcknowledgedOutOfOrder,
    /// According to the records, a step began before a preceding step had ended.
    BeganTooEarly,
    /// An effect began while the effect of a preceding step was still running, or before the end of
    /// that step was recorded.
    EffectTooEarly,
    /// The effect of a step began while another execution of the same step was running.
    StepOverlaps,
    /// Two processes took turns executing the steps of a run.
    RunHeldTwice,
    /// A run was acknowledged as cancelled, but completed.
    CancelledButCompleted,
    /// A run was acknowledged as deleted, but still exists or has effects.
    DeletedButThere,
    /// The end of a run was acknowledged, but the store contains another status.
    EndedOtherwise,
    /// A run was imported although it already existed.
    ImportedTwice,
    /// A process accepted a request to pause or cancel its run, but further steps began.
    StoppedButWentOn,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 16] = [
        Self::EffectAfterCompletion,
        Self::RepeatedUnasked,
        Self::AcknowledgedTwice,
        Self::RecordedTwice,
        Self::CompletionLost,
        Self::RunLost,
        Self::AcknowledgedOutOfOrder,
        Self::BeganTooEarly,
        Self::EffectTooEarly,
        Self::StepOverlaps,
        Self::RunHeldTwice,
        Self::CancelledButCompleted,
        Self::DeletedButThere,
        Self::EndedOtherwise,
        Self::ImportedTwice,
        Self::StoppedButWentOn,
    ];

    /// Returns the kind of the violations of this rule.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::EffectAfterCompletion | Self::RepeatedUnasked | Self::AcknowledgedTwice | Self::RecordedTwice => {
                Kind::Repeated
            }
            Self::CompletionLost | Self::RunLost => Kind::Lost,
            Self::AcknowledgedOutOfOrder | Self::BeganTooEarly | Self::EffectTooEarly => Kind::Reordered,
            Self::StepOverlaps | Self::RunHeldTwice => Kind::Overlapping,
            Self::CancelledButCompleted
            | Self::DeletedButThere
            | Self::EndedOtherwise
            | Self::ImportedTwice
            | Self::StoppedButWentOn => Kind::Contradicted,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::EffectAfterCompletion => "an effect began after its completion had been acknowledged",
            Self::RepeatedUnasked => "a completed step ran again although no command repeats it",
            Self::AcknowledgedTwice => "a completion was acknowledged twice",
            Self::RecordedTwice => "a completion was recorded twice",
            Self::CompletionLost => "an acknowledged completion is missing from the store",
            Self::RunLost => "an acknowledged run is missing from the store",
            Self::AcknowledgedOutOfOrder => "completions were acknowledged in the wrong order",
            Self::BeganTooEarly => "a step was recorded as begun before a preceding step had ended",
            Self::EffectTooEarly => "an effect began before a preceding step had ended",
            Self::StepOverlaps => "two executions of a step overlap",
            Self::RunHeldTwice => "two processes took turns executing a run",
            Self::CancelledButCompleted => "a cancelled run completed",
            Self::DeletedButThere => "a deleted run still exists",
            Self::EndedOtherwise => "a run's status differs from the acknowledged status",
            Self::ImportedTwice => "a run was imported although it already existed",
            Self::StoppedButWentOn => "a run continued after it was asked to stop",
        }
    }
}

/// A violation and its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The violated rule.
    pub rule: Rule,
    /// The name of the store.
    pub store: String,
    /// The run's id.
    pub run: String,
    /// The path of the step; `None` if the violation is about the whole run.
    pub step: Option<String>,
    /// The positions in the history, counted from 0, of the observations that prove the violation.
    pub observations: Vec<usize>,
    /// The numbers of the records that prove the violation, in the run that the last observation found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<u64>,
}

impl Violation {
    /// Returns the kind of the violation.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.rule.kind()
    }

    /// Shows the violation and the observations that prove it, one per line. For runs found in a
    /// store, only the relevant records are shown.
    #[must_use]
    pub fn show(&self, history: &[Observation]) -> String {
        let mut text = self.to_string();
        for at in &self.observations {
            let mut shown = history[*at].clone();
            if let What::Found(run) = &mut shown.what {
                run.records.retain(|record| self.records.contains(&record.number));
            }
            text += &format!("\n  {at}: {}", super::write(&[shown]).trim_end());
        }
        text
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.as_deref().unwrap_or_default();
        write!(f, "{:?}: {}: run {} in `{}` {step}", self.kind(), self.rule.text(), self.run, self.store)
    }
}

/// The checker's findings, and the amount of data that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The violations; empty if the history is valid.
    pub violations: Vec<Violation>,
    /// The number of observations.
    pub observations: usize,
    /// The number of commands.
    pub commands: usize,
    /// The number of commands whose processes were killed.
    pub killed: usize,
    /// The number of effects that began.
    pub effects: usize,
    /// The number of acknowledged completions of steps.
    pub acknowledged: usize,
    /// The number of runs read from a store.
    pub found: usize,
}

impl Report {
    pub(super) fn count(history: &[Observation]) -> Self {
        let mut report = Self { observations: history.len(), ..Self::default() };
        for observation in history {
            let counter = match &observation.what {
                What::Asked(_) => &mut report.commands,
                What::Ended { outcome: Outcome::Unknown } => &mut report.killed,
                What::EffectBegan(_) => &mut report.effects,
                What::StepCompleted { .. } => &mut report.acknowledged,
                What::Found(_) => &mut report.found,
                _ => continue,
            };
            *counter += 1;
        }
        report
    }
}
