//! The list of all configuration keys.

use llmspell_workflows_basic::nearest;
use serde_json::{Value, json};

/// The prefix of environment variables for settings.
pub(super) const PREFIX: &str = "SPELLFLOW_";

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Log directives, such as `info` or `warn,llmspell_workflows::step=debug`.
    Filter,
    /// A duration, such as `90s` or `5m`; a bare number is in seconds.
    Duration,
    /// A non-negative integer.
    Number,
    List,
    Path,
    Paths,
}

/// A setting; `*` in its key matches a name chosen by the user.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    default: Option<&'static str>,
    /// The description of the setting, for `docs/configuration.md`.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the test that generates the page uses it"))]
    doc: &'static str,
}

const fn setting(key: &'static str, kind: Kind, doc: &'static str) -> Setting {
    Setting { key, kind, default: None, doc }
}

impl Setting {
    /// Sets the default as JSON; anything that is not valid JSON is treated as a string.
    const fn with_default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) fn default(&self) -> Option<Value> {
        self.default.map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
    }

    /// Returns the environment variable of this setting; keys with `*` have none.
    pub(super) fn variable(&self) -> Option<String> {
        (!self.key.contains('*')).then(|| format!("{PREFIX}{}", self.key.to_uppercase().replace('.', "_")))
    }

    fn matches(&self, key: &str) -> bool {
        let (mut pattern, mut key) = (self.key.split('.'), key.split('.'));
        loop {
            match (pattern.next(), key.next()) {
                (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(one), Some(two)) if one == two => {}
                _ => return false,
            }
        }
    }
}

/// All settings. The settings below `tools` are the fields of the tool policy.
pub(super) const SETTINGS: &[Setting] = &[
    setting("output", Kind::Choice(&["text", "json", "jsonl", "yaml"]), "The output format").with_default("text"),
    setting("color", Kind::Choice(&["auto", "always", "never"]), "When to use colors").with_default("auto"),
    setting(
        "log",
        Kind::Filter,
        "What to log to standard error: a level for all targets, and `TARGET=LEVEL` for individual targets; by default, \
         warnings and errors",
    ),
    setting("log_format", Kind::Choice(&["text", "json"]), "The format of log lines").with_default("text"),
    setting("environment", Kind::Text, "The environment to use, for workflows that define environments"),
    setting("timeout", Kind::Duration, "The time limit of a run, such as `90s` or `5m`"),
    setting("pause_grace", Kind::Duration, "The time that running steps have to finish when Ctrl-C pauses a run")
        .with_default("10s"),
    setting("store.path", Kind::Path, "The directory that contains the store").with_default(".spellflow"),
    setting(
        "store.journal",
        Kind::Choice(&["log", "fjall", "sled"]),
        "The kind of journal for unfinished runs (all but `log` are optional features and allow only one process at a time)",
    )
    .with_default("log"),
    setting("store.retention", Kind::Duration, "How long an ended run is kept before `runs prune` deletes it")
        .with_default("30d"),
    setting("secrets.*.env", Kind::Text, "The environment variable that holds the secret with this name"),
    setting(
        "tools.working_directory",
        Kind::Path,
        "The base of relative paths for tools and processes; the working directory by default",
    ),
    setting("tools.read_roots", Kind::Paths, "Directories that tools may read").with_default(r#"["."]"#),
    setting("tools.write_roots", Kind::Paths, "Directories that tools may change").with_default(r#"["."]"#),
    setting("tools.file_bytes_max", Kind::Number, "The largest file that tools read or write, in bytes").with_default("67108864"),
    setting("tools.rows_held_bytes_max", Kind::Number, "The maximum size of the rows that a tool holds at once, in bytes")
        .with_default("134217728"),
    setting("tools.hosts", Kind::List, "Hosts that tools may connect to; `*` allows every host with a public address")
        .with_default(r#"["*"]"#),
    setting("tools.response_bytes_max", Kind::Number, "The largest response body, in bytes").with_default("10485760"),
    setting("tools.request_timeout_ms", Kind::Number, "The time limit of a request, in milliseconds").with_default("30000"),
    setting("tools.redirects_max", Kind::Number, "How many redirects a request follows").with_default("10"),
    setting("tools.user_agent", Kind::Text, "The `User-Agent` of requests")
        .with_default(concat!("spellflow/", env!("CARGO_PKG_VERSION"))),
    // As with a Makefile, running a workflow executes its shell steps; a configuration can restrict them.
    setting(
        "tools.programs",
        Kind::List,
        "Programs that `shell` steps may start, by name or absolute path; `sh` runs command lines",
    )
    .with_default(r#"["*"]"#),
    setting("tools.output_bytes_max", Kind::Number, "The largest output of a tool or a process, in bytes")
        .with_default("67108864"),
    setting("tools.search.default_provider", Kind::Text, "The search provider for calls that do not name one"),
    setting("tools.search.providers.*.endpoint", Kind::Text, "The endpoint of this search provider"),
    setting("tools.search.providers.*.api_key", Kind::Text, "The API key of this search provider"),
    setting("tools.search.providers.*.api_key_env", Kind::Text, "The environment variable that holds the API key of this provider"),
    setting("tools.search.providers.*.engine_id", Kind::Text, "The id of a Google programmable search engine"),
];

/// Returns the setting that matches `key`.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.matches(key))
}

/// Returns the known key that is most similar to `key`.
pub(super) fn nearest_key(key: &str) -> Option<&'static str> {
    let keys = || SETTINGS.iter().map(|setting| setting.key);
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    nearest(key, keys()).or_else(|| {
        // The name may be right, but in the wrong table or outside any table.
        let own = key.rsplit('.').next().unwrap_or(key);
        let near = nearest(own, keys().map(last))?;
        keys().find(|key| last(key) == near)
    })
}

/// Returns whether the value of `key` must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    key.ends_with(".api_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_key_suggests_the_nearest_key() {
        for (key, expected) in [
            ("ouput", Some("output")),
            ("tools.host", Some("tools.hosts")),
            ("hosts", Some("tools.hosts")),
            ("something_else", None),
        ] {
            assert_eq!(nearest_key(key), expected, "{key}");
        }
    }

    #[test]
    fn wildcard_matches_exactly_one_name() {
        assert_eq!(find("secrets.TOKEN.env").map(|setting| setting.key), Some("secrets.*.env"));
        assert!(find("secrets.TOKEN").is_none());
        assert_eq!(find("tools.hosts").and_then(Setting::variable).as_deref(), Some("SPELLFLOW_TOOLS_HOSTS"));
    }

    #[test]
    fn configuration_page_lists_every_setting() {
        let mut table = "| key | variable | default | meaning |\n|---|---|---|---|\n".to_owned();
        for setting in SETTINGS {
            let code = |text: String| format!("`{text}`");
            let key = setting.key.replace('*', "NAME");
            let variable = setting.variable().map(code).unwrap_or_default();
            let default = setting.default().map(|value| code(value.to_string())).unwrap_or_default();
            let words =
                if let Kind::Choice(words) = setting.kind { format!(": {}", words.join(", ")) } else { String::new() };
            table += &format!("| `{key}` | {variable} | {default} | {}{words} |\n", setting.doc);
        }
        crate::docs::assert_up_to_date("configuration.md", "settings", &table);
    }
}
