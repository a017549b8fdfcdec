//! A workflow that searches for a page, reads it, and summarizes and analyzes its text.

use std::collections::BTreeMap;

use llmspell_workflows_basic::{
    Defined, ErrorStrategy, ExecutionContext, SequentialWorkflow, WorkflowInput, activity::Activities,
};
use llmspell_workflows_tests::{engine, html, json_response, policy, serve, yaml};
use serde_json::json;

fn research() -> SequentialWorkflow {
    SequentialWorkflow::builder("research_assistant")
        .add_step(
            "search",
            "web_search",
            json!({
                "input": "{{query}}",
                "max_results": 10
            }),
        )
        .add_step(
            "extract",
            "web_scraper",
            json!({
                "input": "{{search.results[0].url}}",
                "selectors": {
                    "title": "h1",
                    "content": ".article-body"
                }
            }),
        )
        .add_step(
            "summarize",
            "text_summarizer",
            json!({
                "input": "{{extract.result.content}}",
                "max_length": 500
            }),
        )
        .add_step(
            "analyze",
            "sentiment_analyzer",
            json!({
                "input": "{{summarize.result}}",
                "operations": ["sentiment", "entities", "keywords"]
            }),
        )
        .with_error_handling(ErrorStrategy::Retry(3))
        .build()
        .unwrap()
}

#[test]
fn rust_and_yaml_produce_the_same_definition() {
    let engine = engine(policy(None, None), Activities::new()).build();
    let written = yaml("research_assistant.yaml", &engine);
    assert_eq!(written, *research().definition());
    assert_eq!(written.hash(), research().definition().hash());
}

#[tokio::test]
async fn each_step_processes_the_output_of_the_previous_step() {
    let article = "<p>Durable workflows are a wonderful relief. A crash loses nothing, and every step runs once.</p>\
                   <p>Teams in New York love them. The old scripts are gone.</p>";
    // The search result contains the address of the page server, which is known only after the
    // server has started.
    let pages = BTreeMap::from([("/durable".to_owned(), html("Durable workflows", article))]);
    let site = serve(pages).await;
    let found = json!({"results": [{"title": "Durable", "url": format!("http://{site}/durable"), "content": "all about it", "score": 0.9}]});
    let search = serve(BTreeMap::from([("/search".to_owned(), json_response(&found))])).await;

    let mut policy = policy(Some(search), None);
    policy.hosts.push(site.to_string());
    let engine = engine(policy, Activities::new()).build();
    let input = WorkflowInput::new(json!({"query": "durable workflows"}));
    let output = research().execute(input.clone(), ExecutionContext::new(engine.clone())).await.unwrap();

    assert_eq!(output.execution_path, ["search", "extract", "summarize", "analyze"]);
    assert_eq!(output.step("extract").unwrap().output.as_ref().unwrap()["title"], "Durable workflows");
    assert_eq!(output.final_result["sentiment"]["label"], "positive");
    let entities = output.final_result["entities"].to_string();
    assert!(entities.contains("New York"), "{entities}");

    let from_yaml = engine.run(yaml("research_assistant.yaml", &engine), input).await.unwrap();
    assert_eq!(*from_yaml.output, output.final_result);
}

#[tokio::test]
async fn a_missing_page_fails_the_step_that_requested_it() {
    let site = serve(BTreeMap::new()).await;
    let found =
        json!({"results": [{"title": "Gone", "url": format!("http://{site}/gone"), "content": "", "score": 0.1}]});
    let search = serve(BTreeMap::from([("/search".to_owned(), json_response(&found))])).await;
    let mut policy = policy(Some(search), None);
    policy.hosts.push(site.to_string());
    let engine = engine(policy, Activities::new()).build();
    let error = research()
        .execute(WorkflowInput::new(json!({"query": "gone"})), ExecutionContext::new(engine))
        .await
        .unwrap_err();
    let error = error.step_error().unwrap();
    assert_eq!(error.path.as_deref(), Some("/main/extract"));
    assert_eq!(error.details.as_ref().unwrap()["status"], 404);
}
