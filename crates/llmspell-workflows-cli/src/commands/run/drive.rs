//! Drives a run and handles signals.

use std::{future::pending, sync::Arc, time::Duration};

use llmspell_workflows_advanced::{DurableRun, RunControl, RunWait};
use llmspell_workflows_basic::{Finished, Run, StepError, engine::Wait};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::RunDisplay;
use crate::Failure;

/// The time that a run has to end after a stop request.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How often a view is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// The result of driving a run.
pub(crate) enum RunEnd {
    Finished(Box<Finished>),
    /// The run waits for an event, and this process exits instead of waiting; contains the waits of
    /// its steps.
    Waiting(Wait, Vec<RunWait>),
    /// These steps are stuck, for the given errors, and must be resolved manually.
    Stuck(Vec<(String, StepError)>),
    /// The run was stopped and can be resumed.
    Stopped,
    /// The run could not be driven.
    Error(Box<Failure>),
    /// The run did not stop in time, or a second signal stopped it immediately.
    Killed,
}

/// A run driven by this process.
pub(crate) struct ActiveRun {
    run: Arc<Run>,
    /// The control that pauses a durable run; `None` for a run in memory.
    control: Option<RunControl>,
}

impl ActiveRun {
    pub(crate) fn in_memory(run: &Arc<Run>) -> Self {
        Self { run: run.clone(), control: None }
    }

    pub(crate) fn durable(run: &DurableRun) -> Self {
        Self { run: run.run().clone(), control: Some(run.control()) }
    }

    pub(crate) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    fn shut_down(&self) {
        match &self.control {
            None => self.run.shut_down(),
            Some(control) => control.shut_down(),
        }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.control.is_some()
    }
}

/// Performs `work` until it is done or the process is asked to stop; `work` may be abandoned at any
/// time.
pub(crate) async fn unless_stopped(work: impl Future<Output = ()>) {
    let mut signals = Signals::new();
    tokio::select! {
        () = work => {}
        () = signals.next() => {}
    }
}

/// Waits for `driven`, which drives `run`. The first signal pauses or cancels the run; a second
/// signal stops the run immediately.
pub(crate) async fn drive(driven: impl Future<Output = RunEnd>, run: &ActiveRun, display: &RunDisplay<'_>) -> RunEnd {
    let mut signals = Signals::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut stop_at, mut give_up): (Option<Instant>, Option<Instant>) = (None, None);
    tokio::pin!(driven);
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut driven => break ended,
            () = signals.next() => {
                if stop_at.is_some() || give_up.is_some() {
                    break RunEnd::Killed;
                }
                if let Some(control) = &run.control {
                    let grace = crate::watch::elapsed(display.pause_grace);
                    display.notice(&format!(
                        "pausing the run: running steps have {grace} to finish; press Ctrl-C again to stop immediately"
                    ));
                    control.pause();
                    stop_at = Some(Instant::now() + display.pause_grace);
                } else {
                    display.notice(
                        "stopping the in-memory run, which cannot be resumed; press Ctrl-C again to stop immediately",
                    );
                    run.run.cancel();
                    give_up = Some(Instant::now() + STOP_WAIT);
                }
            }
            () = until(stop_at), if give_up.is_none() => {
                display.notice("stopping the steps that are still running; they run again when the run is resumed");
                run.shut_down();
                give_up = Some(Instant::now() + STOP_WAIT);
            }
            // A run in memory cannot clean up later.
            () = until(give_up) => match run.control.is_none() && run.run.cleans_up() {
                true => give_up = Some(Instant::now() + STOP_WAIT),
                false => break RunEnd::Killed,
            },
            _ = ticks.tick(), if display.view.is_some() => display.view.iter().for_each(|view| view.tick()),
        }
    };
    display.view.iter().for_each(|view| view.finish());
    ended
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The signals that ask a process to stop: Ctrl-C, termination and hangup.
struct Signals([Option<Signal>; 3]);

impl Signals {
    fn new() -> Self {
        // A signal that cannot be handled keeps its default action, which ends the process.
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
