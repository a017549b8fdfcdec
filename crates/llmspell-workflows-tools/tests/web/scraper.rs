//! `web_scraper` extracts parts of a page with CSS selectors.

use crate::support::{Reply, Server, call};
use llmspell_workflows_tools::{Policy, ToolErrorClass, standard};
use serde_json::{Value, json};

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head><title>Site | News</title><meta name="description" content="All of it."></head>
<body>
  <h1>Solar power</h1>
  <div class="article-body"><p>First   part.</p><script>ignored()</script><p>Second <b>part</b>.</p></div>
  <ul><li>one</li><li>two</li></ul>
  <a href="/more">More</a><img src="sun.png" alt="The sun">
</body>
</html>"#;

async fn scrape(parameters: Value) -> Value {
    let server = Server::start(|_| Reply::ok("text/html", PAGE)).await;
    let mut parameters = parameters;
    parameters["input"] = server.url("/news/today").into();
    let mut result = call(&server.tools(), "web_scraper", parameters).await.unwrap();
    assert_eq!(result["url"], server.url("/news/today"));
    result.as_object_mut().unwrap().remove("url");
    serde_json::from_str(&result.to_string().replace(&server.url(""), "SERVER")).unwrap()
}

#[tokio::test]
async fn selector_names_become_properties() {
    let selectors = json!({"title": "h1", "content": ".article-body", "items": "li", "price": ".price"});
    assert_eq!(
        scrape(json!({"selectors": selectors})).await,
        json!({
            "title": "Solar power",
            "content": "First part.\nSecond part.",
            "items": "one\ntwo",
            "price": null,
            "missing": ["price"],
        })
    );
}

#[tokio::test]
async fn the_text_of_a_single_selector_is_returned_as_content() {
    assert_eq!(
        scrape(json!({"selector": "h1, li"})).await,
        json!({"title": "Site | News", "content": "Solar power\none\ntwo", "missing": []})
    );
    let body = "Solar power\nFirst part.\nSecond part.\none\ntwo\nMore";
    assert_eq!(scrape(json!({})).await["content"], body);
}

#[tokio::test]
async fn links_images_and_metadata_are_returned_on_request() {
    let parameters = json!({"selector": "h1", "extract_links": true, "extract_images": true, "extract_meta": true});
    let result = scrape(parameters).await;
    assert_eq!(result["links"], json!([{"url": "SERVER/more", "text": "More"}]));
    assert_eq!(result["images"], json!([{"url": "SERVER/news/sun.png", "alt": "The sun"}]));
    assert_eq!(result["meta"], json!({"description": "All of it.", "language": "en"}));
}

#[tokio::test]
async fn a_page_is_decoded_with_its_character_set() {
    let server = Server::start(|request| match request.target.as_str() {
        "/header" => Reply::ok("text/html; charset=windows-1251", b"<p>\xe4\xe0</p>"),
        "/meta" => Reply::ok("text/html", b"<meta charset=windows-1251><p>\xe4\xe0</p>"),
        _ => Reply::ok("text/html", "<p>да</p>"),
    })
    .await;
    for path in ["/header", "/meta", "/utf8"] {
        let result = call(&server.tools(), "web_scraper", json!({"input": server.url(path)})).await.unwrap();
        assert_eq!(result["content"], "да", "{path}");
    }
}

#[tokio::test]
async fn unreadable_pages_and_invalid_selectors_are_rejected() {
    let server = Server::start(|request| match request.target.as_str() {
        "/pdf" => Reply::ok("application/pdf", "%PDF"),
        "/gone" => Reply::status(410),
        _ => Reply::ok("text/html", PAGE),
    })
    .await;
    let tools = server.tools();
    for (path, parameters, code, message) in [
        ("/pdf", json!({}), "not_a_page", "expected a web page, got `application/pdf`"),
        ("/gone", json!({}), "http_status", "410 Gone"),
        ("/", json!({"selector": "p >"}), "invalid_parameters", "invalid selector `p >` for `content`"),
        ("/", json!({"selector": "p", "selectors": {"content": "h1"}}), "invalid_parameters", "both define `content`"),
        ("/", json!({"selectors": {"url": "h1"}}), "invalid_parameters", "/selectors"),
        ("/", json!({"wait_for_js": true}), "invalid_parameters", "scripts of a page are never run"),
    ] {
        let mut parameters = parameters;
        parameters["input"] = server.url(path).into();
        let error = call(&tools, "web_scraper", parameters).await.unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Validation, code), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn wait_for_js_is_rejected_before_the_run() {
    let tools = standard(Policy::default().into()).unwrap();
    let parameters = json!({"input": "{{url}}", "wait_for_js": true});
    let violations = tools.check_parameters("web_scraper", &parameters, &|pointer| pointer == "/input").unwrap();
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].pointer, "/wait_for_js");
    assert_eq!(violations[0].message, "`/wait_for_js` must be false, got true");
}
