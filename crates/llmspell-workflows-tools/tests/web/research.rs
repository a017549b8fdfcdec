//! In a chain of search, scraping, summary and analysis, each tool accepts the previous tool's
//! result as workflows reference it.

use llmspell_workflows_tools::standard;
use serde_json::json;

use crate::support::{Reply, Server, call};

const ARTICLE: &str = r#"<html><body><h1>Solar power</h1><nav>Menu</nav><div class="article-body">
    <p>Solar power had a wonderful year. Grace Hopper says that solar panels are a great success.</p>
    <p>The weather was mild on Tuesday.</p></div></body></html>"#;

#[tokio::test]
async fn results_can_be_passed_from_tool_to_tool() {
    let server = Server::start(|request| {
        if !request.target.starts_with("/res/v1/web/search") {
            return Reply::ok("text/html; charset=utf-8", ARTICLE);
        }
        let url = format!("http://{}/article", request.header("host"));
        Reply::json(&json!({"web": {"results": [{"title": "Solar", "url": url, "description": "…"}]}}))
    })
    .await;
    let mut policy = server.policy();
    let brave = json!({"endpoint": server.url(""), "api_key": "k3y"});
    policy.search = serde_json::from_value(json!({"providers": {"brave": brave}})).unwrap();
    let tools = standard(policy.into()).unwrap();

    let search = call(&tools, "web_search", json!({"input": "solar power", "max_results": 10})).await.unwrap();
    let selectors = json!({"title": "h1", "content": ".article-body"});
    let page = json!({"input": search["results"][0]["url"], "selectors": selectors});
    let extract = call(&tools, "web_scraper", page).await.unwrap();
    assert_eq!(extract["title"], "Solar power");
    let text = json!({"input": extract["content"], "max_length": 100});
    let summarize = call(&tools, "text_summarizer", text).await.unwrap();
    let operations = json!(["sentiment", "entities", "keywords"]);
    let summary = json!({"input": summarize["result"], "operations": operations});
    let analyze = call(&tools, "sentiment_analyzer", summary).await.unwrap();
    assert_eq!(analyze["sentiment"]["label"], "positive");
    assert_eq!(analyze["entities"][0]["text"], "Grace Hopper");
}
