//! A workflow that collects a user's data from several sources concurrently, and leaves out failed
//! sources.

use std::time::Duration;

use llmspell_workflows_basic::{
    AggregationStrategy, ErrorStrategy, ExecutionContext, ParallelErrorMode, ParallelWorkflow, SequentialWorkflow,
    StepError, WorkflowInput,
    activity::{Activities, function},
};
use llmspell_workflows_tests::{engine, policy};
use serde_json::json;

fn enrichment() -> ParallelWorkflow {
    ParallelWorkflow::builder("user_enrichment")
        .add_branch(
            "social",
            Box::new(
                SequentialWorkflow::builder("social_lookup")
                    .add_step(
                        "twitter",
                        "api_tester",
                        json!({
                            "input": "https://api.twitter.com/users/{{user.handle}}",
                            "method": "GET"
                        }),
                    )
                    .add_step(
                        "linkedin",
                        "web_scraper",
                        json!({
                            "input": "https://linkedin.com/in/{{user.linkedin_id}}",
                            "selectors": {"title": ".pv-top-card__title", "company": ".pv-top-card__subtitle"}
                        }),
                    )
                    .build()
                    .unwrap(),
            ),
        )
        .add_branch(
            "financial",
            Box::new(
                SequentialWorkflow::builder("financial_check")
                    .add_step(
                        "credit",
                        "api_tester",
                        json!({
                            "input": "https://api.creditbureau.com/score",
                            "method": "POST",
                            "body": {"ssn": "{{user.ssn_encrypted}}"}
                        }),
                    )
                    .build()
                    .unwrap(),
            ),
        )
        .add_branch(
            "public_records",
            Box::new(
                SequentialWorkflow::builder("public_search")
                    .add_step(
                        "property",
                        "database_connector",
                        json!({
                            "query": "SELECT * FROM property_records WHERE owner_name = ?",
                            "parameters": ["{{user.full_name}}"]
                        }),
                    )
                    .add_step(
                        "court",
                        "web_search",
                        json!({
                            "input": "{{user.full_name}} court records {{user.state}}",
                            "max_results": 5
                        }),
                    )
                    .with_error_handling(ErrorStrategy::Continue)
                    .build()
                    .unwrap(),
            ),
        )
        .with_max_concurrency(3)
        .with_aggregation(AggregationStrategy::AllSuccess)
        .with_error_mode(ParallelErrorMode::BestEffort)
        .with_timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

/// Simulates internet services in place of the built-in tools with these names.
fn services() -> Activities {
    let mut activities = Activities::new();
    activities.register(
        "tool",
        "api_tester",
        function(|call| async move {
            match call.input()["input"].as_str() {
                Some("https://api.twitter.com/users/ada") => Ok(json!({"followers": 3})),
                _ => Err(StepError::transient("refused", "the credit bureau refused the request").retryable(false)),
            }
        }),
    );
    activities.register(
        "tool",
        "web_scraper",
        function(|call| async move { Ok(json!({"read": call.input()["input"]})) }),
    );
    activities.register(
        "tool",
        "database_connector",
        function(|call| async move { Ok(json!({"owner": call.input()["parameters"][0]})) }),
    );
    activities.register(
        "tool",
        "web_search",
        function(|call| async move { Ok(json!({"asked": call.input()["input"]})) }),
    );
    activities
}

#[tokio::test]
async fn results_of_failed_sources_are_null() {
    let engine = engine(policy(None, None), services()).build();
    let user =
        json!({"handle": "ada", "linkedin_id": "ada1", "ssn_encrypted": "x", "full_name": "Ada L", "state": "OR"});
    let context = ExecutionContext::new(engine);
    let output = enrichment().execute(WorkflowInput::new(json!({"user": user})), context).await.unwrap();
    let sources = output.final_result.as_array().unwrap();
    let listed: Vec<_> = sources.iter().filter(|source| !source.is_null()).collect();
    assert_eq!(listed, [&json!({"read": "https://linkedin.com/in/ada1"}), &json!({"asked": "Ada L court records OR"})]);
    assert!(listed.len() < sources.len(), "{sources:?}");
    let refused = output.step("/main/financial/credit").unwrap().error.clone().unwrap();
    assert_eq!((refused.code.as_ref(), refused.attempt), ("refused", 1));
}
