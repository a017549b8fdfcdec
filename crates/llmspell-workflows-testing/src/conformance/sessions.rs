use std::collections::BTreeMap;

use jiff::Timestamp;
use llmspell_workflows_advanced::{
    SessionStorage,
    sessions::{Session, SessionQuery, SessionStatus},
};
use serde_json::json;
use uuid::Uuid;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a valid timestamp")
}

/// Creates a session that was changed at `second`, with a value in every field.
fn session(id: &str, second: i64, status: SessionStatus) -> Session {
    Session {
        id: id.to_owned(),
        name: format!("the session {id}"),
        status,
        parent: (id != "a").then(|| "a".to_owned()),
        tags: vec!["all".to_owned(), format!("only-{id}")],
        metadata: BTreeMap::from([("from".to_owned(), json!({"deep": [1, null]}))]),
        runs: vec![Uuid::from_u128(7)],
        states: BTreeMap::from([("workflow".to_owned(), json!({"n": 1}))]),
        created_at: at(0),
        updated_at: at(second),
    }
}

/// Tests that sessions are stored unchanged, and can be replaced, queried by every criterion, and removed.
///
/// # Panics
/// Panics if the storage does not conform.
pub async fn sessions(storage: &dyn SessionStorage) {
    use SessionStatus as S;
    let list = async |query: SessionQuery| -> Vec<String> {
        let sessions = storage.list(&query).await.expect("listing sessions must succeed");
        sessions.into_iter().map(|session| session.id).collect()
    };
    assert_eq!(storage.get("a").await, Ok(None), "an empty storage must not return a session");
    assert_eq!(list(SessionQuery::default()).await, [""; 0], "an empty storage must list no sessions");

    let all = [session("a", 2, S::Active), session("b", 3, S::Suspended), session("c", 1, S::Active)];
    for session in &all {
        storage.put(session).await.expect("storing a session must succeed");
    }
    for session in &all {
        assert_eq!(
            storage.get(&session.id).await.as_ref(),
            Ok(&Some(session.clone())),
            "a session must be returned as it was stored"
        );
    }
    let none = SessionQuery::default;
    let (a, only_b) = (Some("a".to_owned()), Some("only-b".to_owned()));
    let rows: [(SessionQuery, &[&str], &str); 7] = [
        (none(), &["b", "a", "c"], "the most recently changed session must come first"),
        (SessionQuery { limit: Some(2), ..none() }, &["b", "a"], "a limit must return the first sessions only"),
        (
            SessionQuery { status: Some(S::Active), ..none() },
            &["a", "c"],
            "only sessions with this status must be listed",
        ),
        (SessionQuery { parent: a.clone(), ..none() }, &["b", "c"], "only children of this parent must be listed"),
        (SessionQuery { tag: only_b, ..none() }, &["b"], "matching one of several tags must suffice"),
        (SessionQuery { parent: a, status: Some(S::Active), ..none() }, &["c"], "a session must meet all criteria"),
        (SessionQuery { tag: Some("only".to_owned()), ..none() }, &[], "a tag must match as a whole"),
    ];
    for (query, expected, why) in rows {
        assert_eq!(list(query.clone()).await, expected, "{why}: {query:?}");
    }

    let changed = Session { status: S::Completed, updated_at: at(9), tags: Vec::new(), ..all[2].clone() };
    storage.put(&changed).await.expect("storing a session must succeed");
    assert_eq!(storage.get("c").await, Ok(Some(changed)), "storing a session again must replace it");
    assert_eq!(list(none()).await, ["c", "b", "a"], "the changed session must come first");
    assert_eq!(
        list(SessionQuery { tag: Some("only-c".to_owned()), ..none() }).await,
        [""; 0],
        "the replaced session's tag must be gone"
    );

    assert_eq!(storage.remove("b").await, Ok(true), "removing an existing session must return true");
    assert_eq!(storage.remove("b").await, Ok(false), "removing it again must return false");
    assert_eq!(storage.get("b").await, Ok(None), "a removed session must be gone");
    assert_eq!(list(none()).await, ["c", "a"], "a removed session must not be listed");
}
