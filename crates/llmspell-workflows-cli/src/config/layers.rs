//! The sources of configuration values: defaults, files, environment variables and flags.

use std::{ffi::OsString, fs, io, path::Path};

use llmspell_workflows_basic::nearest;
use serde_json::{Value, json};

use super::{
    Origin, SettingValue, Values,
    settings::{self, Kind, PREFIX, SETTINGS, Setting},
};
use crate::{Exit, Failure, cli::Global, logs};

/// Environment variables set for the process of a step. They are not settings, so a nested
/// `spellflow` ignores them.
const STEP_VARIABLES: &[&str] =
    &["SPELLFLOW_RUN_ID", "SPELLFLOW_STEP_PATH", "SPELLFLOW_ATTEMPT", "SPELLFLOW_IDEMPOTENCY_KEY"];

pub(super) fn defaults() -> Values {
    let set = |setting: &Setting| {
        Some((setting.key.to_owned(), SettingValue { value: setting.default()?, origin: Origin::Default }))
    };
    SETTINGS.iter().filter_map(set).collect()
}

pub(super) fn file(path: &Path) -> Result<Values, Failure> {
    let invalid = |message: String| {
        Failure::new(Exit::Usage, "invalid_configuration", format!("`{}`: {message}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => invalid("the file is not UTF-8".to_owned()),
        _ => Failure::file("read", path, &error),
    })?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
    let mut values = Vec::new();
    flatten(&mut values, String::new(), toml::Value::Table(table));
    let folder = path.parent().unwrap_or(Path::new("."));
    let set = |(key, value): (String, toml::Value)| {
        let setting = settings::find(&key).ok_or_else(|| unknown(&key).map_message(&invalid))?;
        let value = serde_json::to_value(value).map_err(|error| invalid(format!("`{key}`: {error}")))?;
        if !setting.kind.admits(&value) {
            return Err(invalid(format!("`{key}` must be {}, got {value}", setting.kind.description())));
        }
        Ok((key, SettingValue { value: setting.kind.resolve_in(folder, value), origin: Origin::File(path.to_owned()) }))
    };
    values.into_iter().map(set).collect()
}

fn flatten(out: &mut Vec<(String, toml::Value)>, prefix: String, value: toml::Value) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                flatten(out, key, value);
            }
        }
        value => out.push((prefix, value)),
    }
}

fn unknown(key: &str) -> Failure {
    let failure = Failure::new(Exit::Usage, "invalid_configuration", format!("unknown setting `{key}`"));
    match settings::nearest_key(key) {
        Some(near) => failure.with_help(format!("did you mean `{near}`?")),
        None => failure.with_help("`spellflow config show` lists the settings"),
    }
}

impl Failure {
    fn map_message(self, wrap: &impl Fn(String) -> Self) -> Self {
        Self { help: self.help, ..wrap(self.message) }
    }
}

/// Returns the settings in the environment `variables`.
pub(super) fn variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Values, Failure> {
    let ours = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = ours.filter(|(name, _)| name.starts_with(PREFIX) && !STEP_VARIABLES.contains(&name.as_str()));
    let set = |(name, value): (String, OsString)| {
        let invalid = |message: String| Failure::new(Exit::Usage, "invalid_configuration", message);
        let known = || SETTINGS.iter().filter_map(|setting| Some((setting, setting.variable()?)));
        let Some((setting, _)) = known().find(|(_, variable)| *variable == name) else {
            let failure = invalid(format!("unknown setting `{name}` in the environment"));
            // The common prefix must not count towards the similarity.
            let without_prefix = |variable: &str| variable.trim_start_matches(PREFIX).to_owned();
            let names: Vec<String> = known().map(|(_, variable)| without_prefix(&variable)).collect();
            return Err(match nearest(&without_prefix(&name), names.iter().map(String::as_str)) {
                Some(near) => failure.with_help(format!("did you mean `{PREFIX}{near}`?")),
                None => failure.with_help("`spellflow config show` lists the settings"),
            });
        };
        let text = value.into_string().map_err(|_| invalid(format!("`{name}` is not UTF-8")))?;
        let value = setting.kind.parse(&text);
        match value.filter(|value| setting.kind.admits(value)) {
            Some(value) => Ok((setting.key.to_owned(), SettingValue { value, origin: Origin::Variable(name) })),
            None => Err(invalid(format!("`{name}` must be {}, got `{text}`", setting.kind.description()))),
        }
    };
    ours.map(set).collect()
}

pub(super) fn flags(global: &Global) -> Values {
    let word = |value: Option<&dyn std::fmt::Debug>| value.map(|value| json!(format!("{value:?}").to_lowercase()));
    let output = word(global.output.as_ref().map(|value| value as _)).map(|value| ("output", value, "--output"));
    let color = word(global.color.as_ref().map(|value| value as _)).map(|value| ("color", value, "--color"));
    let store = global.store.as_ref().map(|path| ("store.path", json!(path.display().to_string()), "--store"));
    let log = logs::directives(global.verbose).map(|level| ("log", json!(level), "--verbose"));
    let log_format = word(global.log_format.as_ref().map(|value| value as _));
    let log_format = log_format.map(|value| ("log_format", value, "--log-format"));
    let set = |(key, value, flag): (&str, Value, &'static str)| {
        (key.to_owned(), SettingValue { value, origin: Origin::Flag(flag) })
    };
    output.into_iter().chain(color).chain(store).chain(log).chain(log_format).map(set).collect()
}

impl Kind {
    /// Describes the values of this kind, for error messages.
    fn description(self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Filter => "levels such as `info` or `warn,llmspell_workflows::step=debug`".to_owned(),
            Self::Duration => "a duration such as `90s` or `5m`".to_owned(),
            Self::Number => "a whole number".to_owned(),
            Self::List => "a list of strings".to_owned(),
            Self::Path => "a folder".to_owned(),
            Self::Paths => "a list of folders".to_owned(),
        }
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Path => value.is_string(),
            Self::Filter => value.as_str().is_some_and(|text| logs::parse(text).is_ok()),
            Self::Choice(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Duration => super::typed::duration(value).is_some(),
            Self::Number => value.is_u64(),
            Self::List | Self::Paths => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        }
    }

    /// Parses the `text` of an environment variable; list items are separated by commas.
    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Number => text.parse::<u64>().ok().map(Value::from),
            Self::List | Self::Paths => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(items.collect())
            }
            _ => Some(text.into()),
        }
    }

    /// Resolves the paths in `value` relative to `folder`, which contains the configuration file.
    fn resolve_in(self, folder: &Path, value: Value) -> Value {
        let join = |path: &Value| json!(folder.join(path.as_str().unwrap_or_default()).display().to_string());
        match (self, &value) {
            (Self::Path, path) => join(path),
            (Self::Paths, Value::Array(paths)) => paths.iter().map(join).collect(),
            _ => value,
        }
    }
}
