use std::collections::BTreeMap;

use jiff::Timestamp;
use llmspell_workflows_advanced::{
    SessionStorage,
    sessions::{Session, SessionQuery, SessionStatus},
};
use serde_json::json;
use uuid::Uuid;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("a second of our time")
}

/// A session that was changed at `second`, with something in every field.
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

/// Sessions are kept as they are, replaced, found by all that can be asked for, and forgotten.
///
/// # Panics
/// The storage does something else.
pub async fn sessions(storage: &dyn SessionStorage) {
    use SessionStatus as S;
    let list = async |query: SessionQuery| -> Vec<String> {
        let found = storage.list(&query).await.expect("sessions are listed");
        found.into_iter().map(|session| session.id).collect()
    };
    assert_eq!(storage.get("a").await, Ok(None), "an empty storage has no session");
    assert_eq!(list(SessionQuery::default()).await, [""; 0], "an empty storage lists none");

    let all = [session("a", 2, S::Active), session("b", 3, S::Suspended), session("c", 1, S::Active)];
    for session in &all {
        storage.put(session).await.expect("a session is put");
    }
    for session in &all {
        assert_eq!(
            storage.get(&session.id).await.as_ref(),
            Ok(&Some(session.clone())),
            "what comes back is what was put"
        );
    }
    let none = SessionQuery::default;
    let (a, only_b) = (Some("a".to_owned()), Some("only-b".to_owned()));
    let rows: [(SessionQuery, &[&str], &str); 7] = [
        (none(), &["b", "a", "c"], "the last changed comes first"),
        (SessionQuery { limit: Some(2), ..none() }, &["b", "a"], "no more than the limit, and the first of them"),
        (SessionQuery { status: Some(S::Active), ..none() }, &["a", "c"], "a status"),
        (SessionQuery { parent: a.clone(), ..none() }, &["b", "c"], "a parent"),
        (SessionQuery { tag: only_b, ..none() }, &["b"], "one tag of several"),
        (SessionQuery { parent: a, status: Some(S::Active), ..none() }, &["c"], "everything that is set must hold"),
        (SessionQuery { tag: Some("only".to_owned()), ..none() }, &[], "a tag is a whole word"),
    ];
    for (query, expected, why) in rows {
        assert_eq!(list(query.clone()).await, expected, "{why}: {query:?}");
    }

    let changed = Session { status: S::Completed, updated_at: at(9), tags: Vec::new(), ..all[2].clone() };
    storage.put(&changed).await.expect("a session is put");
    assert_eq!(storage.get("c").await, Ok(Some(changed)), "what is put last replaces what was there");
    assert_eq!(list(none()).await, ["c", "b", "a"], "what was changed comes first");
    assert_eq!(
        list(SessionQuery { tag: Some("only-c".to_owned()), ..none() }).await,
        [""; 0],
        "it has no tag any more"
    );

    assert_eq!(storage.remove("b").await, Ok(true), "it was there");
    assert_eq!(storage.remove("b").await, Ok(false), "it was there no more");
    assert_eq!(storage.get("b").await, Ok(None), "what was removed is gone");
    assert_eq!(list(none()).await, ["c", "a"], "and is not listed");
}
