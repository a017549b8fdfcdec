use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use async_trait::async_trait;
use llmspell_workflows_state::{
    disk::{Disk, SystemDisk, blocking, private_file},
    store::{DefinitionStore, StoreError},
};
use uuid::Uuid;

/// A folder that stores each definition in a readable file called `HASH.json`.
#[derive(Debug, Clone)]
pub(super) struct Definitions {
    folder: PathBuf,
}

impl Definitions {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &PathBuf {
        &self.folder
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}.json"))
    }

    fn put_now(&self, hash: &str, text: &str) -> io::Result<()> {
        let path = self.path(hash);
        // Write the file unless it already has this content; a damaged file is replaced.
        if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
            return Ok(());
        }
        SystemDisk.create_dir(&self.folder)?;
        // Write to a temporary name first so that a partial file is never called `HASH.json`.
        let draft = self.folder.join(format!(".{hash}.{}", Uuid::now_v7()));
        let mut file = private_file().write(true).create_new(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        fs::File::open(&self.folder)?.sync_all()
    }

    fn get_now(&self, hash: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path(hash)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => text.map(Some),
        }
    }

    pub(super) fn hashes_now(&self) -> io::Result<Vec<String>> {
        let names = SystemDisk.list(&self.folder)?;
        // Files with names that start with a dot are still being written.
        let hash = |name: &String| Some(name.strip_suffix(".json")?.to_owned()).filter(|hash| !hash.starts_with('.'));
        Ok(names.iter().filter_map(hash).collect())
    }

    fn remove_now(&self, hash: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    async fn run_blocking<T: Send + 'static>(
        &self,
        path: PathBuf,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let own = self.clone();
        let done = blocking(move || work(&own)).await;
        done.map_err(|error| StoreError::Io { path, message: error.to_string() })
    }
}

#[async_trait]
impl DefinitionStore for Definitions {
    async fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError> {
        let (path, hash, definition) = (self.path(hash), hash.to_owned(), definition.to_owned());
        self.run_blocking(path, move |own| own.put_now(&hash, &definition)).await
    }

    async fn get(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let (path, hash) = (self.path(hash), hash.to_owned());
        self.run_blocking(path, move |own| own.get_now(&hash)).await
    }

    async fn hashes(&self) -> Result<Vec<String>, StoreError> {
        self.run_blocking(self.folder.clone(), Self::hashes_now).await
    }

    async fn remove(&self, hash: &str) -> Result<bool, StoreError> {
        let (path, hash) = (self.path(hash), hash.to_owned());
        self.run_blocking(path, move |own| own.remove_now(&hash)).await
    }
}
