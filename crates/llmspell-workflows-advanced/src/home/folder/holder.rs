//! Who holds a journal, and where it can be reached: said in a file beside the lock.

use std::{fs, path::Path};

use llmspell_workflows_state::disk::{LockAttempt, acquire_or_identify};
use serde_json::{Value, json};

use super::super::{Contact, Holder};
use crate::ExecutorError;

const HOLDER: &str = "holder.json";

/// Says that this process holds the journal in `folder`, and where it answers.
pub(super) fn announce(folder: &Path, contact: Contact) -> Result<(), ExecutorError> {
    let path = folder.join(HOLDER);
    let command = std::env::args().next().unwrap_or_default();
    let port = match contact {
        Contact::Port(port) => Some(port),
        Contact::None => None,
    };
    let holder = json!({"pid": std::process::id(), "command": command, "port": port}).to_string();
    fs::write(&path, holder).map_err(|error| ExecutorError::file(&path, &error))
}

/// Who holds the journal in `folder`; `is_held` looks at the lock itself.
pub(super) fn holder(
    folder: &Path,
    is_held: impl Fn() -> Result<bool, ExecutorError>,
) -> Result<Option<Holder>, ExecutorError> {
    let free = || Ok::<_, ExecutorError>((!is_held()?).then_some(()));
    Ok(match acquire_or_identify(free, || announced(folder))? {
        LockAttempt::Acquired(()) => None,
        LockAttempt::HeldBy(holder) => Some(named(holder)),
    })
}

/// The process that last said that it holds the journal, and its own words for itself.
pub(super) fn announced(folder: &Path) -> Option<(u32, String)> {
    let says = says(folder)?;
    let pid = u32::try_from(says["pid"].as_u64()?).ok()?;
    Some((pid, format!("process {pid} ({})", says["command"].as_str().unwrap_or_default())))
}

pub(super) fn named(holder: Option<String>) -> Holder {
    Holder(holder.unwrap_or_else(|| "a process that does not say who it is".to_owned()))
}

/// Where the holder of the journal in `folder` can be reached.
pub(super) fn contact(folder: &Path) -> Contact {
    let port = says(folder).and_then(|says| says["port"].as_u64()?.try_into().ok());
    port.map_or(Contact::None, Contact::Port)
}

fn says(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join(HOLDER)).ok()?).ok()
}
