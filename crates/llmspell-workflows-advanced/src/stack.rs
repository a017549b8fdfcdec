//! The order of what surrounds a step.

use llmspell_workflows_basic::{Engine, engine::Position};
use llmspell_workflows_hooks::{HookLayer, event::EventLayer};
use llmspell_workflows_state::Journaling;

use crate::services::Services;

/// `engine` with everything around its steps, outermost first; there is no other place where this is decided.
///
/// Each has its reason. Those marked with * come with every engine, and [`Position`] fixes where they stand.
///
/// | | why there |
/// |---|---|
/// | trace * | sees everything, also what the others answer by themselves |
/// | journal | answers for what is recorded before anything else happens again |
/// | events | inside of the journal, so that what is known from before is not told again; outside of hooks, so that what they change is told as it comes out |
/// | hooks | once per entry into a step, not per attempt; what they answer is recorded by the journal around them |
/// | total timeout * | bounds all attempts and the delays between them |
/// | retry * | tries again what lies within |
/// | limits * | waiting for a permit does not count against the attempt's time |
/// | attempt timeout * | bounds one attempt |
pub(crate) fn stack(engine: &Engine, services: &Services) -> Engine {
    around(&engine.with_interceptor(Position::Journal, Journaling), services)
}

/// The same without a journal, for runs in memory; a step that nobody listens to and no hook concerns pays for neither.
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
    fn there_is_one_order() {
        let services = Services { hooks: Some(std::sync::Arc::default()), events: Some(Default::default()) };
        let engine = format!("{:?}", stack(&Engine::builder().build(), &services));
        let order = "[Trace, Journal, Hooks, Hooks, TotalTimeout, Retry, Limits, AttemptTimeout]";
        assert!(engine.contains(order), "{engine}");
    }
}
