//! A temporary directory with the standard tools.

use std::path::Path;
use std::sync::Arc;

use llmspell_workflows_tools::{Policy, Registry, ToolContext, ToolError, standard};
use serde_json::Value;

/// A temporary directory whose subdirectory `root` is the only root, with tools that use it.
pub(crate) struct TestDirectory {
    folder: tempfile::TempDir,
    pub(crate) tools: Registry,
}

impl TestDirectory {
    /// Creates the directory and its tools, after `change` has modified the default policy.
    pub(crate) fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let mut policy = Policy::default();
        policy.working_directory = Some(root);
        change(&mut policy);
        let tools = standard(Arc::new(policy)).unwrap();
        Self { folder, tools }
    }

    /// Returns the path of the root.
    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    /// Creates a file in the root, together with its parent directories.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Returns the text of a file in the root.
    pub(crate) fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Returns the names of the entries of a directory in the root, sorted.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        names(&self.root().join(path))
    }

    /// Calls a tool, and checks that the result matches the tool's result schema.
    pub(crate) async fn call(&self, tool: &str, parameters: Value) -> Result<Value, ToolError> {
        let result = self.tools.call(tool, parameters, &ToolContext::default()).await?;
        assert_eq!(self.tools.check_result(tool, &result).unwrap(), [], "{result}");
        Ok(result)
    }

    /// Calls a tool that is expected to fail, and returns the error code.
    pub(crate) async fn error_code(&self, tool: &str, parameters: Value) -> &'static str {
        match self.call(tool, parameters.clone()).await {
            Ok(result) => panic!("{parameters} returned {result}"),
            Err(error) => error.code,
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
