//! A workflow that filters a table and writes a report to a temporary folder.

use llmspell_workflows_basic::{WorkflowInput, activity::Activities, engine::StepStatus};
use llmspell_workflows_tests::{engine, policy, yaml};
use serde_json::{Value, json};

const TABLE: &str = "order,region,days\n1,north,3\n2,south,20\n3,north,31\n";

#[tokio::test]
async fn the_report_is_written_only_if_there_are_late_orders() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(policy(None, Some(folder.path())), Activities::new()).build();
    let definition = yaml("csv_job.yaml", &engine);
    let finished = engine.run(definition.clone(), WorkflowInput::new(json!({"table": TABLE}))).await.unwrap();
    assert!(finished.error.is_none(), "{:?}", finished.error);
    let text = std::fs::read_to_string(folder.path().join("late.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let orders: Vec<_> = written.as_array().unwrap().iter().map(|row| row["order"].to_string()).collect();
    assert_eq!(orders.len(), 2, "{written}");

    std::fs::remove_file(folder.path().join("late.json")).unwrap();
    let input = WorkflowInput::new(json!({"table": TABLE, "days": 99}));
    let finished = engine.run(definition, input).await.unwrap();
    let report = finished.step("report").unwrap();
    assert_eq!(report.status, StepStatus::Skipped);
    assert_eq!(report.skip_reason.as_ref().unwrap().code, "condition_false");
    assert!(!folder.path().join("late.json").exists());
}
