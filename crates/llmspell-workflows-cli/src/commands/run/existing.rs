//! Prepares existing runs for commands that resume or repeat them.

use std::collections::BTreeMap;

use llmspell_workflows_advanced::KnownRun;

use super::{Session, SessionOptions};
use crate::{App, Failure, config::Settings, host};

/// Finds the run named `run`, and creates a session for driving it.
///
/// # Errors
/// Returns an error if the run does not exist, the configuration is invalid, or [`Session::new`]
/// fails.
pub(crate) fn prepare(
    app: &App,
    run: &str,
    session_options: &SessionOptions,
) -> Result<(KnownRun, Settings, Session), Failure> {
    let known = app.wait(app.home().find(run))?;
    let (settings, session) = session_of(app, &known, session_options)?;
    Ok((known, settings, session))
}

/// Creates a session for driving `known` with the permissions that it was started with.
///
/// # Errors
/// Returns an error if the records cannot be read, the configuration is invalid, or
/// [`Session::new`] fails.
pub(crate) fn session_of(
    app: &App,
    known: &KnownRun,
    session_options: &SessionOptions,
) -> Result<(Settings, Session), Failure> {
    session_with(app, &app.wait(app.home().grants(known))?, session_options)
}

/// Creates a session for driving runs that were started with the permissions in `grants`.
///
/// # Errors
/// Returns an error if the configuration is invalid or [`Session::new`] fails.
pub(crate) fn session_with(
    app: &App,
    grants: &BTreeMap<String, Vec<String>>,
    session_options: &SessionOptions,
) -> Result<(Settings, Session), Failure> {
    let session_options = session_options.with_grants(grants);
    let settings = session_options.settings(app.config()?.settings());
    let session = Session::new(app, &settings, &session_options)?;
    Ok((settings, session))
}

/// Checks that every secret in the definition of `known` has a value.
///
/// # Errors
/// Returns an error if a secret has no value, or if the definition is missing from the store or
/// cannot run here.
pub(crate) fn check_secrets(session: &Session, settings: &Settings, known: &KnownRun) -> Result<(), Failure> {
    let definition = session.wait(session.executor().definition(known))?;
    host::check_secrets(settings, &definition)
}
