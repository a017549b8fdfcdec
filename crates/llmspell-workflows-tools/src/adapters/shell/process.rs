use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use llmspell_workflows_basic::{
    BytesForm, ErrorClass, StepError,
    activity::{ActivityContext, OutputLine, OutputWriter},
    secrets::Masker,
};
use rustix::io::Errno;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command as Process},
    time::timeout,
};

use super::{
    command::Command,
    group::ProcessGroup,
    unfit::{shown, unfit},
};

/// How long to wait for a process to stop before killing it. This must be shorter than the engine's grace period.
const TERM_WAIT: Duration = Duration::from_secs(2);

/// How long to keep reading output after every process in the group has ended; a process outside the group may still
/// hold the pipe open.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// How long to keep reading the output of a process being stopped.
const STOPPED_WAIT: Duration = TERM_WAIT;

/// The maximum number of bytes from the end of `stdout`, and from the end of `stderr`, in a failed
/// command's error.
const ERROR_OUTPUT_BYTES: usize = 4096;

/// The minimum free space in the buffer for each read of a pipe.
const READ_BYTES: usize = 8 * 1024;

/// The fields of the output.
pub(super) const OUTPUT_FIELDS: [&str; 5] = ["stdout", "stdout_type", "stderr", "stderr_type", "exit_code"];

/// Runs `command` until it exits; returns `{stdout, stdout_type, stderr, stderr_type, exit_code}`.
pub(super) async fn run(command: Command, context: &ActivityContext, bytes_max: usize) -> Result<Value, StepError> {
    let mut child = spawn(&command, context)?;
    let group = ProcessGroup::of(child.id());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let [mut out_log, mut err_log] = context.output();
    let exit = {
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let piped = async {
            let (stdin, out, err) = streams;
            let out = read(out, &mut stdout, bytes_max, &mut out_log);
            let err = read(err, &mut stderr, bytes_max, &mut err_log);
            let read = async { tokio::try_join!(out, err) };
            tokio::join!(write(stdin, command.stdin.as_deref().unwrap_or_default()), read).1
        };
        tokio::pin!(piped);
        follow(&mut child, group, context, piped).await
    };
    out_log.finish().await;
    err_log.finish().await;
    let status = exit?;
    if !status.success() && !command.allow_failure {
        return Err(failed(status, stdout, stderr, context.masker()));
    }
    let ((stdout, stdout_form), (stderr, stderr_form)) = (BytesForm::encode(stdout), BytesForm::encode(stderr));
    let values: [Value; 5] =
        [stdout.into(), stdout_form.name().into(), stderr.into(), stderr_form.name().into(), exit_code(status).into()];
    Ok(OUTPUT_FIELDS.into_iter().map(str::to_owned).zip(values).collect())
}

fn spawn(command: &Command, context: &ActivityContext) -> Result<Child, StepError> {
    let mut process = match &command.file {
        Some(file) => Process::new(file),
        None => Process::new(&command.program),
    };
    for name in &command.withheld {
        process.env_remove(name);
    }
    process
        .arg0(&command.program)
        .args(&command.arguments)
        .current_dir(&command.directory)
        .env("SPELLFLOW_RUN_ID", context.run_id().to_string())
        .env("SPELLFLOW_STEP_PATH", context.path().to_string())
        .env("SPELLFLOW_ATTEMPT", context.attempt_with_cuts().to_string())
        .env("SPELLFLOW_IDEMPOTENCY_KEY", context.idempotency_key())
        .envs(command.environment.iter().map(|(name, value)| (name, value)))
        .stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    process.spawn().map_err(|error| {
        if let Some(unfit) = unfit(command, &error) {
            return unfit;
        }
        let (class, code) = match error.kind() {
            io::ErrorKind::NotFound => (ErrorClass::Configuration, "program_not_found"),
            _ if is_shortage(&error) => (ErrorClass::Resource, "program_not_started"),
            _ => (ErrorClass::Configuration, "program_not_started"),
        };
        StepError::new(class, code, format!("cannot start the program `{}`: {error}", shown(&command.program)))
    })
}

/// Returns whether the system has run out of a resource that may become available again: processes,
/// memory or files.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::AGAIN, Errno::BUSY, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}

/// Waits for the process to exit while reading and writing its pipes, then stops the rest of its
/// group. This function stops the process itself if the call is cancelled or the output is too
/// large.
async fn follow(
    child: &mut Child,
    group: ProcessGroup,
    context: &ActivityContext,
    mut piped: std::pin::Pin<&mut impl Future<Output = Result<((), ()), StepError>>>,
) -> Result<ExitStatus, StepError> {
    let mut drained = None;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            result = &mut piped, if drained.is_none() => match result {
                Ok(_) => drained = Some(()),
                Err(error) => {
                    stop(child, group).await;
                    return Err(error);
                }
            },
            () = context.cancelled() => {
                // Output written while the process is stopping is logged too.
                let stopped = stop(child, group);
                match drained {
                    Some(()) => stopped.await,
                    None => drop(tokio::join!(stopped, timeout(STOPPED_WAIT, piped))),
                }
                return Err(StepError::new(ErrorClass::Cancelled, "cancelled", "the process was stopped"));
            }
        }
    };
    group.end().await;
    if drained.is_none()
        && let Ok(result) = timeout(DRAIN_WAIT, piped).await
    {
        result?;
    }
    status.map_err(|error| StepError::transient("process_lost", format!("cannot wait for the process: {error}")))
}

/// Asks the process and its group to stop, and kills processes that do not stop in time.
async fn stop(child: &mut Child, group: ProcessGroup) {
    group.terminate();
    // The exit status does not matter; waiting keeps the process from becoming a zombie.
    if timeout(TERM_WAIT, child.wait()).await.is_err() {
        group.kill();
        let _ = child.wait().await;
    }
    group.end().await;
}

/// Writes `text` and closes the pipe. A process does not have to read its input to the end.
async fn write(pipe: Option<impl tokio::io::AsyncWrite + Unpin>, text: &str) {
    if let Some(mut pipe) = pipe {
        let _ = pipe.write_all(text.as_bytes()).await;
        let _ = pipe.shutdown().await;
    }
}

/// Reads a pipe to its end, and passes the data to `log`; fails if the process wrote more than
/// `bytes_max` bytes.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    bytes_max: usize,
    log: &mut OutputWriter,
) -> Result<(), StepError> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut pipe = pipe.take(bytes_max as u64 + 1);
    loop {
        let from = into.len();
        into.reserve(READ_BYTES);
        // A read error is treated as the end of the pipe.
        match pipe.read_buf(into).await {
            Ok(0) | Err(_) => break,
            Ok(_) => log.write(&into[from..]),
        }
    }
    if into.len() > bytes_max {
        let message = format!("the process wrote more than {bytes_max} bytes");
        return Err(StepError::new(ErrorClass::Resource, "output_too_large", message).retryable(false));
    }
    Ok(())
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn failed(status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8>, masker: &Masker) -> StepError {
    let ((stdout, stdout_form), (stderr, stderr_form)) = (BytesForm::encode(stdout), BytesForm::encode(stderr));
    // Secrets are masked before the output is truncated.
    let (stdout, stderr) = (masker.masked(&stdout), masker.masked(&stderr));
    let ((stdout, stdout_left_out), (stderr, stderr_left_out)) =
        (tail(&stdout, stdout_form), tail(&stderr, stderr_form));
    let last = last_line(stderr, stderr_form).or_else(|| last_line(stdout, stdout_form));
    let ending = match (status.code(), status.signal()) {
        (Some(code), _) => format!("the process ended with exit code {code}"),
        (None, Some(signal)) => format!("the process was terminated by signal {signal}"),
        (None, None) => "the process ended with an unknown status".to_owned(),
    };
    let message = last.map_or(ending.clone(), |line| format!("{ending}: {line}"));
    // `sh` reports a missing or non-executable program with these codes; a retry would fail in the same way.
    let (class, code) = match status.code() {
        Some(126 | 127) => (ErrorClass::Configuration, "command_not_found"),
        _ => (ErrorClass::Transient, "process_failed"),
    };
    let details = json!({
        "exit_code": exit_code(status),
        "stdout": stdout,
        "stdout_type": stdout_form.name(),
        "stdout_bytes_left_out": stdout_left_out,
        "stderr": stderr,
        "stderr_type": stderr_form.name(),
        "stderr_bytes_left_out": stderr_left_out,
    });
    StepError::new(class, code, message).with_details(details)
}

/// Returns the last nonblank line, in readable form.
fn last_line(output: &str, form: BytesForm) -> Option<String> {
    form.shown(output)
        .lines()
        .rev()
        .map(|line| OutputLine::last_state(line).trim())
        .find(|line| !line.is_empty())
        .map(str::to_owned)
}

/// Returns at most [`ERROR_OUTPUT_BYTES`] bytes from the end of `text`, and the number of output
/// bytes before them. The end of a base64 text is valid base64 too, because [`ERROR_OUTPUT_BYTES`]
/// is a multiple of 4.
fn tail(text: &str, form: BytesForm) -> (&str, usize) {
    let from = text.ceil_char_boundary(text.len().saturating_sub(ERROR_OUTPUT_BYTES));
    let left_out = if form == BytesForm::Base64 { from / 4 * 3 } else { from };
    (&text[from..], left_out)
}
