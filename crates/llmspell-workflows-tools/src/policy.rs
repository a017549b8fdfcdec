use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::{ToolError, ToolErrorClass, wildcard};

/// The permissions and limits of the tools in a registry.
///
/// The defaults are safe on a developer's machine: files in the working directory, public hosts, no
/// programs. A policy is plain data, read directly from a configuration file; unknown fields are
/// errors.
///
/// ```
/// use llmspell_workflows_tools::Policy;
///
/// let policy: Policy = serde_json::from_str(
///     r#"{
///         "read_roots": ["data", "/srv/reports"],
///         "hosts": ["*.example.com", "127.0.0.1:8080"],
///         "programs": ["git"],
///         "search": {"providers": {"brave": {"api_key_env": "BRAVE_API_KEY"}}}
///     }"#,
/// )?;
/// assert_eq!(policy.response_bytes_max, 10 * 1024 * 1024);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// The base of relative paths and relative roots; the process's working directory by default.
    pub working_directory: Option<PathBuf>,
    /// Directories whose files may be read; the working directory by default.
    pub read_roots: Vec<PathBuf>,
    /// Directories whose files may be created, changed and deleted; the working directory by default.
    pub write_roots: Vec<PathBuf>,
    /// Files and directories that no tool may access, even within the roots; none by default. The
    /// host sets this list to protect its own files, such as the store of its runs and its
    /// configuration. Relative paths are resolved against the process's working directory. The
    /// files do not have to exist.
    #[serde(skip)]
    pub forbidden: Vec<PathBuf>,
    /// The maximum size of a file to read or write, in bytes; 64 MiB by default.
    pub file_bytes_max: u64,
    /// The maximum size of the rows that a tool keeps in memory when it needs all rows of a file,
    /// for example to sort them, in bytes of text; 128 MiB by default.
    pub rows_held_bytes_max: usize,
    /// The hosts that may be contacted, as rules for [`HostRules`](crate::HostRules); `*` by default, which allows
    /// every host with a public address.
    pub hosts: Vec<String>,
    /// The maximum size of a response body, in bytes after transfer decoding; 10 MiB by default.
    pub response_bytes_max: usize,
    /// The time limit for a request including its redirects, in milliseconds; 30,000 by default. A tool's own timeout
    /// parameter can only shorten it.
    pub request_timeout_ms: u64,
    /// The maximum number of redirects that a request follows; 10 by default.
    pub redirects_max: usize,
    /// The `User-Agent` of requests that do not set this header.
    pub user_agent: String,
    /// The programs that may be started, by name or absolute path, where `*` matches any number of characters; none by
    /// default.
    pub programs: Vec<String>,
    /// The environment variables that processes do not inherit because they contain secrets; none
    /// by default. A step that needs a secret passes it in its own `env`.
    #[serde(skip)]
    pub secret_variables: Vec<String>,
    /// The search engine settings.
    pub search: SearchPolicy,
    /// The maximum size of a call's result, in bytes of JSON; 64 MiB by default.
    pub output_bytes_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            working_directory: None,
            read_roots: vec![PathBuf::from(".")],
            write_roots: vec![PathBuf::from(".")],
            forbidden: Vec::new(),
            file_bytes_max: 64 * 1024 * 1024,
            rows_held_bytes_max: 128 * 1024 * 1024,
            hosts: vec!["*".to_owned()],
            response_bytes_max: 10 * 1024 * 1024,
            request_timeout_ms: 30_000,
            redirects_max: 10,
            user_agent: concat!("llmspell-workflows/", env!("CARGO_PKG_VERSION")).to_owned(),
            programs: Vec::new(),
            secret_variables: Vec::new(),
            search: SearchPolicy::default(),
            output_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl Policy {
    /// Returns whether `program`, a name or an absolute path, may be started.
    #[must_use]
    pub fn allows_program(&self, program: &str) -> bool {
        self.programs.iter().any(|pattern| wildcard::matches(pattern, program))
    }
}

/// The default search engine, and the settings of each search engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchPolicy {
    /// The provider for calls that do not name one; defaults to the only configured provider, otherwise to
    /// `duckduckgo`, which needs no key.
    pub default_provider: Option<String>,
    /// The settings of providers by name: `tavily, bing, google, brave, duckduckgo, serpapi, serperdev`.
    pub providers: BTreeMap<String, SearchProvider>,
}

/// The settings of a search engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchProvider {
    /// The service's base URL; the public URL by default. Tests set it to the URL of their own server.
    pub endpoint: Option<String>,
    /// The key itself; prefer `api_key_env`, which keeps the key out of files.
    pub api_key: Option<Secret>,
    /// The environment variable that contains the key.
    pub api_key_env: Option<String>,
    /// Google's programmable search engine id (`cx`).
    pub engine_id: Option<String>,
}

impl SearchProvider {
    /// Returns the key from the configuration or the environment. If neither contains a key, the
    /// error names the setting to add for `provider`.
    pub fn key(&self, provider: &str) -> Result<Secret, ToolError> {
        if let Some(key) = &self.api_key {
            return Ok(key.clone());
        }
        let missing = |message: String| {
            ToolError::new(ToolErrorClass::Configuration, "missing_api_key", message).with_help(format!(
                "in the policy, set `search.providers.{provider}.api_key_env` to the name of an environment variable that holds the key"
            ))
        };
        let name =
            self.api_key_env.as_deref().ok_or_else(|| missing(format!("no API key is configured for `{provider}`")))?;
        match std::env::var(name) {
            Ok(key) if !key.is_empty() => Ok(Secret::new(key)),
            _ => Err(missing(format!(
                "the environment variable `{name}`, which should hold the key for `{provider}`, is not set"
            ))),
        }
    }
}

/// A string that is never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the string; only the code that sends it should call this.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_is_allowed_by_default() {
        let policy = Policy::default();
        assert!(!policy.allows_program("sh"));
    }

    #[test]
    fn wildcards_in_programs_match_program_names() {
        let policy = Policy { programs: vec!["git*".into()], ..Policy::default() };
        assert!(policy.allows_program("git-lfs"));
        assert!(!policy.allows_program("legit"));
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let error = serde_json::from_str::<Policy>(r#"{"host": ["*"]}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `host`"), "{error}");
    }

    #[test]
    fn keys_are_never_printed() {
        let provider = SearchProvider { api_key: Some(Secret::new("hunter2")), ..SearchProvider::default() };
        assert!(!format!("{provider:?}").contains("hunter2"));
        assert_eq!(provider.key("brave").unwrap().reveal(), "hunter2");
    }

    #[test]
    fn error_for_a_missing_key_names_the_setting_to_add() {
        let error = SearchProvider::default().key("brave").unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Configuration, "missing_api_key"));
        assert!(error.to_string().contains("search.providers.brave.api_key_env"), "{error}");
    }
}
