//! Copies of a home, and observers that read a home from outside.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use llmspell_workflows_advanced::{ExecutorError, FolderHome, Home};
use llmspell_workflows_basic::sync::lock;
use serde_json::Value;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{
    climb::Atlas,
    folder::Folder,
    lab::Lab,
    ledger::Ledger,
    model::{Model, Progress},
    verb::Deed,
    view::{self, View},
};

/// A copy of a home at some point in time, with the model and the ledger as of that time.
pub(super) struct Backup {
    folder: Folder,
    model: Model,
    ledger: Ledger,
    documents: BTreeMap<Uuid, Arc<Value>>,
}

/// Reads a home from outside the processes.
pub(super) struct Observer {
    home: Arc<dyn Home>,
    runtime: Runtime,
}

impl Observer {
    pub(super) fn new(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
        Self { home: FolderHome::new(folder).into(), runtime }
    }

    pub(super) fn look(&self) -> Result<View, ExecutorError> {
        self.runtime.block_on(View::of(&self.home))
    }
}

impl Lab<'_> {
    /// Checks that a backup is complete or does not exist.
    pub(super) fn check_backup(&mut self, deed: &Deed, progress: &Progress, atlas: &Atlas) -> Vec<String> {
        let to = deed.to.as_ref().expect("a backup has a folder");
        if !to.exists() {
            return progress.committed.then(|| "the backup is missing".to_owned()).into_iter().collect();
        }
        let copy = Folder::copy_of(to);
        drop(std::fs::remove_dir_all(to));
        let moved = match copy {
            Ok(copy) => copy,
            Err(error) => return vec![error.to_string()],
        };
        let observer = Observer::new(moved.path());
        let (model, ledger) = (self.model.clone(), lock(&self.ledger).clone());
        let mut problems = match observer.look() {
            Ok(view) => {
                let mut problems = model.clone().judge(&view, atlas.ladders(), &ledger);
                let here = self.observer.as_ref().and_then(|observer| observer.look().ok()).unwrap_or_default();
                for (id, seen) in here.roots() {
                    let copied = view.runs.get(&id).map(|copied| &copied.export);
                    if !copied.is_some_and(|copied| view::is_continued(copied, &seen.export)) {
                        let (copied, here) = (copied.map(view::records), view::records(&seen.export));
                        problems.push(format!("run {id} is {copied:?}, but {here} in the home"));
                    }
                }
                problems
            }
            Err(error) => vec![error.to_string()],
        };
        problems.iter_mut().for_each(|problem| *problem = format!("in the backup: {problem}"));
        self.backup = Some(Backup { folder: moved, model, ledger, documents: self.documents.clone() });
        problems
    }

    /// Replaces the home with its backup, if there is one. All processes exit.
    pub(super) fn restore(&mut self) -> bool {
        let Some(Backup { folder, model, ledger, documents }) = self.backup.take() else { return false };
        self.exit_all();
        self.observer = None;
        self.story.push("the backup replaces the home".to_owned());
        (self.folder, self.model, self.documents) = (folder, model, documents);
        *lock(&self.ledger) = ledger;
        let observer = self.observer.insert(Observer::new(self.folder.path()));
        self.view = observer.look().unwrap_or_default();
        true
    }
}
