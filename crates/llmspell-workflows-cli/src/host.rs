//! The engine and the tools as the configuration says.

use std::sync::Arc;

use llmspell_workflows_basic::{Engine, EngineBuilder, model::Definition};
use llmspell_workflows_tools::{HostRules, JsonSchemas, Registry, Tools, activities, registry};

use crate::{Exit, Failure, config::Settings};

/// The tools, under the policy of `settings`.
///
/// # Errors
/// A folder that tools may use cannot be opened, or a host is none.
pub(crate) fn tools(settings: &Settings) -> Result<Arc<Registry>, Failure> {
    Ok(Arc::new(registry(Arc::new(settings.policy.clone()))?))
}

/// An engine with every activity that this program has; the caller adds what is special about it.
///
/// # Errors
/// A folder that tools may use cannot be opened.
pub(crate) fn engine(settings: &Settings) -> Result<EngineBuilder, Failure> {
    // Definitions list the variables that they read; the rest is never looked at.
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let secrets = settings.secrets.keys().filter_map(|name| Some((name.clone(), secret(settings, name)?)));
    Ok(sealed_engine(settings)?.env(env).secrets(secrets))
}

/// The same without the environment and the secrets of this machine.
///
/// # Errors
/// The same.
pub(crate) fn sealed_engine(settings: &Settings) -> Result<EngineBuilder, Failure> {
    let policy = Arc::new(settings.policy.clone());
    // The tools are made when a definition has one, so what is wrong with their settings is looked for here.
    HostRules::parse(&policy.hosts)?;
    let tools = {
        let policy = policy.clone();
        Tools::lazy(move || registry(policy).map(Arc::new))
    };
    let activities = activities(tools, policy)?;
    Ok(Engine::builder().activities(activities).schemas(JsonSchemas::new()))
}

/// The runtime of a run, made when there is something to run.
///
/// # Errors
/// The system gives no threads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().map_err(|error| no_runtime(&error))
}

pub(crate) fn no_runtime(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, "no_runtime", format!("could not start the runtime: {error}"))
}

/// That every secret that `definition` names has a value.
///
/// # Errors
/// One has none; the help says where it is set.
pub(crate) fn check_secrets(settings: &Settings, definition: &Definition) -> Result<(), Failure> {
    let missing = definition.secrets.iter().find(|name| secret(settings, name).is_none());
    missing.map_or(Ok(()), |name| {
        let failure = Failure::new(Exit::Usage, "missing_secret", format!("the secret `{name}` has no value"));
        Err(match settings.secrets.get(name) {
            Some(variable) => failure.with_help(format!("set the environment variable `{variable}`")),
            None => failure.with_help(format!("add `[secrets] {name} = {{ env = \"VARIABLE\" }}` to `spellflow.toml`")),
        })
    })
}

/// The value of the secret `name`, where it has one.
pub(crate) fn secret(settings: &Settings, name: &str) -> Option<String> {
    std::env::var(settings.secrets.get(name)?).ok().filter(|value| !value.is_empty())
}
