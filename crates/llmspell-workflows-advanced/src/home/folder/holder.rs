//! The file next to a journal's lock that names the lock's holder and the port for notifying
//! it.

use std::{fs, path::Path};

use llmspell_workflows_state::disk::{LockAttempt, acquire_or_identify, write_private_file};
use serde_json::{Value, json};

use super::super::{Contact, Holder};
use crate::ExecutorError;

const HOLDER: &str = "holder.json";

/// Writes the holder file of the journal in `folder`, with this process as the holder and `contact` as the port.
pub(super) fn announce(folder: &Path, contact: Contact) -> Result<(), ExecutorError> {
    let path = folder.join(HOLDER);
    let command = std::env::args().next().unwrap_or_default();
    let port = match contact {
        Contact::Port(port) => Some(port),
        Contact::None => None,
    };
    let holder = json!({"pid": std::process::id(), "command": command, "port": port}).to_string();
    write_private_file(&path, holder).map_err(|error| ExecutorError::file(&path, &error))
}

/// Returns the holder of the journal in `folder`; `is_held` checks the lock.
pub(super) fn holder(
    folder: &Path,
    is_held: impl Fn() -> Result<bool, ExecutorError>,
) -> Result<Option<Holder>, ExecutorError> {
    let free = || Ok::<_, ExecutorError>((!is_held()?).then_some(()));
    Ok(match acquire_or_identify(free, || read_holder(folder))? {
        LockAttempt::Acquired(()) => None,
        LockAttempt::HeldBy(holder) => Some(holder_or_unknown(holder)),
    })
}

/// Returns the id and the description of the last process to lease the journal.
pub(super) fn read_holder(folder: &Path) -> Option<(u32, String)> {
    let file = read_file(folder)?;
    let pid = u32::try_from(file["pid"].as_u64()?).ok()?;
    Some((pid, format!("process {pid} ({})", file["command"].as_str().unwrap_or_default())))
}

pub(super) fn holder_or_unknown(holder: Option<String>) -> Holder {
    Holder(holder.unwrap_or_else(|| "an unknown process".to_owned()))
}

/// Returns the contact of the process that holds the journal in `folder`.
pub(super) fn contact(folder: &Path) -> Contact {
    let port = read_file(folder).and_then(|file| file["port"].as_u64()?.try_into().ok());
    port.map_or(Contact::None, Contact::Port)
}

/// Returns whether the holder of the journal in `folder` needs the journal only briefly.
pub(super) fn is_brief(folder: &Path) -> bool {
    read_file(folder).is_none_or(|file| file["port"].is_null())
}

fn read_file(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join(HOLDER)).ok()?).ok()
}
