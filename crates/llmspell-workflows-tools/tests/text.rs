//! Tests that call the text tools through the registry.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use llmspell_workflows_tools::{Policy, Registry, ToolContext, standard};
use serde_json::{Value, json};

const NEWS: &str = "Solar power had a wonderful year. Grace Hopper of Acme Energy said on March 3, 2025 that panels \
    are cheaper than ever, at $0.20 a watt. The launch party was pleasant. Critics at https://example.com/solar \
    disagree. Cheap solar panels, they say, need good batteries, and solar panels without batteries disappoint. \
    Write to press@example.com.";

fn tools() -> Registry {
    standard(Policy::default().into()).unwrap()
}

async fn call(tool: &str, parameters: Value) -> Value {
    let tools = tools();
    let result = tools.call(tool, parameters, &ToolContext::default()).await.unwrap();
    assert_eq!(tools.check_result(tool, &result).unwrap(), []);
    result
}

#[tokio::test]
async fn text_summarizer_returns_the_summary_and_its_lengths() {
    let summary = call("text_summarizer", json!({"input": NEWS, "max_length": 130})).await;
    let text = summary["result"].as_str().unwrap();
    assert!(text.starts_with("Solar power had a wonderful year."), "{text}");
    assert!(text.chars().count() <= 130, "{text}");
    assert_eq!(summary["length"], text.chars().count());
    assert_eq!(summary["original_length"], NEWS.chars().count());
    assert_eq!(summary["sentences_total"], 6);
}

#[tokio::test]
async fn a_summary_can_be_passed_to_the_analyzer() {
    let summary = call("text-summarizer", json!({"input": NEWS})).await;
    let operations = json!(["sentiment", "entities", "keywords"]);
    let analysis = call("sentiment_analyzer", json!({"input": summary["result"], "operations": operations})).await;
    assert_eq!(analysis["sentiment"]["label"], "positive");
    let keywords = analysis["keywords"].as_array().unwrap();
    assert!(keywords.iter().any(|keyword| keyword["text"] == "solar panels"), "{keywords:?}");
    let entities: Vec<_> = analysis["entities"].as_array().unwrap().iter().map(|e| (&e["type"], &e["text"])).collect();
    for expected in [("name", "Grace Hopper of Acme Energy"), ("date", "March 3, 2025"), ("money", "$0.20")] {
        assert!(entities.contains(&(&json!(expected.0), &json!(expected.1))), "{expected:?} in {entities:?}");
    }
}

#[tokio::test]
async fn only_the_requested_analyses_are_returned() {
    for (operations, expected) in [(json!(["keywords"]), vec!["keywords"]), (Value::Null, vec!["sentiment"])] {
        let mut parameters = json!({"input": NEWS});
        if operations != Value::Null {
            parameters["operations"] = operations;
        }
        let analysis = call("sentiment_analyzer", parameters).await;
        assert_eq!(analysis.as_object().unwrap().keys().collect::<Vec<_>>(), expected);
    }
    let analysis =
        call("sentiment_analyzer", json!({"input": NEWS, "operations": ["keywords"], "max_keywords": 2})).await;
    assert_eq!(analysis["keywords"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn empty_text_is_not_an_error() {
    assert_eq!(call("text_summarizer", json!({"input": ""})).await["result"], "");
    let all = json!({"input": "", "operations": ["sentiment", "entities", "keywords"]});
    assert_eq!(call("sentiment_analyzer", all).await["sentiment"]["label"], "neutral");
}
