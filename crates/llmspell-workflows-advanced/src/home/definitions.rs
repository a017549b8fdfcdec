//! What runs are pinned to.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_state::disk::{Disk, SystemDisk};
use uuid::Uuid;

use super::Home;
use crate::ExecutorError;

impl Home {
    /// The definition of this hash.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn definition(&self, hash: &str) -> Result<Definition, ExecutorError> {
        let path = self.definition_path(hash);
        if self.memory.is_some() {
            let kept = self.stores()?.definitions.get(hash)?;
            let kept = kept.ok_or_else(|| ExecutorError::file(&path, &io::ErrorKind::NotFound.into()))?;
            return serde_json::from_value(kept).map_err(|error| ExecutorError::file(&path, &error.into()));
        }
        let text = fs::read(&path).map_err(|error| ExecutorError::file(&path, &error))?;
        serde_json::from_slice(&text)
            .map_err(|error| ExecutorError::file(&path, &io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Keeps `definition` for the runs that are pinned to it; returns its hash.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, definition: &Definition) -> Result<String, ExecutorError> {
        let hash = definition.hash();
        self.keep_as(&hash, definition)?;
        Ok(hash)
    }

    /// The same for one whose hash is known.
    pub(crate) fn keep_as(&self, hash: &str, definition: &Definition) -> Result<(), ExecutorError> {
        let path = self.definition_path(hash);
        if self.memory.is_some() {
            let value = serde_json::to_value(definition).map_err(|error| ExecutorError::file(&path, &error.into()))?;
            return Ok(self.stores()?.definitions.put(hash, &value)?);
        }
        let text = serde_json::to_vec(definition).map_err(|error| ExecutorError::file(&path, &error.into()))?;
        // One that is not whole is written again.
        if fs::read(&path).is_ok_and(|kept| kept == text) {
            return Ok(());
        }
        let kept = || {
            let folder = path.parent().expect("it is in the home");
            SystemDisk.create_dir(folder)?;
            // Under a name of its own first, so that half of it is never found under its hash.
            let draft = folder.join(format!(".{hash}.{}", Uuid::now_v7()));
            let mut file = fs::File::create_new(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            fs::File::open(folder)?.sync_all()
        };
        kept().map_err(|error| ExecutorError::file(&path, &error))
    }

    fn definition_path(&self, hash: &str) -> PathBuf {
        self.path.join("definitions").join(format!("{hash}.json"))
    }
}
