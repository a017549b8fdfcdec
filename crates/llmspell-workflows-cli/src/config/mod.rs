//! The configuration: flags, then `SPELLFLOW_*`, then the project's `spellflow.toml`, then the
//! user's, then defaults.
//!
//! [`files`] finds the files, [`settings`] lists every key with its kind and default, [`layers`]
//! reads the sources of values, and [`typed`] converts the merged values to [`Settings`].

mod files;
mod layers;
mod settings;
mod typed;

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;

use crate::{Failure, cli::Global};

use files::{ConfigFiles, RefusedFile};
pub(crate) use typed::{Settings, parse_duration};

/// All configured values, raw and typed.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    values: Values,
    settings: Settings,
    refused: Vec<RefusedFile>,
}

/// Values by key, such as `tools.hosts`.
type Values = BTreeMap<String, SettingValue>;

/// A value and its origin.
#[derive(Debug, Clone)]
pub(crate) struct SettingValue {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The source of a value, lowest precedence first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl Config {
    /// Reads and merges all layers.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or a key or value is invalid.
    pub(crate) fn load(global: &Global) -> Result<Self, Failure> {
        let mut values = layers::defaults();
        let files = ConfigFiles::find(global.config.as_deref())?;
        for file in &files.read {
            values.extend(layers::file(file)?);
        }
        values.extend(layers::variables(std::env::vars_os())?);
        values.extend(layers::flags(global));
        let mut settings = Settings::new(&values)?;
        settings.policy.forbidden = files.guarded;
        settings.policy.forbidden.push(settings.store.clone());
        Ok(Self { values, settings, refused: files.refused })
    }

    /// Returns the configuration files that were not read because another user controls them.
    pub(crate) fn refused(&self) -> &[RefusedFile] {
        &self.refused
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns every value with its origin, sorted by key; secret values are masked.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (&str, Value, &Origin)> {
        self.values.iter().map(|(key, set)| {
            let value = if settings::is_secret(key) { "***".into() } else { set.value.clone() };
            (key.as_str(), value, &set.origin)
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}
