//! Tests for the built-in hooks.

use std::time::Duration;

use llmspell_workflows_basic::model::{Definition, OnError, Retry, Step};
use llmspell_workflows_hooks::{
    HookDispatcher, HookPoint, Selector,
    builtin::{Capture, Logging, Metrics, RateLimit},
};
use serde_json::json;

use crate::support::{Lab, echo, fail, put, seconds, slow};

#[tokio::test(start_paused = true)]
async fn metrics_hook_counts_and_times_steps_by_kind() {
    let metrics = Metrics::default();
    let retry = Retry { initial_delay: Duration::from_secs(1), jitter: 0.0, ..Retry::attempts(3) };
    let steps = [
        slow("s", 70),
        slow("t", 3),
        Step::tool("u", "fail", json!(null)).with_retry(retry).with_on_error(OnError::Continue),
    ];
    let hooks = HookDispatcher::builder().register(metrics.registration());
    Lab::new().run(Definition::sequence("test", steps), hooks).await;
    let metrics = metrics.snapshot();
    let (slow, tool) = (metrics["test/function"], metrics["test/tool"]);
    assert_eq!((slow.started, slow.completed, slow.failed, slow.retried), (2, 2, 0, 0));
    assert_eq!((slow.duration.buckets[1], slow.duration.buckets[4], slow.duration.count()), (1, 1, 2));
    assert_eq!(slow.duration.sum, Duration::from_millis(73));
    assert_eq!((tool.started, tool.completed, tool.failed, tool.retried, tool.duration.count()), (1, 0, 1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn rate_limit_delays_steps_until_their_turn() {
    let limit = RateLimit::new(1, Duration::from_secs(10));
    let steps = ["a", "b", "c"].map(|id| echo(id, json!(1)));
    let hooks = HookDispatcher::builder().register(limit.registration().select(Selector::all().id("a").id("c")));
    let ran = Lab::new().run(Definition::sequence("test", steps), hooks).await;
    assert_eq!((seconds(&ran), ran.started.len()), (10, 3));
}

#[tokio::test(start_paused = true)]
async fn capture_records_step_inputs_outputs_and_errors() {
    let capture = Capture::new(4);
    let hooks = HookDispatcher::builder().register(capture.registration());
    let steps = [echo("first", json!(1)), put("a", "k", json!("{{ first + 1 }}")), fail("b")];
    Lab::new().run(Definition::sequence("test", steps), hooks).await;
    let captured = capture.captured();
    let seen: Vec<_> = captured.iter().map(|each| (each.point.as_str(), &*each.path)).collect();
    let expected =
        [("before_step", "/main/a"), ("after_step", "/main/a"), ("before_step", "/main/b"), ("step_error", "/main/b")];
    assert_eq!(seen, expected, "the oldest captures are dropped");
    assert_eq!(captured[1].input.as_deref(), Some(&json!({"k": 2})));
    assert_eq!((captured[1].output.clone(), &captured[1].state), (Some(json!({"k": 2})), &json!({"k": 2})));
    assert_eq!((captured[3].point, &*captured[3].error.as_ref().unwrap().code), (HookPoint::StepError, "boom"));
}

/// A `tracing` subscriber that records messages.
#[derive(Clone, Default)]
struct Lines(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

struct Message(String);

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if ["message", "path"].contains(&field.name()) {
            self.0 += &format!("{value:?} ");
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "llmspell_workflows::hook"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(format!("{} ", event.metadata().level()));
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0.trim_end().to_owned());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn logging_hook_writes_a_line_for_each_event_of_a_step() {
    let lines = Lines::default();
    // A runtime with a paused clock runs everything on this thread, so the thread's default subscriber is enough.
    let _guard = tracing::subscriber::set_default(lines.clone());
    let hooks = HookDispatcher::builder().register(Logging::registration());
    let steps = [echo("a", json!(1)), fail("b").with_retry(Retry::attempts(2))];
    Lab::new().run(Definition::sequence("test", steps), hooks).await;
    let mut seen = lines.0.lock().unwrap().clone();
    seen.iter_mut().for_each(|line| *line = line.replace("/main/a", "a").replace("/main/b", "b"));
    let expected = ["INFO started a", "INFO completed a", "INFO started b", "WARN retrying b", "ERROR failed b"];
    assert_eq!(seen, expected);
}
