//! `web_searcher` sends requests as each provider documents them, and reads the responses.

use llmspell_workflows_tools::{Policy, Registry, ToolErrorClass, standard};
use serde_json::{Value, json};

use crate::golden::{self, Golden};
use crate::support::{RecordedRequest, Reply, Server, call};

/// Returns a registry whose policy sets the endpoint of `provider` to `server`, and a key if the provider needs a key.
fn tools(server: &Server, provider: &str) -> Registry {
    let mut settings = json!({"endpoint": server.url("")});
    if provider != "duckduckgo" {
        settings["api_key"] = "k3y".into();
    }
    if provider == "google" {
        settings["engine_id"] = "engine".into();
    }
    let mut policy = server.policy();
    policy.search = serde_json::from_value(json!({"providers": {provider: settings}})).unwrap();
    standard(policy.into()).unwrap()
}

/// Searches with `provider`, whose server responds with `reply`; returns the request and the results.
async fn search(provider: &str, parameters: Value, reply: Reply) -> (RecordedRequest, Value) {
    let server = Server::start(move |_| reply.clone()).await;
    let mut parameters = parameters;
    parameters["input"] = "rust & \"tokio\"".into();
    let result = call(&tools(&server, provider), "web_search", parameters).await.unwrap();
    assert_eq!((&result["provider"], &result["query"]), (&json!(provider), &json!("rust & \"tokio\"")));
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    (requests.remove(0), result["results"].clone())
}

#[tokio::test]
async fn requests_and_responses_match_each_providers_documentation() {
    for golden in golden::all() {
        let Golden { provider, parameters, request, headers, body, response, results } = golden;
        let (got, found) = search(provider, parameters.clone(), Reply::json(&response)).await;
        assert_eq!((got.method.as_str(), got.target.as_str()), request, "{provider} {parameters}");
        for (name, value) in headers {
            assert_eq!(got.header(name), *value, "{name} of {provider}");
        }
        let sent: Value = serde_json::from_str(&got.body).unwrap_or_default();
        assert_eq!(sent, body, "{provider} {parameters}");
        assert_eq!(found, results, "{provider} {parameters}");
    }
}

const DUCKDUCKGO: &str = r#"<html><body>
<div class="result results_links result--ad"><a class="result__a" href="https://ads.example/">Ad</a></div>
<div class="result results_links web-result"><h2 class="result__title">
  <a rel="nofollow" class="result__a" href="//duckduckgo.com/l/?uddg=https%3A%2F%2Ft.example%2Fa%3Fb%3Dc&amp;rut=abc">A <b>title</b></a></h2>
  <a class="result__snippet" href="x">A <b>snippet</b>.</a></div>
<div class="result results_links web-result">
  <a class="result__a" href="https://direct.example/">Direct</a></div>
</body></html>"#;

#[tokio::test]
async fn duckduckgo_results_are_read_from_its_page() {
    let parameters = json!({"safe_search": true, "language": "en-US"});
    let (request, results) = search("duckduckgo", parameters, Reply::ok("text/html; charset=UTF-8", DUCKDUCKGO)).await;
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/html/"));
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(request.body, "q=rust+%26+%22tokio%22&kp=1&kl=us-en");
    assert_eq!(
        results,
        json!([
            {"rank": 1, "title": "A title", "url": "https://t.example/a?b=c", "snippet": "A snippet.", "score": null},
            {"rank": 2, "title": "Direct", "url": "https://direct.example/", "snippet": "", "score": null},
        ])
    );
    let (_, results) = search("duckduckgo", json!({"max_results": 1}), Reply::ok("text/html", DUCKDUCKGO)).await;
    assert_eq!(results.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_search_without_results_returns_an_empty_list() {
    for (provider, reply) in [
        ("bing", Reply::json(&json!({"_type": "SearchResponse"}))),
        ("brave", Reply::json(&json!({"type": "search"}))),
        ("google", Reply::json(&json!({"searchInformation": {"totalResults": "0"}}))),
        ("serpapi", Reply::json(&json!({"error": "Google hasn't returned any results for this query."}))),
        ("duckduckgo", Reply::ok("text/html", r#"<div class="no-results">No results.</div>"#)),
    ] {
        assert_eq!(search(provider, json!({}), reply).await.1, json!([]), "{provider}");
    }
}

#[tokio::test]
async fn each_kind_of_search_failure_has_a_specific_error() {
    let challenge = r#"<form id="challenge-form"></form>"#;
    for (provider, reply, class, code) in [
        ("brave", Reply::status(401), ToolErrorClass::Configuration, "search_key_refused"),
        ("brave", Reply::status(429), ToolErrorClass::Resource, "search_quota"),
        ("brave", Reply::status(500), ToolErrorClass::Transient, "http_status"),
        ("brave", Reply::status(422), ToolErrorClass::Validation, "http_status"),
        ("brave", Reply::redirect("https://example.com/"), ToolErrorClass::Configuration, "search_endpoint_moved"),
        ("brave", Reply::ok("text/html", "<html>"), ToolErrorClass::Configuration, "search_answer_not_understood"),
        ("serpapi", Reply::json(&json!({"error": "Invalid API key."})), ToolErrorClass::Configuration, "search_failed"),
        ("duckduckgo", Reply::ok("text/html", challenge), ToolErrorClass::Resource, "search_challenged"),
        ("duckduckgo", Reply::ok("text/html", "<p>?"), ToolErrorClass::Configuration, "search_answer_not_understood"),
    ] {
        let server = Server::start(move |_| reply.clone()).await;
        let error = call(&tools(&server, provider), "web_searcher", json!({"input": "x"})).await.unwrap_err();
        assert_eq!((error.class, error.code), (class, code), "{provider}: {error}");
        assert!(!format!("{error:?}").contains("k3y"), "{error:?}");
    }
}

#[tokio::test]
async fn unsupported_provider_options_are_rejected() {
    let server = Server::start(|_| Reply::status(500)).await;
    for (provider, parameters, expected) in [
        ("tavily", json!({"search_type": "images"}), "`search_type: images`"),
        ("tavily", json!({"safe_search": true}), "`safe_search`"),
        ("tavily", json!({"language": "en"}), "`language`"),
        ("tavily", json!({"max_results": 21}), "at most 20"),
        ("google", json!({"search_type": "news"}), "`search_type: news`"),
        ("google", json!({"max_results": 11}), "at most 10"),
        ("duckduckgo", json!({"search_type": "news"}), "`search_type: news`"),
        ("duckduckgo", json!({"language": "en"}), "without a region"),
        ("serperdev", json!({"safe_search": false}), "`safe_search`"),
    ] {
        let mut parameters = parameters;
        parameters["input"] = "x".into();
        let error = call(&tools(&server, provider), "web_searcher", parameters).await.unwrap_err();
        assert_eq!(error.code, "invalid_parameters");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_missing_setting_is_named_in_the_error() {
    for (provider, expected) in [
        ("brave", "search.providers.brave.api_key_env"),
        ("tavily", "search.providers.tavily.api_key_env"),
        ("google", "search.providers.google.api_key_env"),
    ] {
        let tools = standard(Policy::default().into()).unwrap();
        let error = call(&tools, "web_searcher", json!({"input": "x", "provider": provider})).await.unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Configuration, "missing_api_key"));
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut policy = Policy::default();
    policy.search = serde_json::from_value(json!({"providers": {"google": {"api_key": "k"}}})).unwrap();
    let error = call(&standard(policy.into()).unwrap(), "web_searcher", json!({"input": "x"})).await.unwrap_err();
    assert_eq!(error.code, "missing_engine_id");
}

#[tokio::test]
async fn an_unknown_provider_is_rejected() {
    let tools = standard(Policy::default().into()).unwrap();
    let error = call(&tools, "web_searcher", json!({"input": "x", "provider": "brav"})).await.unwrap_err();
    assert!(error.to_string().contains("did you mean `brave`?"), "{error}");
}

#[test]
fn an_unknown_provider_in_the_policy_is_rejected_when_the_registry_is_created() {
    for (search, expected) in [
        (
            json!({"default_provider": "altavista"}),
            "unknown search provider `altavista` (the providers are bing, brave, ",
        ),
        (json!({"providers": {"brav": {"api_key": "k"}}}), "unknown search provider `brav` (did you mean `brave`?)"),
    ] {
        let mut policy = Policy::default();
        policy.search = serde_json::from_value(search).unwrap();
        let error = standard(policy.into()).unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Configuration, "unknown_search_provider"));
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
