//! Tests all spellings of step settings.

mod common;

use std::time::Duration;

use common::{definition, step};
use llmspell_workflows_basic::model::{Backoff, Delay, Migration, OnError, Retry, Step, StepKind, TriggerRule};
use llmspell_workflows_definition::{StepTypes, read};
use serde_json::json;

#[test]
fn durations_accept_all_spellings() {
    let fixed = |milliseconds| Some(Delay::Fixed(Duration::from_millis(milliseconds)));
    let expression = |text: &str| Some(Delay::Expression(text.into()));
    for (text, expected) in [
        ("timeout: 30", fixed(30_000)),
        ("timeout: 1.5", fixed(1_500)),
        ("timeout: 30s", fixed(30_000)),
        ("timeout: 5m", fixed(300_000)),
        ("timeout: 1h30m", fixed(5_400_000)),
        ("timeout: PT5M", fixed(300_000)),
        ("timeout: \"30\"", fixed(30_000)),
        ("timeout_ms: 250", fixed(250)),
        ("timeout_seconds: 3", fixed(3_000)),
        ("timeout: \"{{variables.timeout_base}}\"", expression("variables.timeout_base")),
        ("timeout: \"${ variables.timeout_base }\"", expression("variables.timeout_base")),
        ("timeout_ms: \"{{ variables.ms }}\"", expression("(variables.ms) / 1000")),
    ] {
        assert_eq!(step(&format!("{{id: a, tool: t, {text}}}")).timeout, expected, "{text}");
    }
}

#[test]
fn migrations_are_keyed_by_the_version_they_start_from() {
    let text = "
name: shop
version: 2.0
migrations:
  1.0: {to: 1.5, rename: {cart: basket}}
  '1.5':
    set: {sum: {eur: '{{ state.total }}'}, seen: true}
    remove: total
    function: tidy
steps: [{id: a, type: set, params: {x: 1}}]
";
    let found = definition(text);
    let first = Migration {
        to: Some("1.5".into()),
        rename: [("cart".to_owned(), "basket".to_owned())].into(),
        ..Migration::default()
    };
    let set = [("sum".to_owned(), json!({"eur": "{{ state.total }}"})), ("seen".to_owned(), json!(true))];
    let (remove, function) = (vec!["total".to_owned()], Some("tidy".to_owned()));
    let second = Migration { set: set.into(), remove, function, ..Migration::default() };
    assert_eq!(found.migrations, [("1.0".to_owned(), first), ("1.5".to_owned(), second)].into());
    assert_eq!(definition(&llmspell_workflows_definition::to_yaml(&found)), found);
}

#[test]
fn retries_accept_all_spellings() {
    let seconds = Duration::from_secs;
    for (text, expected) in [
        ("retries: 2", Retry::attempts(3)),
        ("retry: 0", Retry::attempts(1)),
        ("retry: {max_attempts: 5}", Retry::attempts(5)),
        ("retry: {max_retries: 5}", Retry::attempts(6)),
        ("retry: {}", Retry::default()),
        (
            "retry: {strategy: fixed_delay, initial_delay_ms: 250}",
            Retry { backoff: Backoff::Fixed, initial_delay: Duration::from_millis(250), ..Retry::default() },
        ),
        (
            "retries: {strategy: linear, jitter: true, backoff_multiplier: 3}",
            Retry { backoff: Backoff::Linear, jitter: 0.1, multiplier: 3.0, ..Retry::default() },
        ),
        (
            "retries: {strategy: immediate, jitter: false, retry_on: timeout, retry_on_status_codes: [429, 503]}",
            Retry {
                backoff: Backoff::Immediate,
                jitter: 0.0,
                on_errors: vec!["timeout".into()],
                on_status_codes: vec![429, 503],
                ..Retry::default()
            },
        ),
        ("retry: {retry_on_exit_codes: [75, 255]}", Retry::default().with_exit_codes([75, 255])),
        (
            "retries: {max_delay: 2m, max_duration: 90, jitter: 0.5, retry_on_errors: [a, b]}",
            Retry {
                delay_max: seconds(120),
                duration_max: Some(seconds(90)),
                jitter: 0.5,
                on_errors: vec!["a".into(), "b".into()],
                ..Retry::default()
            },
        ),
    ] {
        assert_eq!(step(&format!("{{id: a, tool: t, {text}}}")).retry, Some(expected), "{text}");
    }
}

#[test]
fn ids_default_to_the_converted_name() {
    for (text, id, name) in [
        ("id: a", "a", None),
        ("id: a, name: A step", "a", Some("A step")),
        ("name: analyze_codebase", "analyze_codebase", None),
        ("name: Fetch the page", "Fetch_the_page", Some("Fetch the page")),
    ] {
        let step = step(&format!("{{{text}, tool: t}}"));
        assert_eq!((step.id.as_str(), step.name.as_deref()), (id, name), "{text}");
    }
}

#[test]
fn field_aliases_are_equivalent() {
    let expected = Step::tool("a", "t", json!({"k": 1})).after(["b"]).when("x > 1");
    for text in [
        "dependencies: [b], condition: x > 1, params: {k: 1}",
        "depends_on: [b], when: \"{{ x > 1 }}\", with: {k: 1}",
        "needs: b, if: \"${x > 1}\", config: {k: 1}",
        "needs: b, if: x > 1, parameters: {k: 1}, type: tool",
    ] {
        assert_eq!(step(&format!("{{id: a, tool: t, {text}}}")), expected, "{text}");
    }
}

#[test]
fn remaining_step_settings_are_read() {
    let step = step(
        "{id: a, tool: t, trigger_rule: all_done, limits: web, total_timeout: 1h, on_error: continue, when: true}",
    );
    assert_eq!(step.trigger_rule, TriggerRule::AllDone);
    assert_eq!(step.limits, ["web"]);
    assert_eq!(step.total_timeout, Some(Delay::Fixed(Duration::from_secs(3600))));
    assert_eq!(step.on_error, OnError::Continue);
    assert_eq!(step.condition.as_deref(), Some("true"));
}

#[test]
fn on_error_accepts_handlers_in_both_spellings() {
    let handler = OnError::Steps(vec![std::sync::Arc::new(Step::tool("b", "u", json!(null)))]);
    for text in ["on_error: {steps: [{id: b, tool: u}]}", "on_error: [{id: b, tool: u}]"] {
        assert_eq!(step(&format!("{{id: a, tool: t, {text}}}")).on_error, handler, "{text}");
    }
}

#[test]
fn defaults_apply_to_unset_fields() {
    let definition = definition(
        "
name: x
defaults:
  tool: {retries: 2, timeout: 5, on_error: continue, limits: [web]}
  foreach: {total_timeout: 1h}
steps:
  - {id: a, tool: t}
  - {id: b, tool: t, retry: {strategy: immediate}, timeout: 9, on_error: fail, limits: []}
  - {id: c, function: f}
  - {id: d, type: loop, items: [], steps: [{id: e, tool: t}]}
",
    );
    let StepKind::Sequence(steps) = definition.body else { panic!("expected a sequence") };
    let seconds = |seconds| Some(Delay::Fixed(Duration::from_secs(seconds)));
    let [a, b, c, d] = &steps[..] else { panic!("expected four steps") };
    assert_eq!((&a.retry, &a.timeout, &a.on_error), (&Some(Retry::attempts(3)), &seconds(5), &OnError::Continue));
    assert_eq!(a.limits, ["web"]);
    assert_eq!(b.retry, Some(Retry { backoff: Backoff::Immediate, ..Retry::default() }));
    assert_eq!((&b.timeout, &b.on_error, b.limits.len()), (&seconds(9), &OnError::Fail, 0));
    assert_eq!(**c, Step::function("c", "f", json!(null)));
    assert_eq!((&d.total_timeout, &d.timeout), (&seconds(3600), &None));
    assert_eq!(d.children()[0].timeout, seconds(5));
}

#[test]
fn duplicate_defaults_are_rejected_even_under_an_alias() {
    let text = "{name: x, steps: [{id: a, tool: t}], defaults: {loop: {timeout: 1}, foreach: {timeout: 5}}}";
    let diagnostics = read(text, "x.yml", &StepTypes::new()).expect_err("the defaults are duplicated");
    let [one] = diagnostics.list() else { panic!("{diagnostics}") };
    assert_eq!((one.code, &*one.message), ("duplicate_field", "duplicate defaults for `loop`"));
}
