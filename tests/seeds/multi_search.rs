//! A workflow that searches several sources concurrently, and merges the results with a custom function.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
};

use llmspell_workflows_basic::{
    AggregationStrategy, Defined, ExecutionContext, ParallelErrorMode, ParallelWorkflow, SequentialWorkflow, StepError,
    WorkflowInput,
    activity::{Activities, function},
};
use llmspell_workflows_tests::{engine, json_response, policy, serve, yaml};
use serde_json::{Value, json};

fn search(name: &str, provider: &str) -> Box<SequentialWorkflow> {
    let step = json!({"input": "{{query}}", "provider": provider, "max_results": 10});
    Box::new(SequentialWorkflow::builder(name).add_step("search", "web_search", step).build().unwrap())
}

fn multi_search() -> ParallelWorkflow {
    ParallelWorkflow::builder("multi_search")
        .add_required_branch("google", search("google_search", "google"))
        .add_branch("bing", search("bing_search", "bing"))
        .add_branch("duckduckgo", search("ddg_search", "duckduckgo"))
        .add_branch(
            "internal",
            Box::new(
                SequentialWorkflow::builder("internal_search")
                    .add_step(
                        "vector",
                        "semantic_search",
                        json!({
                            "input": "{{query}}",
                            "collection": "knowledge_base",
                            "limit": 10
                        }),
                    )
                    .add_step(
                        "database",
                        "database_connector",
                        json!({
                            "query": "SELECT * FROM documents WHERE content LIKE ? LIMIT 10",
                            "parameters": ["%{{query}}%"]
                        }),
                    )
                    .build()
                    .unwrap(),
            ),
        )
        .with_max_concurrency(4)
        .with_aggregation(AggregationStrategy::Custom(Box::new(|results| {
            let mut all_results = Vec::new();
            let mut seen_urls = HashSet::new();
            for branch_result in results {
                let data = branch_result.result.unwrap_or_default();
                for item in data["results"].as_array().into_iter().flatten() {
                    if item["url"].as_str().is_some_and(|url| seen_urls.insert(url.to_owned())) {
                        all_results.push(item.clone());
                    }
                }
            }
            all_results.sort_by(|a, b| {
                let score = |item: &Value| item["score"].as_f64().unwrap_or(0.0);
                score(b).partial_cmp(&score(a)).unwrap_or(Ordering::Equal)
            });
            Ok(json!(all_results))
        })))
        .with_error_mode(ParallelErrorMode::BestEffort)
        .build()
        .unwrap()
}

/// Simulates the knowledge base and the database, which are not built in.
fn internal() -> Activities {
    let mut activities = Activities::new();
    activities.register(
        "tool",
        "semantic_search",
        function(|call| async move {
            assert_eq!(call.input()["collection"], "knowledge_base");
            Ok(json!({"results": []}))
        }),
    );
    activities.register("tool", "database_connector", function(|call| async move {
        assert_eq!(call.input()["parameters"], json!(["%rust%"]), "the query is a bound parameter");
        Ok(json!({"results": [{"url": "doc:1", "title": "ours", "score": 5.0}, {"url": "https://b.example/", "score": 0.1}]}))
    }));
    activities
}

#[test]
fn rust_and_yaml_produce_the_same_definition() {
    let workflow = multi_search();
    let engine = engine(policy(None, None), internal()).functions(workflow.functions().clone()).build();
    let written = yaml("multi_search.yaml", &engine);
    assert_eq!(written, *workflow.definition());
    assert_eq!(written.hash(), workflow.definition().hash());
}

#[tokio::test]
async fn results_are_merged_and_failed_sources_are_left_out() {
    let google = json!({"items": [
        {"title": "A", "link": "https://a.example/", "snippet": "a"},
        {"title": "B", "link": "https://b.example/", "snippet": "b"},
    ]});
    // Bing uses `/v7.0/search` and DuckDuckGo `/html/`. The server has neither page, so both branches fail.
    let server = serve(BTreeMap::from([("/customsearch/v1".to_owned(), json_response(&google))])).await;
    let engine = engine(policy(Some(server), None), internal()).build();
    let input = WorkflowInput::new(json!({"query": "rust"}));
    let output = multi_search().execute(input, ExecutionContext::new(engine)).await.unwrap();
    let urls: Vec<_> =
        output.final_result.as_array().unwrap().iter().map(|item| item["url"].as_str().unwrap()).collect();
    assert_eq!(urls[0], "doc:1", "the best score comes first");
    assert_eq!(urls.iter().collect::<HashSet<_>>().len(), 3, "each page occurs once: {urls:?}");
    let failed = |branch: &str| output.step(&format!("/main/{branch}")).unwrap().error.clone().unwrap();
    assert_eq!(failed("bing").path.as_deref(), Some("/main/bing/search"));
    assert_eq!(failed("duckduckgo").details.unwrap()["status"], 404);
}

#[tokio::test]
async fn a_missing_required_source_fails_the_workflow() {
    let server = serve(BTreeMap::new()).await;
    let engine = engine(policy(Some(server), None), internal()).build();
    let input = WorkflowInput::new(json!({"query": "rust"}));
    let error = multi_search().execute(input, ExecutionContext::new(engine)).await.unwrap_err();
    let error: &StepError = error.step_error().unwrap();
    assert_eq!(error.code, "required_branch_failed");
    assert!(error.message.contains("`google`"), "{error}");
}
