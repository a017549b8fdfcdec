//! The engine, tools and secrets described by the configuration.

use std::{os::unix::net::UnixStream, sync::Arc};

use llmspell_workflows_basic::{
    Engine, EngineBuilder,
    model::Definition,
    secrets::{Masker, is_too_short, too_short},
};
use llmspell_workflows_tools::{HostRules, JsonSchemas, Policy, Registry, Tools, activities, registry};
use serde_json::Value;

use crate::{Exit, Failure, config::Settings};

/// Builds the tools under the policy of `settings`.
///
/// # Errors
/// Returns an error if a folder that tools may use cannot be opened or a host rule is invalid.
pub(crate) fn tools(settings: &Settings) -> Result<Arc<Registry>, Failure> {
    Ok(Arc::new(registry(Arc::new(settings.policy.clone()))?))
}

/// Returns a builder for an engine with all activities of this program, the environment and the
/// secrets.
///
/// # Errors
/// Returns an error if a folder that tools may use cannot be opened or a host rule is invalid.
pub(crate) fn engine(settings: &Settings) -> Result<EngineBuilder, Failure> {
    // Definitions declare the variables they read; other variables are never used.
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let secrets = settings.secrets.keys().filter_map(|name| Some((name.clone(), secret(settings, name)?)));
    Ok(sealed_engine(settings)?.env(env).secrets(secrets))
}

/// Like [`engine`], but without the environment and the secrets of this machine.
///
/// # Errors
/// Returns an error if a folder that tools may use cannot be opened or a host rule is invalid.
pub(crate) fn sealed_engine(settings: &Settings) -> Result<EngineBuilder, Failure> {
    let secret_variables = settings.secrets.values().cloned().collect();
    let policy = Arc::new(with_secret_variables(settings.policy.clone(), secret_variables));
    // The tools are built only when a definition uses one, so their settings are checked here.
    HostRules::parse(&policy.hosts)?;
    let tools = {
        let policy = policy.clone();
        Tools::lazy(move || registry(policy).map(Arc::new))
    };
    let activities = activities(tools, policy)?;
    Ok(Engine::builder().activities(activities).schemas(JsonSchemas::new()))
}

fn with_secret_variables(mut policy: Policy, variables: Vec<String>) -> Policy {
    policy.secret_variables = variables;
    policy
}

/// Starts the async runtime for a run.
///
/// # Errors
/// Returns an error if the operating system cannot start the runtime's threads or open its files.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    check_sockets()?;
    builder.enable_all().build().map_err(|error| no_runtime(&error))
}

/// Checks that a runtime can open its files and sockets; Tokio panics if it cannot open some of
/// them.
///
/// # Errors
/// Returns an error if too many files are open.
pub(crate) fn check_sockets() -> Result<(), Failure> {
    // A runtime opens six files: three to wait for events, and a socket pair and one copy for
    // signals.
    let opened: Result<Vec<_>, _> = (0..3).map(|_| UnixStream::pair()).collect();
    opened.map(drop).map_err(|error| no_runtime(&error))
}

pub(crate) fn no_runtime(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, "no_runtime", format!("could not start the async runtime: {error}"))
}

/// Checks the secrets of `definition`: every secret with a value must be long enough to be masked,
/// and every secret read by a step that is certain to run must have a value. Other steps fail when
/// they read a secret without a value.
///
/// # Errors
/// Returns an error if a secret has no value or is too short; its help suggests a remedy.
pub(crate) fn check_secrets(settings: &Settings, definition: &Definition) -> Result<(), Failure> {
    // A step of a valid definition reads only secrets that the definition lists.
    if definition.secrets.is_empty() {
        return Ok(());
    }
    let is_short = |name: &&String| secret(settings, name).is_some_and(|value| is_too_short(&value));
    if let Some(name) = definition.secrets.iter().find(is_short) {
        return Err(Failure::new(Exit::Usage, "secret_too_short", too_short(name))
            .with_help("pass a non-secret value under `env` or as an input"));
    }
    let needed = definition.certain_steps().into_iter().flat_map(|step| step.secrets());
    let missing = needed.into_iter().find(|name| secret(settings, name).is_none());
    missing.map_or(Ok(()), |name| {
        let failure = Failure::new(Exit::Usage, "missing_secret", format!("the secret `{name}` has no value"));
        Err(failure.with_help(where_to_set(settings, &name)))
    })
}

/// Returns instructions for setting the secret `name`.
pub(crate) fn where_to_set(settings: &Settings, name: &str) -> String {
    match settings.secrets.get(name) {
        Some(variable) => format!("set the environment variable `{variable}`"),
        None => format!("add `[secrets] {name} = {{ env = \"VARIABLE\" }}` to `spellflow.toml`"),
    }
}

/// Returns a masker for the secrets in `settings`.
pub(crate) fn masker(settings: &Settings) -> Masker {
    let values: Vec<_> =
        settings.secrets.keys().filter_map(|name| Some((name.as_str(), secret(settings, name)?))).collect();
    Masker::new(values.iter().map(|(name, value)| (*name, value.as_str())))
}

/// Checks that `value`, described as `what`, contains no secret, because it is written to disk
/// unmasked.
///
/// # Errors
/// Returns an error that names the secret found in `value`.
pub(crate) fn check_recorded(settings: &Settings, what: &str, value: &Value) -> Result<(), Failure> {
    let masker = masker(settings);
    masker.find_in(value).map_or(Ok(()), |name| {
        let message = format!("{what} would be recorded, and contains the secret `{name}`");
        Err(Failure::new(Exit::Usage, "secret_would_be_recorded", message))
    })
}

/// Returns the value of the secret `name` if it is configured and not empty.
pub(crate) fn secret(settings: &Settings, name: &str) -> Option<String> {
    std::env::var(settings.secrets.get(name)?).ok().filter(|value| !value.is_empty())
}
