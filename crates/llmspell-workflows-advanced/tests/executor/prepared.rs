//! The cache of prepared definitions.

use std::{fs, sync::Arc};

use llmspell_workflows_advanced::{Executor, StartOptions};
use llmspell_workflows_basic::{
    WorkflowInput,
    model::{Definition, Step},
};
use serde_json::json;

use crate::lab::{Lab, finished};

/// A run must not start unless its definition is stored.
#[tokio::test]
async fn run_starts_only_after_its_definition_is_stored() {
    let lab = Lab::new();
    let definitions = lab.folder.path().join("definitions");
    let executor = Executor::new(lab.home(), lab.engine());
    let definition = Arc::new(Definition::sequence("one", [Step::function("a", "echo", json!(1))]));
    let start = || executor.start(definition.clone(), WorkflowInput::new(json!({})), StartOptions::default());
    fs::write(&definitions, "in the way").unwrap();
    start().await.unwrap_err();
    fs::remove_file(&definitions).unwrap();
    let run = start().await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!(1));
    assert!(definitions.join(format!("{}.json", definition.hash())).exists());
}
