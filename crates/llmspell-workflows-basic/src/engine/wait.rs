//! Waits until a given time, at any point of a step.

use jiff::Timestamp;

use super::{Call, Outcome, Wait, WaitsFor, Wake};

/// Waits until `wake_at`; returns an outcome if the step ends or parks instead.
pub(crate) async fn wait_until(call: &Call, wake_at: Timestamp) -> Option<Outcome> {
    let park = || Some(Outcome::Parked(Wait { wake_at: Some(wake_at), inbox_after: None }));
    let run = call.run();
    let _waiting = run.mark_waiting_until(WaitsFor::Time, Some(wake_at));
    tokio::select! {
        biased;
        () = call.cancel().cancelled() => Some(call.cancelled()),
        () = run.park_requested() => park(),
        wake = run.engine().timers().until(call, run.clock().to_engine(wake_at)) => match wake {
            Wake::Due => None,
            Wake::Park => park(),
        },
    }
}
