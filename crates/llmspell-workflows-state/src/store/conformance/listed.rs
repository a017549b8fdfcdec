use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    super::{RUNS_PAGE_MAX, RunPage, RunQuery, RunStatus, RunSummary, StoreError, Stores},
    summary, wait,
};

/// Checks that a summary can be stored, changed and removed, and is found only by its current fields.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn summaries(stores: &Stores) {
    let runs = &stores.runs;
    let mut run = summary(5, 0);
    assert_eq!(wait(runs.get(run.id)), Ok(None));
    assert_eq!(wait(runs.remove(run.id)), Ok(false));
    assert_eq!(wait(runs.list(&RunQuery::default())), Ok(RunPage::default()));
    wait(runs.put(&run)).expect("a run is stored");
    assert_eq!(wait(runs.get(run.id)), Ok(Some(run.clone())));

    let before = run.clone();
    run.status = RunStatus::Stuck;
    run.workflow = "another".to_owned();
    run.parent = Some(Uuid::from_u128(77));
    run.labels = BTreeMap::from([("new".to_owned(), String::new())]);
    run.started_at = Timestamp::from_second(1_800_000_000).expect("a valid timestamp");
    wait(runs.put(&run)).expect("a run is stored again");
    assert_eq!(wait(runs.get(run.id)), Ok(Some(run.clone())));
    for query in queries_for(&before) {
        assert_eq!(wait(runs.list(&query)), Ok(RunPage::default()), "{query:?}");
    }
    for query in queries_for(&run) {
        assert_eq!(wait(runs.list(&query)), Ok(RunPage { runs: vec![run.clone()], next: None }), "{query:?}");
    }

    // If a run occurs twice, its last summary is stored.
    wait(runs.put_all(&[run.clone(), before.clone()])).expect("runs are stored");
    assert_eq!(wait(runs.list(&RunQuery::default())).map(|page| page.runs), Ok(vec![before.clone()]));
    assert_eq!(wait(runs.remove(run.id)), Ok(true));
    assert_eq!(wait(runs.get(run.id)), Ok(None));
    for query in queries_for(&before) {
        assert_eq!(wait(runs.list(&query)), Ok(RunPage::default()), "{query:?}");
    }
    let (one, two, kept) = (summary(6, 0), summary(7, 0), summary(8, 0));
    wait(runs.put_all(&[one.clone(), two.clone(), kept.clone()])).expect("runs are stored");
    // An unknown run does not count, and a run listed twice counts once.
    assert_eq!(wait(runs.remove_all(&[two.id, run.id, one.id, two.id])), Ok(2));
    assert_eq!(wait(runs.list(&RunQuery::default())).map(|page| page.runs), Ok(vec![kept.clone()]));
    assert_eq!(wait(runs.remove_all(&[])), Ok(0));
    assert_eq!(wait(runs.remove(kept.id)), Ok(true));
}

/// Returns one query for each way of finding a run.
fn queries_for(run: &RunSummary) -> Vec<RunQuery> {
    let any = RunQuery::default;
    let before = run.started_at.as_second() + 1;
    let mut queries = vec![
        RunQuery { statuses: vec![run.status], ..any() },
        RunQuery { workflow: Some(run.workflow.clone()), ..any() },
        RunQuery {
            started_from: Some(run.started_at),
            started_before: Some(Timestamp::from_second(before).expect("a valid timestamp")),
            ..any()
        },
    ];
    queries.extend(run.parent.map(|parent| RunQuery { parent: Some(parent), ..any() }));
    if !run.labels.is_empty() {
        queries.push(RunQuery { labels: run.labels.clone(), ..any() });
    }
    queries
}

/// Checks that each filter, and each pair of filters, returns the right runs in order, page by page.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn lists(stores: &Stores) {
    // Three runs start at each time so that their ids decide the order.
    let all: Vec<_> = (1..=120).map(|number| summary(number, number.cast_signed() / 3)).collect();
    wait(stores.runs.put_all(&all)).expect("runs are stored");
    let filters = filters();
    for (number, filter) in filters.iter().enumerate() {
        for other in &filters[number..] {
            let mut query = RunQuery { limit: 7, ..RunQuery::default() };
            filter(&mut query);
            other(&mut query);
            compare(stores, &all, query);
        }
    }
}

type Filter = fn(&mut RunQuery);

fn filters() -> Vec<Filter> {
    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(1_700_000_000 + second).ok()
    }
    let label = |query: &mut RunQuery| drop(query.labels.insert("label-0".to_owned(), "1".to_owned()));
    let labels: Filter = |query| {
        let labels = ["label-0", "label-1"].map(|name| (name.to_owned(), "2".to_owned()));
        query.labels.extend(labels);
    };
    vec![
        |_| {},
        |query| query.statuses = vec![RunStatus::Failed],
        |query| query.statuses = vec![RunStatus::Stuck, RunStatus::Failed, RunStatus::Stuck],
        |query| query.workflow = Some("workflow-3".to_owned()),
        |query| query.workflow = Some("none".to_owned()),
        |query| query.parent = Some(Uuid::from_u128(1)),
        label,
        labels,
        |query| query.started_from = at(10),
        |query| query.started_before = at(30),
        |query| (query.started_from, query.started_before) = (at(10), at(11)),
        |query| (query.started_from, query.started_before) = (at(11), at(10)),
        |query| query.id_prefix = Some("9".to_owned()),
        |query| query.id_prefix = Some("9E3779b9-7f4a-7".to_owned()),
        |query| query.id_prefix = Some(String::new()),
    ]
}

/// Reads all pages of a query and compares them with the result of filtering all runs.
fn compare(stores: &Stores, all: &[RunSummary], mut query: RunQuery) {
    let mut expected: Vec<_> = all.iter().filter(|run| admits(&query, run)).cloned().collect();
    expected.sort_by_key(|run| Reverse((run.started_at, run.id)));
    let mut found = Vec::new();
    loop {
        let page = wait(stores.runs.list(&query)).expect("runs are listed");
        assert!(page.runs.len() <= query.limit, "{query:?} returned {} runs", page.runs.len());
        found.extend(page.runs);
        let Some(next) = page.next else { break };
        assert_eq!(found.len() % query.limit, 0, "{query:?}: all pages but the last are full");
        query.after = Some(next.to_string().parse().expect("a cursor parses back"));
    }
    assert_eq!(found, expected, "{query:?}");
}

/// The simplest possible implementation of a query.
fn admits(query: &RunQuery, run: &RunSummary) -> bool {
    let prefix = query.id_prefix.as_deref().unwrap_or_default().replace('-', "").to_lowercase();
    let mut conditions = vec![run.id.simple().to_string().starts_with(&prefix)];
    if !query.statuses.is_empty() {
        conditions.push(query.statuses.contains(&run.status));
    }
    conditions.extend(query.workflow.iter().map(|workflow| run.workflow == *workflow));
    conditions.extend(query.parent.map(|parent| run.parent == Some(parent)));
    conditions.extend(query.labels.iter().map(|(name, value)| run.labels.get(name) == Some(value)));
    conditions.extend(query.started_from.map(|from| run.started_at >= from));
    conditions.extend(query.started_before.map(|before| run.started_at < before));
    conditions.into_iter().all(|holds| holds)
}

/// Checks that pages end at the right run, new runs do not shift the next page, and invalid queries are rejected.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn pages(stores: &Stores) {
    let all: Vec<_> = (1..=4).map(|number| summary(number, number.cast_signed())).collect();
    wait(stores.runs.put_all(&all)).expect("runs are stored");
    let list = |query: &RunQuery| wait(stores.runs.list(query));
    let whole = list(&RunQuery { limit: 4, ..RunQuery::default() }).expect("runs are listed");
    assert_eq!((whole.runs.len(), whole.next), (4, None), "a page with all runs is the last page");

    let first = list(&RunQuery { limit: 2, ..RunQuery::default() }).expect("runs are listed");
    assert_eq!(first.runs, [all[3].clone(), all[2].clone()]);
    wait(stores.runs.put(&summary(9, 9))).expect("a run is stored");
    let second = list(&RunQuery { limit: 2, after: first.next, ..RunQuery::default() }).expect("runs are listed");
    assert_eq!((second.runs, second.next), (vec![all[1].clone(), all[0].clone()], None));

    for (query, expected) in [
        (RunQuery { limit: 0, ..RunQuery::default() }, "the limit must be from 1 to 10000, got 0"),
        (RunQuery { limit: RUNS_PAGE_MAX + 1, ..RunQuery::default() }, "the limit must be from 1 to 10000, got 10001"),
        (RunQuery { id_prefix: Some("xyz".to_owned()), ..RunQuery::default() }, "\"xyz\" is not a prefix of a run id"),
        (RunQuery { id_prefix: Some("0".repeat(33)), ..RunQuery::default() }, "32 hexadecimal digits"),
    ] {
        match list(&query) {
            Err(StoreError::Query(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{query:?} returned {other:?}"),
        }
    }
}
