use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Clock, Driven, Engine, Finished, Run,
    engine::{Outcome, StepRecord, Wait},
};

use super::{IdleClock, Script, Watch, watch::WaitingStep};

/// How the run of a case ended, with its sub-workflows.
pub(super) struct Ended {
    pub(super) finished: Finished,
    /// The records of all steps, in the order in which they started.
    pub(super) steps: Vec<StepRecord>,
    /// The steps that still wait, by path.
    pub(super) waits: BTreeMap<String, WaitingStep>,
    /// The events for which steps have waited, with the paths of the steps.
    pub(super) awaited: Vec<(String, String)>,
}

/// Drives `run` to its end. Whenever it can do nothing but wait, the next message is sent; if there is none, the clock
/// skips to the next time that a step waits for. The run ends as `waiting` if nothing is left that could continue it, or
/// if that time is after `stop_at`.
pub(super) async fn drive(
    engine: &Engine,
    run: &Arc<Run>,
    script: &mut Script,
    (clock, watch): (&IdleClock, &Watch),
    stop_at: Option<Timestamp>,
) -> Ended {
    let mut driven = std::pin::pin!(engine.drive(run));
    let waiting = || Finished::new(run, Outcome::Parked(Wait::default()));
    let finished = loop {
        tokio::select! {
            biased;
            driven = &mut driven => break match driven {
                Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => *finished,
                Driven::Parked(_) => waiting(),
            },
            _ = clock.idle() => {}
        }
        if run.is_parking() {
            // A step waits for something else than a time or a message, so it does not park.
            break waiting();
        }
        let now = clock.now();
        if script.send(now, watch, run) {
            continue;
        }
        let next = clock.next().into_iter().chain(script.next(now)).min();
        match next.filter(|next| stop_at.is_none_or(|stop_at| *next <= stop_at)) {
            Some(next) => clock.skip_to(next),
            None => run.park(),
        }
    };
    Ended { steps: watch.steps(&finished.steps), waits: watch.waits(), awaited: watch.awaited(), finished }
}
