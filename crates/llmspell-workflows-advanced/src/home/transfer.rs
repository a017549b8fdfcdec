//! Exports runs as documents, and imports them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_state::{
    Arrival, Epoch, History, Record, RunState,
    foreign::{check_count, check_definition, check_records, limits},
    store::{Message, RunSummary, Snapshot},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Contact, Home, KnownRun};
use crate::ExecutorError;

/// The version of the documents that `export` writes; `import` reads all versions up to this one.
pub const EXPORT_VERSION: u64 = 3;

impl dyn Home {
    /// Exports a run as one JSON document, with its records, definitions, messages, checkpoints, large values and
    /// sub-workflows.
    ///
    /// Secrets are masked, as in the records.
    ///
    /// # Errors
    /// Returns an error if the run is a sub-workflow, which is exported with its parent, or if a
    /// part of the run cannot be read.
    pub async fn export(&self, run: &KnownRun) -> Result<Value, ExecutorError> {
        match run.summary.parent {
            Some(parent) => Err(ExecutorError::PartOf { run: run.id(), parent, done: "exported" }),
            None => self.export_family(run).await,
        }
    }

    async fn export_family(&self, run: &KnownRun) -> Result<Value, ExecutorError> {
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
        let (mut children, mut never_started) = (Vec::new(), Vec::new());
        for child in RunState::read_outline(&records).children() {
            match self.get(child).await? {
                Some(child) => children.push(Box::pin(self.export_family(&child)).await?),
                // The step has chosen the sub-workflow's id but has not started the sub-workflow.
                None => never_started.push(child),
            }
        }
        Ok(json!({
            "spellflow_export": EXPORT_VERSION, "run_id": id, "workflow": run.summary.workflow,
            "status": run.status().as_str(), "exported_at": Timestamp::now().to_string(),
            "definitions": definitions, "records": records, "messages": messages, "snapshots": snapshots,
            "children": children, "never_started": never_started,
        }))
    }

    /// Imports an exported run under its own id. An unfinished run can be resumed.
    ///
    /// # Errors
    /// Returns an error if the document is not a valid export or has a newer version, if the run
    /// already exists, or if the run cannot be written.
    pub async fn import(&self, document: &Value) -> Result<KnownRun, ExecutorError> {
        let mut family = Vec::new();
        Import::read_family(document, None, &mut family)?;
        let run = family[0].run;
        // Several imports of the same run can be active at once; all but the first find the run
        // already imported.
        let _claim = self.claim(run).await?;
        for Import { run, .. } in &family {
            if self.get(*run).await?.is_some() {
                return Err(ExecutorError::Exists { run: *run });
            }
        }
        for definition in family.iter().flat_map(|import| &import.definitions) {
            self.keep(definition).await?;
        }
        let stores = self.stores().await?;
        for Import { run, messages, snapshots, .. } in &family {
            // A run with this id may have been deleted by a process that died before removing everything.
            stores.snapshots.remove_all(*run).await?;
            for snapshot in snapshots {
                stores.snapshots.put(snapshot).await?;
            }
            // Records refer to messages by number, so all messages are posted again in order.
            stores.inbox.remove(*run).await?;
            for message in messages {
                stores.inbox.post(*run, &Uuid::now_v7().to_string(), message).await?;
            }
        }
        let has_ended = family[0].summary.status.has_ended();
        let lease = self.lease_for_new_runs(Contact::None).await?;
        let arrival = |Import { run, records, .. }| Arrival { run, after: Epoch::default(), records };
        lease.journal.arrive(family.into_iter().map(arrival).collect()).await?;
        if has_ended {
            // All runs have arrived; from now on, each run is in the journal or in the archive.
            self.archive(&lease, &[run]).await?;
        }
        drop(lease);
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

/// The maximum number of runs in an export: the run and its sub-workflows.
const FAMILY_MAX: usize = 10_000;

impl Import {
    /// Reads the run in `document`, a child of `parent`, and then its children.
    fn read_family(document: &Value, parent: Option<Uuid>, family: &mut Vec<Self>) -> Result<(), ExecutorError> {
        let import = Self::read(document)?;
        let run = import.run;
        if import.summary.parent != parent {
            let message = match parent {
                Some(parent) => format!("the run {run} is not a sub-workflow of the run {parent}"),
                None => format!("the run {run} is a sub-workflow; export the run it is part of"),
            };
            return Err(invalid_export(message));
        }
        if family.iter().any(|known| known.run == run) {
            return Err(invalid_export(format!("it contains the run {run} twice")));
        }
        if family.len() >= FAMILY_MAX {
            return Err(invalid_export(format!("it contains more than {FAMILY_MAX} runs")));
        }
        let children: BTreeSet<Uuid> = RunState::read_outline(&import.records).children().into_iter().collect();
        let mut missing = children.clone();
        family.push(import);
        // Exports of earlier versions have no children.
        for child in document["children"].as_array().into_iter().flatten() {
            let id: Uuid = field(child, "run_id")?;
            if !children.contains(&id) {
                return Err(invalid_export(format!("the run {id} is not a sub-workflow of the run {run}")));
            }
            missing.remove(&id);
            Self::read_family(child, Some(run), family)?;
        }
        // Earlier versions do not list the sub-workflows that were never started.
        if document["spellflow_export"].as_u64().is_some_and(|version| version >= 3) {
            let never_started: BTreeSet<Uuid> = field(document, "never_started")?;
            if let Some(lost) = missing.difference(&never_started).next() {
                let message =
                    format!("`children` of the run {run} lacks its sub-workflow {lost}, whose steps would run again");
                return Err(invalid_export(message));
            }
        }
        Ok(())
    }

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
        let mut records = records.map_err(|error| invalid_export(format!("`records` cannot be read: {error}")))?;
        // Permissions were given where the run was started.
        if let Some(Record::Started(started)) = records.first_mut() {
            started.grants.clear();
        }
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

/// Checks the number of parts of each kind in a document before the parts are read.
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

/// Checks that each definition matches its hash and can run under the limits of an engine.
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

/// Checks that every checkpoint is for `run`, is at a position in `records`, and has a unique
/// name.
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
