//! The metrics of a run.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Finished, Plan, StepError,
    engine::{StepRecord, StepStatus},
    model::{Definition, Effect, Step},
};
use llmspell_workflows_state::{End, History, PastStep, RunState};
use serde::Serialize;

/// The metrics of a run.
///
/// Times are computed from the journal, so they include crashes and waits. CPU time and memory are measured for **this
/// process, since the run was started or resumed in it**; they include concurrent runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AdvancedMetrics {
    /// The time from the first start of the run to its end.
    pub execution_time: Duration,
    /// The duration of each leaf, including all attempts, by path.
    pub step_latency: BTreeMap<String, Duration>,
    /// The speedup from parallelism: the sum of the leaves' durations divided by `execution_time`.
    pub parallel_efficiency: f64,
    /// The resources that the run used.
    pub resource_utilization: ResourceUtilization,
    /// The proportion of failed attempts.
    pub error_rate: ErrorRate,
    /// The total duration of the leaves that completed after a failed attempt, including all attempts and delays.
    pub recovery_time: Duration,
    /// The number of completed leaves per second of `execution_time`.
    pub throughput: f64,
    /// The CPU time per completed leaf; `None` if it cannot be measured on this platform or no leaf completed.
    pub cost_efficiency: Option<Duration>,
}

/// The resources that a run used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ResourceUtilization {
    /// The CPU time of the process during the run; `None` if it cannot be measured on this platform.
    pub cpu_time: Option<Duration>,
    /// The memory of the process at the end in bytes; `None` if it cannot be measured on this platform.
    pub memory_bytes: Option<u64>,
    /// The peak memory of the process in bytes; `None` if it cannot be measured on this platform.
    pub memory_peak_bytes: Option<u64>,
    /// The number of attempts by activity, such as `tool:web_search`.
    pub activity_calls: BTreeMap<String, u64>,
}

/// The proportion of failed attempts.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ErrorRate {
    /// The number of failed attempts divided by the number of all attempts, from 0 to 1.
    pub rate: f64,
    /// The number of failed attempts by error class.
    pub by_class: BTreeMap<String, u64>,
}

/// Returns the CPU time of this process so far; `None` if it cannot be measured on this platform.
#[must_use]
pub fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }
    #[cfg(not(unix))]
    None
}

/// Returns the current and the peak memory of this process in bytes; `None` if not measurable on this platform.
fn memory_bytes() -> (Option<u64>, Option<u64>) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return (None, None) };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The CPU time and memory of this process while it drove a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessUsage {
    cpu_time: Option<Duration>,
    memory_bytes: Option<u64>,
    memory_peak_bytes: Option<u64>,
}

impl ProcessUsage {
    /// Returns this process's usage since it started or resumed the run, when its CPU time was
    /// `cpu_before`.
    #[must_use]
    pub fn since(cpu_before: Option<Duration>) -> Self {
        let (memory_bytes, memory_peak_bytes) = memory_bytes();
        let cpu_time = cpu_before.and_then(|before| cpu_time()?.checked_sub(before));
        Self { cpu_time, memory_bytes, memory_peak_bytes }
    }
}

/// The measurements of a leaf that was not skipped.
struct Leaf {
    path: String,
    attempts: u32,
    completed: bool,
    latency: Duration,
    activity: Option<String>,
}

impl AdvancedMetrics {
    /// Computes the metrics of `finished`; `cpu` was the process's CPU time when it started or
    /// resumed the run.
    pub(crate) fn of(
        finished: &Finished,
        plan: &Plan,
        (history, state): &(History, RunState),
        cpu: Option<Duration>,
    ) -> Self {
        let past: HashMap<&str, _> = history.steps.iter().map(|step| (step.path.as_str(), step)).collect();
        let leaf = |record: &StepRecord| {
            let path = record.path.to_string();
            let known = past.get(path.as_str());
            Leaf {
                attempts: known.map_or(record.attempts, |step| step.attempts.max(record.attempts)),
                completed: has_completed(record.status),
                latency: known.and_then(|step| latency(step)).unwrap_or_else(|| elapsed(record)),
                activity: plan.step(&record.path).and_then(activity),
                path,
            }
        };
        let leaves = finished.steps.iter().filter(|record| record.is_leaf && record.status != StepStatus::Skipped);
        let execution_time = finished.ended_at.duration_since(finished.started_at).unsigned_abs();
        Self::from_leaves(leaves.map(leaf), execution_time, errors(state), ProcessUsage::since(cpu))
    }

    /// Computes the metrics of a run from its records, as of `until`. Without the definition, the
    /// leaves are unknown. The resource usage of earlier processes is also unknown.
    #[must_use]
    pub fn recorded(
        (history, state): (&History, &RunState),
        definition: Option<&Definition>,
        until: Timestamp,
        usage: ProcessUsage,
    ) -> Self {
        let leaf = |step: &PastStep| {
            let path = step.path.parse().ok()?;
            // Steps called from code are not in any definition.
            let known = definition?.step_at(&path);
            let is_leaf = known.is_some_and(|known| known.kind.is_leaf());
            (is_leaf && step.status != StepStatus::Skipped).then(|| Leaf {
                path: step.path.clone(),
                attempts: step.attempts,
                completed: has_completed(step.status),
                latency: latency(step).unwrap_or_default(),
                activity: known.and_then(activity),
            })
        };
        let execution_time = until.duration_since(history.started.at).unsigned_abs();
        Self::from_leaves(history.steps.iter().filter_map(leaf), execution_time, errors(state), usage)
    }

    /// Computes the metrics of an unrecorded run. For retried attempts, only their number is known.
    #[must_use]
    pub fn in_memory(finished: &Finished, definition: &Definition, usage: ProcessUsage) -> Self {
        let leaves = || finished.steps.iter().filter(|record| record.is_leaf && record.status != StepStatus::Skipped);
        let leaf = |record: &StepRecord| Leaf {
            path: record.path.to_string(),
            attempts: record.attempts,
            completed: has_completed(record.status),
            latency: elapsed(record),
            activity: definition.step_at(&record.path).and_then(activity),
        };
        let mut rate = ErrorRate::default();
        for error in leaves().filter_map(|record| record.error.as_ref()) {
            *rate.by_class.entry(error.class.to_string()).or_default() += 1;
        }
        let execution_time = finished.ended_at.duration_since(finished.started_at).unsigned_abs();
        Self::from_leaves(leaves().map(leaf), execution_time, rate, usage)
    }

    fn from_leaves(
        leaves: impl Iterator<Item = Leaf>,
        execution_time: Duration,
        error_rate: ErrorRate,
        usage: ProcessUsage,
    ) -> Self {
        let mut metrics = Self { execution_time, error_rate, ..Self::default() };
        let (mut attempts, mut completed) = (0, 0);
        for leaf in leaves {
            attempts += u64::from(leaf.attempts);
            completed += u64::from(leaf.completed);
            if leaf.attempts > 1 && leaf.completed {
                metrics.recovery_time += leaf.latency;
            }
            if let Some(name) = leaf.activity {
                *metrics.resource_utilization.activity_calls.entry(name).or_default() += u64::from(leaf.attempts);
            }
            metrics.step_latency.insert(leaf.path, leaf.latency);
        }
        let failed: u64 = metrics.error_rate.by_class.values().sum();
        metrics.error_rate.rate = ratio(failed, attempts);
        let seconds = metrics.execution_time.as_secs_f64();
        if seconds > 0.0 {
            let all: Duration = metrics.step_latency.values().sum();
            metrics.parallel_efficiency = all.as_secs_f64() / seconds;
            metrics.throughput = ratio(completed, 1) / seconds;
        }
        let used = &mut metrics.resource_utilization;
        (used.cpu_time, used.memory_bytes, used.memory_peak_bytes) =
            (usage.cpu_time, usage.memory_bytes, usage.memory_peak_bytes);
        let completed = u32::try_from(completed).unwrap_or(u32::MAX);
        metrics.cost_efficiency = used.cpu_time.and_then(|cpu| cpu.checked_div(completed));
        metrics
    }
}

fn has_completed(status: StepStatus) -> bool {
    matches!(status, StepStatus::Completed | StepStatus::Compensated)
}

fn latency(step: &PastStep) -> Option<Duration> {
    step.ended?.checked_sub(step.began?)
}

/// Counts all failed attempts, including those that were not retried.
fn errors(state: &RunState) -> ErrorRate {
    let mut rate = ErrorRate::default();
    let mut count = |error: &StepError| *rate.by_class.entry(error.class.to_string()).or_default() += 1;
    for (_, step) in state.steps().filter(|(_, step)| step.is_activity()) {
        step.failed_attempts().into_iter().for_each(|(_, error)| count(error));
        if let Some(End::Failed(failure)) = step.end() {
            count(&failure.error);
        }
    }
    rate
}

fn ratio(part: u64, whole: u64) -> f64 {
    let exact = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    if whole == 0 { 0.0 } else { exact(part) / exact(whole) }
}

fn elapsed(record: &StepRecord) -> Duration {
    record.ended_at.map_or(Duration::ZERO, |ended| ended.duration_since(record.started_at).unsigned_abs())
}

fn activity(step: &Step) -> Option<String> {
    let called = step.kind.activity().filter(|_| step.kind.traits().effect == Effect::Activity);
    called.map(ToString::to_string)
}
