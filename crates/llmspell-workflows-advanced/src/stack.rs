//! The order of the interceptors around a step.

use llmspell_workflows_basic::{Engine, engine::Position};
use llmspell_workflows_hooks::{HookLayer, event::EventLayer};
use llmspell_workflows_state::{AttemptJournaling, Journaling};

use crate::services::Services;

/// Returns `engine` with all interceptors around its steps. This function alone determines their order.
///
/// The table lists the interceptors, outermost first. Those marked with * are part of every engine,
/// and [`Position`] determines their places.
///
/// | interceptor | reason for its position |
/// |---|---|
/// | trace * | sees every step, including steps that another interceptor answers |
/// | journal | answers for recorded steps before anything else runs again |
/// | events | inside the journal: does not publish recorded steps again; outside the hooks: publishes their results |
/// | hooks | called once per entry into a step, not per attempt; the journal outside records their answers |
/// | total timeout * | limits the time of all attempts and the delays between them |
/// | retry * | retries the interceptors inside it |
/// | attempts | inside the retries: records each further attempt as it begins |
/// | limits * | the time spent waiting for a permit does not count towards the attempt timeout |
/// | attempt timeout * | limits the time of one attempt |
pub(crate) fn stack(engine: &Engine, services: &Services) -> Engine {
    let engine = engine.with_interceptor(Position::Journal, Journaling);
    around(&engine.with_interceptor(Position::Breaker, AttemptJournaling), services)
}

/// Like [`stack`], but without a journal, for runs in memory. A step without subscribers or hooks
/// has no overhead for them.
pub(crate) fn around(engine: &Engine, services: &Services) -> Engine {
    let mut engine = engine.clone();
    if let Some(events) = &services.events {
        engine = engine.with_interceptor(Position::Hooks, EventLayer::only_if_wanted(events.clone()));
    }
    if let Some(hooks) = &services.hooks {
        engine = engine.with_interceptor(Position::Hooks, HookLayer::new(hooks.clone()));
    }
    engine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interceptors_are_in_the_documented_order() {
        let services = Services { hooks: Some(std::sync::Arc::default()), events: Some(Default::default()) };
        let engine = format!("{:?}", stack(&Engine::builder().build(), &services));
        let order = "[Trace, Journal, Hooks, Hooks, TotalTimeout, Retry, Breaker, Limits, AttemptTimeout]";
        assert!(engine.contains(order), "{engine}");
    }
}
