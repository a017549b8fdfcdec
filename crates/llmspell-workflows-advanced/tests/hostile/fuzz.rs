//! Imports mutated exports, briefly or for `FUZZ_SECONDS` seconds.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use llmspell_workflows_advanced::{History, RewindOptions};
use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_testing::patterns;
use serde_json::{Map, Value, json};

use crate::{executor, export, home, waiting};

/// The maximum time for one document.
const CASE_TIME_MAX: Duration = Duration::from_secs(10);

/// Records of every kind, with every field set.
const RECORDS: &str = include_str!("../../../llmspell-workflows-state/tests/records/golden/format-2.jsonl");

/// A small random number generator (SplitMix64). The same seed produces the same documents on
/// every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// The documents and records from which mutations are built.
struct Corpus {
    documents: Vec<Value>,
    records: Vec<Value>,
}

impl Corpus {
    async fn new() -> Self {
        let mut documents = Vec::new();
        for definition in patterns::all().into_iter().chain([patterns::nested(), waiting()]) {
            documents.push(export(definition).await);
        }
        let records = RECORDS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { documents, records }
    }

    fn document(&self, random: &mut Random) -> Value {
        let mut document = random.pick(&self.documents).clone();
        for _ in 0..=random.below(4) {
            // A mutation may have replaced the whole document.
            if document.is_object() {
                self.mutate(random, &mut document);
            }
        }
        if document.is_object() && random.below(4) > 0 {
            fix_hashes(&mut document);
        }
        document
    }

    fn mutate(&self, random: &mut Random, document: &mut Value) {
        if random.below(4) == 0 {
            let mut record = random.pick(&self.records).clone();
            let known = paths(document);
            if let Some(fields) = record.as_object_mut().and_then(|record| record.values_mut().next())
                && !known.is_empty()
            {
                fields["path"] = json!(random.pick(&known));
            }
            if let Some(records) = document["records"].as_array_mut() {
                let at = random.below(records.len() + 1);
                records.insert(at, record);
            }
            return;
        }
        let mut other = random_document(self, random).clone();
        let other = random_part(random, &mut other).clone();
        let hostile = hostile_value(random);
        let part = random_part(random, document);
        match random.below(8) {
            0 => *part = hostile,
            1 => *part = other,
            2 => *part = Value::Null,
            3 => duplicate(random, part),
            4 => remove(random, part),
            5 => *part = json!([part.take()]),
            6 => *part = json!({"a": [{"r": "/main/a"}, part.take()]}),
            _ => change_slightly(random, part),
        }
    }
}

fn random_document<'c>(corpus: &'c Corpus, random: &mut Random) -> &'c Value {
    random.pick(&corpus.documents)
}

/// Returns the paths of all records.
fn paths(document: &Value) -> Vec<String> {
    let records = document["records"].as_array().into_iter().flatten();
    let fields = records.filter_map(|record| record.as_object()?.values().next());
    fields.filter_map(|fields| fields["path"].as_str().map(str::to_owned)).collect()
}

/// Returns a random part of `value`, preferring deeper parts.
fn random_part<'v>(random: &mut Random, value: &'v mut Value) -> &'v mut Value {
    let count = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if count == 0 || random.below(12) == 0 {
        return value;
    }
    let at = random.below(count);
    let part = match value {
        Value::Array(items) => &mut items[at],
        Value::Object(fields) => fields.values_mut().nth(at).expect("the position is below the number of fields"),
        _ => unreachable!("only lists and objects have parts"),
    };
    random_part(random, part)
}

fn hostile_value(random: &mut Random) -> Value {
    let all = [
        json!(null),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(u32::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(""),
        json!("ü"),
        json!("/"),
        json!("/main"),
        json!("/main/a[18446744073709551615]~4294967295"),
        json!("/main/$undo/x"),
        json!("/".repeat(300)),
        json!(format!("/main{}", "/a".repeat(200))),
        json!("\u{0}\u{1b}"),
        json!("9999-12-31T23:59:59Z"),
        json!("-009999-01-01T00:00:00Z"),
        json!("P9999Y"),
        json!([]),
        json!({}),
        json!(vec![0; 1000]),
        json!("{{ ((((((((1)))))))) }}"),
        json!("00000000-0000-0000-0000-000000000000"),
        json!(true),
    ];
    random.pick(&all).clone()
}

fn duplicate(random: &mut Random, part: &mut Value) {
    if let Value::Array(items) = part
        && !items.is_empty()
    {
        let item = random.pick(items).clone();
        let at = random.below(items.len() + 1);
        for _ in 0..=random.below(5) {
            items.insert(at, item.clone());
        }
    }
}

fn remove(random: &mut Random, part: &mut Value) {
    match part {
        Value::Array(items) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
        Value::Object(fields) if !fields.is_empty() => {
            let at = random.below(fields.len());
            let name = fields.keys().nth(at).cloned().unwrap_or_default();
            fields.remove(&name);
        }
        other => *other = json!({}),
    }
}

fn change_slightly(random: &mut Random, part: &mut Value) {
    match part {
        Value::Number(number) => {
            let by = random.below(5) as i64 - 2;
            *part = json!(number.as_i64().unwrap_or_default().wrapping_add(by));
        }
        Value::String(text) => {
            let at = random.below(text.len() + 1);
            if text.is_char_boundary(at) {
                let inserted = random.pick::<&str>(&["/", "[0]", "~2", "]", "[", "ü", "$", "x", " "]);
                text.insert_str(at, inserted);
            }
        }
        Value::Bool(is) => *is = !*is,
        other => *other = json!(1),
    }
}

/// Corrects the hash of each definition so that mutated definitions are also read.
fn fix_hashes(document: &mut Value) {
    let Some(all) = document["definitions"].as_object() else { return };
    let mut fixed = Map::new();
    let mut renamed = Vec::new();
    for (old, definition) in all {
        let Ok(read) = serde_json::from_value::<Definition>(definition.clone()) else { return };
        let new = read.hash();
        fixed.insert(new.clone(), json!(read));
        renamed.push((old.clone(), new));
    }
    let mut text = document["records"].to_string();
    for (old, new) in renamed {
        text = text.replace(&old, &new);
    }
    document["definitions"] = Value::Object(fixed);
    document["records"] = serde_json::from_str(&text).unwrap();
}

/// Imports `document` and reads the run in every way; returns whether the document was accepted.
async fn examine(document: &Value) -> bool {
    let home = home();
    let known = match home.import(document).await {
        Ok(known) => known,
        Err(error) => {
            assert!(matches!(error.code(), "invalid_export" | "newer_export" | "record_format"), "{error:?}");
            return false;
        }
    };
    assert_eq!(known.id().to_string(), document["run_id"].as_str().unwrap());
    let history: History = home.history(&known).await.unwrap();
    let events = home.events(&known).await.unwrap();
    assert!(!events.is_empty());
    assert!(serde_json::to_string(&events).unwrap().len() < 100_000_000);
    assert!(home.verify().await.unwrap().damage.is_empty());
    assert_eq!(home.export(&known).await.unwrap()["records"], document["records"]);
    let executor = executor(&home);
    // These calls may fail, for example because a step does not exist, but they must not panic.
    drop(executor.state(&known, None).await);
    for step in history.steps.iter().take(3) {
        let options = RewindOptions { from: Some(step.path.clone()), step_input: None, ..Default::default() };
        drop(executor.fork(&known, &options).await);
    }
    drop(executor.retry(&known, &RewindOptions { from: None, step_input: None, ..Default::default() }).await);
    drop(executor.resume(&known).await);
    home.delete(&[known]).await.map(drop).unwrap_or_default();
    true
}

#[test]
fn mutated_exports_never_cause_a_panic_or_endless_work() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let corpus = runtime.block_on(Corpus::new());
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let first = std::env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (mut cases, mut accepted) = (0_u64, 0_u64);
    while cases < 300 || Instant::now() < until {
        let seed = first + cases;
        let document = corpus.document(&mut Random(seed));
        let began = Instant::now();
        let examined = catch_unwind(AssertUnwindSafe(|| runtime.block_on(examine(&document))));
        match examined {
            Ok(is_accepted) => accepted += u64::from(is_accepted),
            Err(_) => panic!("FUZZ_SEED={seed}: {document}"),
        }
        assert!(began.elapsed() < CASE_TIME_MAX, "FUZZ_SEED={seed} took {:?}: {document}", began.elapsed());
        cases += 1;
    }
    println!("{cases} documents, {accepted} of them accepted");
    assert!(accepted > cases / 50, "only {accepted} of {cases} documents were accepted, so little was tested");
}
