//! A run and what may interrupt it.

use std::{future::pending, sync::Arc, time::Duration};

use llmspell_workflows_advanced::{DurableRun, RunControl};
use llmspell_workflows_basic::{ErrorClass, Finished, Run, RunStatus, StepError, engine::Wait};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::Shown;
use crate::Failure;

/// How long a run has to end once it is asked to stop.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How often a view is told that time passes.
const TICK: Duration = Duration::from_millis(100);

/// How a run ended for the one who started it.
pub(crate) enum Ended {
    Finished(Box<Finished>),
    /// It waits for something that cannot come here.
    Waiting(Wait),
    /// Somebody has to say what became of these steps, and why.
    Stuck(Vec<(String, StepError)>),
    /// It was stopped, and can be resumed.
    Stopped,
    /// It could not go on.
    Broken(Box<Failure>),
    /// It did not stop in time, or was not given any.
    Killed,
}

/// A run that this process drives.
pub(crate) struct Driven {
    run: Arc<Run>,
    /// What pauses the run; none for a run in memory.
    durable: Option<RunControl>,
}

impl Driven {
    pub(crate) fn in_memory(run: &Arc<Run>) -> Self {
        Self { run: run.clone(), durable: None }
    }

    pub(crate) fn durable(run: &DurableRun) -> Self {
        Self { run: run.run().clone(), durable: Some(run.control()) }
    }

    pub(crate) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    fn cancel(&self) {
        match &self.durable {
            None => self.run.cancel(),
            Some(control) => control.cancel(),
        }
    }

    fn shut_down(&self) {
        match &self.durable {
            None => self.run.shut_down(),
            Some(control) => control.shut_down(),
        }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.durable.is_some()
    }
}

/// Waits for the end of `run`, which `driven` drives; a first signal asks it to pause or to stop, a second one does not
/// ask.
pub(crate) async fn drive(driven: impl Future<Output = Ended>, run: &Driven, shown: &Shown<'_>) -> Ended {
    let output = shown.output;
    let mut signals = Signals::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut time_is_up = shown.timeout.map(|timeout| Instant::now() + timeout);
    let (mut stop_at, mut give_up): (Option<Instant>, Option<Instant>) = (None, None);
    let mut timed_out = None;
    tokio::pin!(driven);
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut driven => break ended,
            () = signals.next() => {
                if stop_at.is_some() || give_up.is_some() {
                    break Ended::Killed;
                }
                if let Some(control) = &run.durable {
                    let grace = crate::watch::elapsed(shown.pause_grace);
                    output.note(&format!("pausing the run; steps at work have {grace} to end, Ctrl-C again stops them at once"));
                    control.pause();
                    stop_at = Some(Instant::now() + shown.pause_grace);
                } else {
                    output.note(
                        "stopping the run, which is in memory and cannot be resumed; Ctrl-C again stops it at once",
                    );
                    run.cancel();
                    give_up = Some(Instant::now() + STOP_WAIT);
                }
            }
            () = until(stop_at), if give_up.is_none() => {
                // They run again when the run is resumed.
                run.shut_down();
                give_up = Some(Instant::now() + STOP_WAIT);
            }
            () = until(time_is_up) => {
                (timed_out, time_is_up) = (shown.timeout, None);
                run.cancel();
                give_up = give_up.or(Some(Instant::now() + STOP_WAIT));
            }
            () = until(give_up) => break Ended::Killed,
            _ = ticks.tick(), if shown.view.is_some() => shown.view.iter().for_each(|view| view.tick()),
        }
    };
    shown.view.iter().for_each(|view| view.finish());
    match (ended, timed_out) {
        (Ended::Finished(finished), Some(timeout)) => Ended::Finished(Box::new(late(*finished, timeout))),
        (ended, _) => ended,
    }
}

/// A run that was stopped because its time was up has failed; one that still completed has not.
fn late(finished: Finished, timeout: Duration) -> Finished {
    if finished.status != RunStatus::Cancelled {
        return finished;
    }
    let message = format!("the run took longer than {}", crate::watch::elapsed(timeout));
    let error = StepError::new(ErrorClass::Timeout, "run_timed_out", message).at("/main");
    Finished { status: RunStatus::Failed, error: Some(error), ..finished }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Ctrl-C, and the two other ways in which a process is asked to stop.
struct Signals([Option<Signal>; 3]);

impl Signals {
    fn new() -> Self {
        // Where a signal cannot be listened to it does what it does anyway: it ends the process.
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    async fn next(&mut self) {
        async fn one(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => pending().await,
            }
        }
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
            () = one(hangup) => {}
        }
    }
}
