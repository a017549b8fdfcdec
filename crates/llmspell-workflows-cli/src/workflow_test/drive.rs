use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Clock, Driven, Engine, Finished, Run,
    engine::{Outcome, StepRecord, Wait},
};

use super::{IdleClock, Script, Watch, watch::WaitingStep};

/// The result of a case's run, including its sub-workflows.
pub(super) struct Ended {
    pub(super) finished: Finished,
    /// The records of all steps, in start order.
    pub(super) steps: Vec<StepRecord>,
    /// The steps that are still waiting, by path.
    pub(super) waits: BTreeMap<String, WaitingStep>,
    /// The awaited events, each with the path of the step that waited for it.
    pub(super) awaited: Vec<(String, String)>,
}

/// Drives `run` to its end. Whenever the run can only wait, the next message is sent. If there is
/// no message, the clock skips to the next time for which a step waits. The run ends as `waiting`
/// if nothing can continue it, or if that time is after `stop_at`.
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
            // A step waits for something other than a time or a message, so it does not park.
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
