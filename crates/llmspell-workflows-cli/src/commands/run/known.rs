//! Runs that a command goes on with, or makes new ones of.

use llmspell_workflows_advanced::KnownRun;

use super::{Session, Stay};
use crate::{App, Failure, config::Settings, host};

/// The run that `run` names, and what drives it for one command.
///
/// # Errors
/// There is no such run, the configuration is wrong, or as [`Session::new`].
pub(crate) fn prepare(app: &App, run: &str, stay: &Stay) -> Result<(KnownRun, Settings, Session), Failure> {
    let settings = app.config()?.settings().clone();
    let known = app.wait(app.home().find(run))?;
    let session = Session::new(app, &settings, stay)?;
    Ok((known, settings, session))
}

/// That every secret that the definition of `known` names has a value.
///
/// # Errors
/// One has none, or the definition is not there.
pub(crate) fn check_secrets(app: &App, settings: &Settings, known: &KnownRun) -> Result<(), Failure> {
    let definition = app.wait(app.home().definition(&known.summary.definition))?;
    host::check_secrets(settings, &definition)
}
