//! The typed configuration.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use llmspell_workflows_advanced::JournalKind;
use llmspell_workflows_basic::model::Delay;
use llmspell_workflows_tools::Policy;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Values;
use crate::{
    Exit, Failure,
    logs::LogFormat,
    output::{Color, Format},
};

/// The configuration used by commands.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) output: Format,
    pub(crate) color: Color,
    /// Log directives.
    pub(crate) log: Option<String>,
    pub(crate) log_format: LogFormat,
    /// The environment to use for definitions that have environments.
    pub(crate) environment: Option<String>,
    /// The time limit of a run.
    pub(crate) timeout: Option<Duration>,
    /// The time that running steps have to finish when a run is paused.
    pub(crate) pause_grace: Duration,
    /// The folder of the store.
    pub(crate) store: PathBuf,
    /// The kind of journal for unfinished runs.
    pub(crate) journal: JournalKind,
    /// How long ended runs are kept.
    pub(crate) retention: Duration,
    /// The environment variable of each secret, by secret name.
    pub(crate) secrets: BTreeMap<String, String>,
    /// What tools may access.
    pub(crate) policy: Policy,
}

impl Settings {
    /// Converts `values`, whose keys and kinds have been checked.
    pub(super) fn new(values: &Values) -> Result<Self, Failure> {
        let invalid = |error: serde_json::Error| Failure::new(Exit::Usage, "invalid_configuration", error.to_string());
        let nested = nested(values);
        let get = |key: &str| nested.get(key).cloned().unwrap_or_default();
        let secrets: BTreeMap<String, FromEnv> = match get("secrets") {
            Value::Null => BTreeMap::new(),
            secrets => serde_json::from_value(secrets).map_err(invalid)?,
        };
        Ok(Self {
            output: Format::deserialize(get("output")).map_err(invalid)?,
            color: Color::deserialize(get("color")).map_err(invalid)?,
            log: get("log").as_str().map(Into::into),
            log_format: LogFormat::deserialize(get("log_format")).map_err(invalid)?,
            environment: get("environment").as_str().map(Into::into),
            timeout: duration(&get("timeout")),
            pause_grace: duration(&get("pause_grace")).unwrap_or_default(),
            store: PathBuf::from(text(&get("store")["path"])),
            journal: text(&get("store")["journal"])
                .parse()
                .map_err(|error| invalid(serde::de::Error::custom(error)))?,
            retention: duration(&get("store")["retention"]).unwrap_or_default(),
            secrets: secrets.into_iter().map(|(name, from)| (name, from.env)).collect(),
            policy: serde_json::from_value(get("tools")).map_err(invalid)?,
        })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[derive(Deserialize)]
struct FromEnv {
    env: String,
}

/// Converts `a.b.c = 1` to `{"a": {"b": {"c": 1}}}`.
fn nested(values: &Values) -> Map<String, Value> {
    let mut root = Map::new();
    for (key, set) in values {
        let mut at = &mut root;
        let (tables, name) = key.rsplit_once('.').unwrap_or(("", key));
        for table in tables.split('.').filter(|table| !table.is_empty()) {
            let inner = at.entry(table).or_insert_with(|| Value::Object(Map::new()));
            at = inner.as_object_mut().expect("a key is either a value or a table");
        }
        at.insert(name.to_owned(), set.value.clone());
    }
    root
}

/// Parses a number of seconds, or a string such as `90s`, `5m` or `1h30m`.
pub(super) fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::Number(seconds) => Duration::try_from_secs_f64(seconds.as_f64()?).ok().filter(|time| !time.is_zero()),
        Value::String(text) => parse_duration(text).ok(),
        _ => None,
    }
}

/// Parses a duration as written in definitions; also used for flags.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    match text.parse::<Delay>() {
        Ok(Delay::Fixed(duration)) if duration.is_zero() => Err("expected a duration greater than 0".to_owned()),
        Ok(Delay::Fixed(duration)) => Ok(duration),
        Ok(Delay::Expression(_)) => Err("expected a duration, got an expression".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
