//! Exports runs as documents, and imports them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_state::{
    History, Record, RunState,
    foreign::{check_count, check_definition, check_records, limits},
    store::{Message, RunSummary, Snapshot},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Contact, Home, KnownRun, archive};
use crate::ExecutorError;

/// The version of the documents that `export` writes; `import` reads all versions up to this one.
pub const EXPORT_VERSION: u64 = 1;

impl dyn Home {
    /// Exports a run as one JSON document, with its records, definitions, messages, checkpoints and large values.
    ///
    /// Secrets are masked, as in the records.
    ///
    /// # Errors
    /// Returns an error if a part of the run cannot be read.
    pub async fn export(&self, run: &KnownRun) -> Result<Value, ExecutorError> {
        let (id, records) = (run.id(), self.records(run).await?);
        let mut definitions = BTreeMap::new();
        for hash in &hashes(&records) {
            definitions.insert(hash.to_owned(), self.definition(hash).await?);
        }
        let (mut messages, mut snapshots) = (Vec::new(), Vec::new());
        if let Some(stores) = self.existing_stores().await? {
            let mut after = 0;
            loop {
                let page = stores.inbox.next(id, after).await?;
                let Some((last, _)) = page.last() else { break };
                after = *last;
                messages.extend(page.into_iter().map(|(_, message)| message));
            }
            snapshots = stores.snapshots.list(id).await?;
        }
        Ok(json!({
            "spellflow_export": EXPORT_VERSION, "run_id": id, "workflow": run.summary.workflow,
            "status": run.status().as_str(), "exported_at": Timestamp::now().to_string(),
            "definitions": definitions, "records": records, "messages": messages, "snapshots": snapshots,
        }))
    }

    /// Imports an exported run under its own id; a run that has not ended can be resumed.
    ///
    /// # Errors
    /// Returns an error if the document is not a valid export or has a newer version, the run already exists, or the
    /// run cannot be written.
    pub async fn import(&self, document: &Value) -> Result<KnownRun, ExecutorError> {
        let Import { run, summary, definitions, records, messages, snapshots } = Import::read(document)?;
        if self.get(run).await?.is_some() {
            return Err(ExecutorError::Exists { run });
        }
        for definition in &definitions {
            self.keep(definition).await?;
        }
        let stores = self.stores().await?;
        for snapshot in &snapshots {
            stores.snapshots.put(snapshot).await?;
        }
        // Records refer to messages by number, so all messages are posted again in order.
        stores.inbox.remove(run).await?;
        for message in &messages {
            stores.inbox.post(run, &Uuid::now_v7().to_string(), message).await?;
        }
        if summary.status.has_ended() {
            stores.runs.put(&summary).await?;
            archive::put_all(stores, vec![(run, records)]).await?;
        } else {
            self.lease_for_new_runs(Contact::None).await?.import(run, &records).await?;
        }
        self.get(run).await?.ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))
    }
}

/// Returns the hashes of the definitions that `records` refer to.
pub(super) fn hashes(records: &[Record]) -> BTreeSet<String> {
    RunState::read_as_far(records).0.definitions().iter().cloned().collect()
}

/// The validated content of an exported document.
struct Import {
    run: Uuid,
    summary: RunSummary,
    definitions: Vec<Definition>,
    records: Vec<Record>,
    messages: Vec<Message>,
    snapshots: Vec<Snapshot>,
}

impl Import {
    fn read(document: &Value) -> Result<Self, ExecutorError> {
        let version = document["spellflow_export"].as_u64();
        let version =
            version.ok_or_else(|| invalid_export("`spellflow_export`, the version of the format, is missing"))?;
        if version > EXPORT_VERSION {
            return Err(ExecutorError::NewerExport { found: version, known: EXPORT_VERSION });
        }
        check_counts(document).map_err(invalid_export)?;
        let run: Uuid = field(document, "run_id")?;
        let records: Vec<Value> = field(document, "records")?;
        let records = records.iter().map(Record::from_json).collect::<Result<Vec<_>, _>>();
        let records = records.map_err(|error| invalid_export(format!("`records` cannot be read: {error}")))?;
        check_records(run, &records).map_err(invalid_export)?;
        let definitions: BTreeMap<String, Definition> = field(document, "definitions")?;
        let used = hashes(&records);
        if let Some(missing) = used.iter().find(|hash| !definitions.contains_key(*hash)) {
            return Err(invalid_export(format!("the definition {missing} is missing")));
        }
        check_definitions(&definitions).map_err(invalid_export)?;
        History::read(&records).map_err(|message| invalid_export(format!("invalid records: {message}")))?;
        let summary = RunSummary::of(run, &records, None).ok_or_else(|| invalid_export("the records have no start"))?;
        if let Some(unused) = definitions.keys().find(|hash| !used.contains(*hash)) {
            return Err(invalid_export(format!("no record refers to the definition {unused}")));
        }
        let snapshots: Vec<Snapshot> = field(document, "snapshots")?;
        check_snapshots(run, &records, &snapshots).map_err(invalid_export)?;
        Ok(Self {
            run,
            summary,
            definitions: definitions.into_values().collect(),
            records,
            messages: field(document, "messages")?,
            snapshots,
        })
    }
}

/// Checks the numbers of the parts of a document, before they are read.
fn check_counts(document: &Value) -> Result<(), String> {
    for (name, max, limit) in [
        ("records", limits::RECORDS_MAX, "RECORDS_MAX"),
        ("definitions", limits::DEFINITIONS_MAX, "DEFINITIONS_MAX"),
        ("messages", limits::MESSAGES_MAX, "MESSAGES_MAX"),
        ("snapshots", limits::CHECKPOINTS_MAX, "CHECKPOINTS_MAX"),
    ] {
        let count = match &document[name] {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        check_count(name, count, max, limit)?;
    }
    Ok(())
}

/// Checks that each definition has its hash and can run under the limits of an engine.
fn check_definitions(definitions: &BTreeMap<String, Definition>) -> Result<(), String> {
    definitions.iter().try_for_each(|(hash, definition)| {
        if definition.hash() != *hash {
            return Err(format!(
                "the definition {hash} was changed after the export: its content has a different hash"
            ));
        }
        check_definition(definition).map_err(|problem| format!("the definition {hash} is not valid: {problem}"))
    })
}

/// Checks that the checkpoints belong to `run` and to a position in `records`, and have different names.
fn check_snapshots(run: Uuid, records: &[Record], snapshots: &[Snapshot]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    snapshots.iter().try_for_each(|Snapshot { run: owner, name, position, .. }| match () {
        () if *owner != run => Err(format!("the checkpoint `{name}` belongs to another run, {owner}")),
        () if *position > records.len() as u64 => {
            Err(format!("the checkpoint `{name}` is at position {position}, which does not exist"))
        }
        () if !names.insert(name) => Err(format!("the checkpoint `{name}` is listed twice")),
        () => Ok(()),
    })
}

fn field<T: serde::de::DeserializeOwned>(document: &Value, name: &str) -> Result<T, ExecutorError> {
    T::deserialize(&document[name]).map_err(|error| invalid_export(format!("`{name}` cannot be read: {error}")))
}

fn invalid_export(message: impl Into<String>) -> ExecutorError {
    ExecutorError::Import { message: message.into() }
}
