//! `docs/hooks.md` documents every point and every kind of event.

use llmspell_workflows_hooks::{HookPoint, event::EventKind};

const PAGE: &str = include_str!("../../../docs/hooks.md");

#[test]
fn every_point_is_documented() {
    let missing: Vec<_> = HookPoint::ALL.iter().filter(|point| !PAGE.contains(&format!("`{point}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_kind_of_event_is_documented() {
    let is_documented = |kind: &&EventKind| {
        let name = kind.as_str();
        let short = name.rsplit_once('.').map(|(_, end)| format!("`.{end}`"));
        PAGE.contains(&format!("`{name}`")) || short.is_some_and(|short| PAGE.contains(&short))
    };
    let missing: Vec<_> = EventKind::ALL.iter().filter(|kind| !is_documented(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
