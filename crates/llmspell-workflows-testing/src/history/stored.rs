//! The stored data of a run.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A stored run, reduced to the data that the checker compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredRun {
    /// The run's id.
    pub run: String,
    /// The run's status.
    pub status: String,
    /// When the run started, in microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_us: Option<u64>,
    /// For the run of a sub-workflow, the parent run and the path of its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<(String, String)>,
    /// The relevant records, in order.
    pub records: Vec<StoredRecord>,
}

/// A record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// The number of the record in its run, counted from 0.
    pub number: u64,
    /// The time of the record, in microseconds since the start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_us: Option<u64>,
    /// What was recorded.
    #[serde(flatten)]
    pub what: Recorded,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// The effect of a step begins.
    Began {
        /// The path of the step.
        step: String,
    },
    /// A step ended.
    Ended {
        /// The path of the step.
        step: String,
        /// How the step ended.
        end: End,
    },
    /// The run continues from an earlier point.
    Rewound {
        /// The steps that no longer count as ended.
        reopened: Vec<String>,
    },
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The step completed.
    Completed,
    /// The step was skipped.
    Skipped,
    /// The step failed permanently.
    Failed,
    /// The step was cancelled.
    Cancelled,
}

/// The reason why a document is not an export.
#[derive(Debug)]
pub struct ExportError {
    /// A description of the missing or invalid part.
    pub message: String,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an export: {}", self.message)
    }
}

impl std::error::Error for ExportError {}

impl StoredRun {
    /// Reads a document written by `spellflow runs export`: the run, followed by the runs of its
    /// sub-workflows.
    ///
    /// `docs/journal-format.md` describes the records.
    ///
    /// # Errors
    /// Returns an error if a field is missing or has the wrong type, or if the kind of a record or
    /// of a step's end is unknown.
    pub fn from_export(document: &Value) -> Result<Vec<Self>, ExportError> {
        let mut family = Vec::new();
        read_family(document, &mut family)?;
        Ok(family)
    }

    /// Returns the completions of steps, with the numbers of their records.
    pub(super) fn completions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.records.iter().filter_map(|record| match &record.what {
            Recorded::Ended { step, end: End::Completed } => Some((step.as_str(), record.number)),
            _ => None,
        })
    }
}

/// The kinds of records that say nothing about which steps were executed.
const IGNORED: [&str; 9] =
    ["started", "stopped", "stuck", "decided", "warned", "asked", "suspended", "resumed", "redefined"];

fn read_family(document: &Value, family: &mut Vec<StoredRun>) -> Result<(), ExportError> {
    let records = list(document, "records")?;
    let started = records.first().and_then(|first| first.get("started"));
    let started = started.ok_or_else(|| wrong("the first record is not `started`", document))?;
    let parent = match started.get("parent") {
        Some(parent) => Some((text(parent, "run")?, text(parent, "path")?)),
        None => None,
    };
    let mut run = StoredRun {
        run: text(document, "run_id")?,
        status: text(document, "status")?,
        started_us: Some(started_us(&text(started, "at")?)?),
        parent,
        records: Vec::new(),
    };
    for (number, record) in (0..).zip(records) {
        let fields = record.as_object().and_then(|fields| fields.iter().next());
        let (kind, body) = fields.ok_or_else(|| wrong("a record is not an object", record))?;
        let what = match kind.as_str() {
            "began" => Recorded::Began { step: text(body, "path")? },
            "ended" => Recorded::Ended { step: text(body, "path")?, end: end(body)? },
            "rewound" => Recorded::Rewound { reopened: texts(body, "reopened")? },
            "closed" => continue,
            kind if IGNORED.contains(&kind) => continue,
            _ => return Err(wrong("unknown kind of record", record)),
        };
        run.records.push(StoredRecord { number, time_us: body.get("t").and_then(Value::as_u64), what });
    }
    family.push(run);
    list(document, "children")?.iter().try_for_each(|child| read_family(child, family))
}

fn end(body: &Value) -> Result<End, ExportError> {
    let kind = body.get("end").and_then(Value::as_object).and_then(|fields| fields.keys().next());
    match kind.map(String::as_str) {
        Some("completed") => Ok(End::Completed),
        Some("skipped") => Ok(End::Skipped),
        Some("failed") => Ok(End::Failed),
        Some("cancelled") => Ok(End::Cancelled),
        _ => Err(wrong("unknown end", body)),
    }
}

fn started_us(at: &str) -> Result<u64, ExportError> {
    let time: jiff::Timestamp = at.parse().map_err(|error| ExportError { message: format!("{error}: {at}") })?;
    u64::try_from(time.as_microsecond()).map_err(|error| ExportError { message: format!("{error}: {at}") })
}

fn list<'v>(value: &'v Value, field: &str) -> Result<&'v [Value], ExportError> {
    let list = value.get(field).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| wrong(&format!("expected an array in `{field}`"), value))
}

fn text(value: &Value, field: &str) -> Result<String, ExportError> {
    let text = value.get(field).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| wrong(&format!("expected a string in `{field}`"), value))
}

/// Returns a list of strings; an absent field is an empty list.
fn texts(value: &Value, field: &str) -> Result<Vec<String>, ExportError> {
    let Some(list) = value.get(field) else { return Ok(Vec::new()) };
    let of_strings = list.as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
    of_strings.ok_or_else(|| wrong(&format!("expected an array of strings in `{field}`"), value))
}

/// Returns an error that shows the beginning of `value`.
fn wrong(message: &str, value: &Value) -> ExportError {
    let shown: String = value.to_string().chars().take(200).collect();
    ExportError { message: format!("{message}: {shown}") }
}
