//! The metrics of a run, for programs.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_advanced::{AdvancedMetrics, ErrorRate};
use llmspell_workflows_basic::{Finished, engine::StepStatus};
use serde::Serialize;

use super::{Step, below_root};

/// The counts and the duration of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Counts {
    pub(crate) duration_ms: f64,
    pub(crate) steps_executed: usize,
    pub(crate) steps_skipped: usize,
    pub(crate) retries: u64,
}

/// The counts of a run and its eight metrics. Times are in milliseconds, and memory sizes are in
/// bytes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Metrics {
    #[serde(flatten)]
    counts: Counts,
    execution_time_ms: f64,
    /// Latency by the path of the leaf.
    step_latency_ms: BTreeMap<String, f64>,
    parallel_efficiency: f64,
    resource_utilization: Resources,
    error_rate: ErrorRate,
    recovery_time_ms: f64,
    /// Completed leaves per second.
    throughput: f64,
    /// CPU time per completed leaf; `null` if another process drove the run.
    cost_efficiency_ms: Option<f64>,
}

/// The resources used by this process to drive the run; `null` for a run driven by another process.
#[derive(Debug, Clone, Serialize)]
struct Resources {
    cpu_time_ms: Option<f64>,
    memory_bytes: Option<u64>,
    memory_peak_bytes: Option<u64>,
    /// The number of attempts per activity.
    activity_calls: BTreeMap<String, u64>,
}

impl Metrics {
    pub(super) fn new(counts: Counts, metrics: AdvancedMetrics) -> Self {
        let used = metrics.resource_utilization;
        Self {
            counts,
            execution_time_ms: milliseconds(metrics.execution_time),
            step_latency_ms: metrics.step_latency.into_iter().map(|(path, took)| (path, milliseconds(took))).collect(),
            parallel_efficiency: metrics.parallel_efficiency,
            resource_utilization: Resources {
                cpu_time_ms: used.cpu_time.map(milliseconds),
                memory_bytes: used.memory_bytes,
                memory_peak_bytes: used.memory_peak_bytes,
                activity_calls: used.activity_calls,
            },
            error_rate: metrics.error_rate,
            recovery_time_ms: milliseconds(metrics.recovery_time),
            throughput: metrics.throughput,
            cost_efficiency_ms: metrics.cost_efficiency.map(milliseconds),
        }
    }
}

impl Counts {
    pub(super) fn of(steps: &[Step<'_>], took: Duration) -> Self {
        let skipped = steps.iter().filter(|step| step.skip_reason.is_some()).count();
        Self {
            duration_ms: milliseconds(took),
            steps_executed: steps.len() - skipped,
            steps_skipped: skipped,
            retries: steps.iter().map(|step| u64::from(step.attempts.saturating_sub(1))).sum(),
        }
    }

    pub(crate) fn of_finished(finished: &Finished) -> Self {
        let skipped = below_root(finished).filter(|record| record.status == StepStatus::Skipped).count();
        Self {
            duration_ms: milliseconds(between(finished.started_at, finished.ended_at)),
            steps_executed: below_root(finished).count() - skipped,
            steps_skipped: skipped,
            retries: below_root(finished).map(|record| u64::from(record.attempts.saturating_sub(1))).sum(),
        }
    }
}

pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Converts a duration to milliseconds, with microsecond precision.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
