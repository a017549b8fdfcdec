//! The output of the processes started by a run's steps, from the journal and from the log written
//! while steps run.

use std::{borrow::Cow, collections::BTreeMap};

use llmspell_workflows_basic::{
    BytesForm, ErrorClass, StepError, StepPath, activity::OutputStream, engine::Outcome, model::Effect,
};
use llmspell_workflows_state::{RewindError, RunState};
use serde_json::Value;

use super::Executor;
use crate::{
    ExecutorError, KnownRun,
    home::{LoggedAttempt, LoggedLine, OUTPUT_HEAD_LINES, OUTPUT_TAIL_LINES, OutputCursor, OutputEnd},
};

/// The output of the processes that one attempt of a step started.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessOutput {
    /// The path of the step.
    pub path: String,
    /// The attempt of the step, counted from 1.
    pub attempt: u32,
    /// How the attempt ended.
    pub status: AttemptStatus,
    /// Why the attempt failed.
    pub error: Option<StepError>,
    /// The exit code; `None` if the process did not exit on its own, or if the exit code is not
    /// recorded.
    pub exit_code: Option<i64>,
    /// The standard output of the process, without the omitted lines.
    pub stdout: String,
    /// Whether `stdout` is the output itself or its base64.
    pub stdout_form: BytesForm,
    /// The standard error of the process, without the omitted lines.
    pub stderr: String,
    /// Whether `stderr` is the output itself or its base64.
    pub stderr_form: BytesForm,
    /// The lines of both streams in the order they were written; empty if the whole output is in
    /// the journal, which does not record the order.
    pub lines: Vec<LoggedLine>,
    /// The number of unfinished lines at the end of `lines`, which may still change.
    pub lines_unfinished: usize,
    /// The number of lines omitted between the first and the last lines.
    pub lines_left_out: u64,
    /// The number of unrecorded bytes of the standard output before `stdout`.
    pub stdout_bytes_left_out: u64,
    /// The number of unrecorded bytes of the standard error before `stderr`.
    pub stderr_bytes_left_out: u64,
    /// Why the end of the output is missing; `None` if it is not missing.
    pub log_error: Option<String>,
}

/// The error reported for a log whose end is missing without a recorded reason.
const LOG_CUT_OFF: &str = "the log could not be written; the disk may have been full";

/// How an attempt of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptStatus {
    /// The attempt is running.
    Running,
    /// The attempt completed.
    Completed,
    /// The attempt failed.
    Failed,
    /// The attempt timed out.
    TimedOut,
    /// The attempt was cancelled.
    Cancelled,
    /// The result of the attempt is not recorded: the process that ran it ended, or the run was
    /// paused.
    Interrupted,
}

impl AttemptStatus {
    /// Returns the name of the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The journal's view of an attempt.
struct RecordedAttempt {
    /// The number of the attempt's record.
    number: u64,
    status: AttemptStatus,
    error: Option<StepError>,
    output: Option<ProcessOutput>,
}

/// The logged output of one execution of a step.
struct Logged {
    attempt: LoggedAttempt,
    lines: Vec<LoggedLine>,
    /// The number of unfinished lines at the end of `lines`.
    unfinished: usize,
    end: Option<OutputEnd>,
}

impl Executor {
    /// Returns the outputs of the processes that a run's steps executed, in the order in which the
    /// processes ended; running processes come last. The output of a sub-workflow's processes is
    /// returned for the sub-workflow's own run.
    ///
    /// # Errors
    /// Returns an error if this executor cannot run the definition, or the journal or the log cannot be read.
    pub async fn process_outputs(&self, known: &KnownRun) -> Result<Vec<ProcessOutput>, ExecutorError> {
        // The log is read first, so it is complete for each attempt that has ended in the journal.
        let mut logged = self.logged(known).await?;
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        let state = RunState::read(&records).map_err(|error| RewindError::Damaged(error.to_string()))?;
        let is_activity = |path: &str| {
            let path = path.parse::<StepPath>().ok();
            path.and_then(|path| plan.step(&path)).is_some_and(|step| step.kind.traits().effect == Effect::Activity)
        };
        let mut outputs = Vec::new();
        for (path, _) in state.steps().filter(|(path, _)| is_activity(path)) {
            let attempts = recorded(&state, path)?;
            outputs.extend(merged(path, attempts, logged.remove(path).unwrap_or_default(), known));
        }
        for (path, logs) in logged {
            outputs.extend(merged(&path, Vec::new(), logs, known));
        }
        outputs.sort_by_key(|(order, _)| *order);
        Ok(outputs.into_iter().map(|(_, one)| one).collect())
    }

    /// Returns the logged executions of each step, in order.
    async fn logged(&self, known: &KnownRun) -> Result<BTreeMap<String, Vec<Logged>>, ExecutorError> {
        let mut cursor = OutputCursor::default();
        let lines = match self.inner.home.outputs() {
            Some(outputs) => outputs.read(known.id(), &mut cursor).await?,
            None => Vec::new(),
        };
        let mut by_id = BTreeMap::<u64, Logged>::new();
        let finished = lines.into_iter().map(|line| (0, line));
        for (unfinished, line) in finished.chain(cursor.unfinished().iter().map(|line| (1, line.clone()))) {
            let attempt = line.attempt.clone();
            let new = || Logged {
                attempt: (*attempt).clone(),
                lines: Vec::new(),
                unfinished: 0,
                end: cursor.end(attempt.id).cloned(),
            };
            let logged = by_id.entry(attempt.id).or_insert_with(new);
            logged.lines.push(line);
            logged.unfinished += unfinished;
        }
        let mut by_path = BTreeMap::<String, Vec<Logged>>::new();
        for logged in by_id.into_values() {
            by_path.entry(logged.attempt.source.path.clone()).or_default().push(logged);
        }
        Ok(by_path)
    }
}

/// Returns the ended attempts of the step `path`, in order.
fn recorded(state: &RunState, path: &str) -> Result<Vec<RecordedAttempt>, RewindError> {
    let Some(step) = state.step(path) else { return Ok(Vec::new()) };
    let failed = |number: u64, error: &StepError| RecordedAttempt {
        number,
        status: if error.class == ErrorClass::Timeout { AttemptStatus::TimedOut } else { AttemptStatus::Failed },
        error: Some(error.clone()),
        output: error.details.as_ref().and_then(output_of_value),
    };
    let mut attempts: Vec<_> =
        step.failed_attempts().into_iter().map(|(number, error)| failed(number, error)).collect();
    if let (Some(number), Some(end)) = (step.end_number(), step.end()) {
        let ended = |status, output| RecordedAttempt { number, status, error: None, output };
        attempts.extend(match state.outcome(path, end).map_err(RewindError::Damaged)? {
            Outcome::Completed(output) => Some(ended(AttemptStatus::Completed, output_of_value(&output.value))),
            Outcome::Failed(failure) => Some(failed(number, &failure.error)),
            Outcome::Cancelled(_) => Some(ended(AttemptStatus::Cancelled, None)),
            Outcome::Skipped(_) | Outcome::Parked(_) | Outcome::Stuck(_) => None,
        });
    }
    Ok(attempts)
}

/// Combines the journal's and the log's view of a step. Returns the outputs with their positions in
/// the run.
fn merged(
    path: &str,
    attempts: Vec<RecordedAttempt>,
    mut logs: Vec<Logged>,
    known: &KnownRun,
) -> Vec<((u64, u64), ProcessOutput)> {
    let mut outputs = Vec::new();
    for (attempt, recorded) in (1..).zip(attempts) {
        let (own, others): (Vec<Logged>, _) = logs.into_iter().partition(|log| log.attempt.source.attempt == attempt);
        logs = others;
        let mut own = own.into_iter().rev();
        let last = own.next();
        let id = last.as_ref().map_or(u64::MAX, |log| log.attempt.id);
        for log in own {
            outputs.push(((recorded.number, log.attempt.id), of_log(log, AttemptStatus::Interrupted)));
        }
        let number = recorded.number;
        outputs.extend(one(path, attempt, recorded, last).map(|output| ((number, id), output)));
    }
    let last = logs.len();
    for (at, log) in (1..).zip(logs) {
        let is_running = at == last && known.holder.is_some() && !known.status().has_ended();
        let status = if is_running { AttemptStatus::Running } else { AttemptStatus::Interrupted };
        outputs.push(((u64::MAX, log.attempt.id), of_log(log, status)));
    }
    outputs
}

/// Returns the output of an ended attempt, if there is any.
fn one(path: &str, attempt: u32, recorded: RecordedAttempt, log: Option<Logged>) -> Option<ProcessOutput> {
    let RecordedAttempt { status, error, output, .. } = recorded;
    let Some(log) = log else {
        return output.map(|output| ProcessOutput { path: path.to_owned(), attempt, status, error, ..output });
    };
    let logged = of_log(log, status);
    let exit_code = output.as_ref().and_then(|output| output.exit_code);
    let attempt = logged.attempt;
    match output.filter(|output| status == AttemptStatus::Completed || is_fuller(output, &logged)) {
        Some(output) => Some(ProcessOutput { path: path.to_owned(), attempt, status, error, ..output }),
        None => Some(ProcessOutput { error, exit_code, ..logged }),
    }
}

/// Returns whether the recorded output of a failed process contains more than its log. The record
/// contains only the end of such an output.
fn is_fuller(recorded: &ProcessOutput, logged: &ProcessOutput) -> bool {
    let is_cut = recorded.stdout_bytes_left_out + recorded.stderr_bytes_left_out > 0;
    match is_cut || logged.log_error.is_some() {
        true => size(recorded) > size(logged),
        // A recorded output contains all bytes, while the log preserves the order of the lines.
        false => line_count(recorded) >= logged.lines.len() as u64 + logged.lines_left_out,
    }
}

fn line_count(output: &ProcessOutput) -> u64 {
    shown(output).map(|text| text.lines().count() as u64).sum()
}

fn size(output: &ProcessOutput) -> usize {
    shown(output).map(|text| text.len()).sum()
}

fn shown(output: &ProcessOutput) -> impl Iterator<Item = Cow<'_, str>> {
    [(output.stdout_form, &output.stdout), (output.stderr_form, &output.stderr)]
        .into_iter()
        .map(|(form, text)| form.shown(text))
}

/// Returns a logged output, cut to the first and last lines that every log keeps.
fn of_log(Logged { attempt, mut lines, unfinished, end }: Logged, status: AttemptStatus) -> ProcessOutput {
    let total = lines.last().map_or(0, |line| line.number + 1);
    let log_error = match (end, status) {
        // The log of a running or interrupted attempt has no end record, which is not an error.
        (None, AttemptStatus::Running | AttemptStatus::Interrupted) => None,
        (None, _) => Some(LOG_CUT_OFF.to_owned()),
        (Some(end), _) => end.error.map(|error| match end.lines.saturating_sub(total) {
            0 => error,
            1 => format!("1 line: {error}"),
            missing => format!("{missing} lines: {error}"),
        }),
    };
    lines.retain(|line| line.number < OUTPUT_HEAD_LINES as u64 || line.number + OUTPUT_TAIL_LINES as u64 >= total);
    let text = |stream: OutputStream| -> String {
        let of_stream = |lines: &[LoggedLine]| -> Vec<String> {
            lines.iter().filter(|one| one.line.stream == stream).map(|one| one.line.text.clone()).collect()
        };
        let (ended, unfinished) = lines.split_at(lines.len().saturating_sub(unfinished));
        of_stream(ended).into_iter().map(|line| line + "\n").chain([of_stream(unfinished).join("\n")]).collect()
    };
    ProcessOutput {
        attempt: attempt.source.attempt + attempt.source.cuts,
        path: attempt.source.path,
        status,
        error: None,
        exit_code: None,
        stdout: text(OutputStream::Stdout),
        stdout_form: BytesForm::Text,
        stderr: text(OutputStream::Stderr),
        stderr_form: BytesForm::Text,
        lines_left_out: total - lines.len() as u64,
        stdout_bytes_left_out: 0,
        stderr_bytes_left_out: 0,
        log_error,
        lines_unfinished: unfinished,
        lines,
    }
}

/// Extracts the process output from a step's output or from the details of an error. The caller
/// sets the other fields.
fn output_of_value(value: &Value) -> Option<ProcessOutput> {
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    let form = |name: &str| value.get(name).and_then(Value::as_str).and_then(BytesForm::from_name);
    let left_out = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    Some(ProcessOutput {
        path: String::new(),
        attempt: 0,
        status: AttemptStatus::Completed,
        error: None,
        exit_code: value["exit_code"].as_i64(),
        stdout: text("stdout")?,
        stdout_form: form("stdout_type").unwrap_or(BytesForm::Text),
        stderr: text("stderr")?,
        stderr_form: form("stderr_type").unwrap_or(BytesForm::Text),
        lines: Vec::new(),
        lines_unfinished: 0,
        lines_left_out: 0,
        stdout_bytes_left_out: left_out("stdout_bytes_left_out"),
        stderr_bytes_left_out: left_out("stderr_bytes_left_out"),
        log_error: None,
    })
}
