//! The documented requests and responses of each search provider; the responses are reduced to the relevant fields.

use serde_json::{Value, json};

/// The request to a provider and its response, for one kind of search.
pub(crate) struct Golden {
    pub(crate) provider: &'static str,
    pub(crate) parameters: Value,
    pub(crate) request: (&'static str, &'static str),
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: Value,
    pub(crate) response: Value,
    pub(crate) results: Value,
}

/// Returns a request and its response for each kind of search of each provider except `duckduckgo`,
/// which has no JSON API.
pub(crate) fn all() -> impl Iterator<Item = Golden> {
    web().into_iter().chain(news()).chain(images())
}

fn web() -> Vec<Golden> {
    let plain =
        |score: Value| json!([{"rank": 1, "title": "T", "url": "https://t.example/", "snippet": "S", "score": score}]);
    vec![
        Golden {
            provider: "tavily",
            parameters: json!({"max_results": 3}),
            request: ("POST", "/search"),
            headers: &[("authorization", "Bearer k3y"), ("content-type", "application/json")],
            body: json!({"query": "rust & \"tokio\"", "topic": "general", "max_results": 3}),
            response: json!({"query": "rust", "results": [
                {"title": "T", "url": "https://t.example/", "content": "S", "score": 0.81, "raw_content": null},
            ], "response_time": "1.2"}),
            results: plain(json!(0.81)),
        },
        Golden {
            provider: "bing",
            parameters: json!({"safe_search": true, "language": "de-AT"}),
            request: (
                "GET",
                "/v7.0/search?q=rust+%26+%22tokio%22&count=10&responseFilter=Webpages&safeSearch=Strict&mkt=de-AT",
            ),
            headers: &[("ocp-apim-subscription-key", "k3y")],
            body: Value::Null,
            response: json!({"_type": "SearchResponse", "webPages": {"value": [
                {"id": "x", "name": "T", "url": "https://t.example/", "snippet": "S"},
            ]}}),
            results: plain(Value::Null),
        },
        Golden {
            provider: "google",
            parameters: json!({"safe_search": true, "language": "en-US"}),
            request: (
                "GET",
                "/customsearch/v1?key=k3y&cx=engine&q=rust+%26+%22tokio%22&num=10&safe=active&lr=lang_en&gl=us",
            ),
            headers: &[],
            body: Value::Null,
            response: json!({"kind": "customsearch#search", "items": [
                {"title": "T", "link": "https://t.example/", "snippet": "S", "displayLink": "t.example"},
            ]}),
            results: plain(Value::Null),
        },
        Golden {
            provider: "brave",
            parameters: json!({"safe_search": false, "language": "en-GB"}),
            request: (
                "GET",
                "/res/v1/web/search?q=rust+%26+%22tokio%22&count=10&text_decorations=false&result_filter=web&safesearch=off&search_lang=en&country=GB",
            ),
            headers: &[("x-subscription-token", "k3y"), ("accept", "application/json")],
            body: Value::Null,
            response: json!({"type": "search", "web": {"type": "search", "results": [
                {"title": "T", "url": "https://t.example/", "description": "S", "language": "en"},
            ]}}),
            results: plain(Value::Null),
        },
        Golden {
            provider: "serpapi",
            parameters: json!({"safe_search": false, "language": "fr-CA"}),
            request: (
                "GET",
                "/search.json?engine=google&q=rust+%26+%22tokio%22&num=10&safe=off&lr=lang_fr&hl=fr&gl=ca&api_key=k3y",
            ),
            headers: &[],
            body: Value::Null,
            response: json!({"search_metadata": {"status": "Success"}, "organic_results": [
                {"position": 1, "title": "T", "link": "https://t.example/", "snippet": "S"},
            ]}),
            results: plain(Value::Null),
        },
        Golden {
            provider: "serperdev",
            parameters: json!({"language": "en-US"}),
            request: ("POST", "/search"),
            headers: &[("x-api-key", "k3y"), ("content-type", "application/json")],
            body: json!({"q": "rust & \"tokio\"", "num": 10, "hl": "en", "gl": "us"}),
            response: json!({"searchParameters": {"q": "rust"}, "organic": [
                {"title": "T", "link": "https://t.example/", "snippet": "S", "position": 1},
                {"title": "no address"},
            ]}),
            results: plain(Value::Null),
        },
    ]
}

fn news() -> Vec<Golden> {
    let cases = [
        (
            "tavily",
            "POST",
            "/search",
            "/results",
            json!({"title": "T", "url": "https://t.example/", "content": "S", "published_date": "D"}),
        ),
        (
            "bing",
            "GET",
            "/v7.0/news/search?q=rust+%26+%22tokio%22&count=10",
            "/value",
            json!({"name": "T", "url": "https://t.example/", "description": "S", "datePublished": "D"}),
        ),
        (
            "brave",
            "GET",
            "/res/v1/news/search?q=rust+%26+%22tokio%22&count=10",
            "/results",
            json!({"title": "T", "url": "https://t.example/", "description": "S", "age": "D"}),
        ),
        (
            "serpapi",
            "GET",
            "/search.json?engine=google&q=rust+%26+%22tokio%22&tbm=nws&num=10&api_key=k3y",
            "/news_results",
            json!({"title": "T", "link": "https://t.example/", "snippet": "S", "date": "D"}),
        ),
        (
            "serperdev",
            "POST",
            "/news",
            "/news",
            json!({"title": "T", "link": "https://t.example/", "snippet": "S", "date": "D"}),
        ),
    ];
    let golden = |(provider, method, target, list, item): (&'static str, _, _, &str, Value)| Golden {
        provider,
        parameters: json!({"search_type": "news"}),
        request: (method, target),
        headers: &[],
        body: match provider {
            "tavily" => {
                json!({"query": "rust & \"tokio\"", "topic": "news", "max_results": 10})
            }
            "serperdev" => json!({"q": "rust & \"tokio\"", "num": 10}),
            _ => Value::Null,
        },
        response: json!({&list[1..]: [item]}),
        results: json!([{
            "rank": 1, "title": "T", "url": "https://t.example/", "snippet": "S", "score": null, "published": "D",
        }]),
    };
    cases.into_iter().map(golden).collect()
}

fn images() -> Vec<Golden> {
    let cases = [
        (
            "bing",
            "GET",
            "/v7.0/images/search?q=rust+%26+%22tokio%22&count=10",
            "value",
            json!({"name": "T", "hostPageUrl": "https://t.example/", "contentUrl": "https://i.example/"}),
        ),
        (
            "google",
            "GET",
            "/customsearch/v1?key=k3y&cx=engine&q=rust+%26+%22tokio%22&num=10&searchType=image",
            "items",
            json!({"title": "T", "link": "https://i.example/", "image": {"contextLink": "https://t.example/"}}),
        ),
        (
            "brave",
            "GET",
            "/res/v1/images/search?q=rust+%26+%22tokio%22&count=10",
            "results",
            json!({"title": "T", "url": "https://t.example/", "properties": {"url": "https://i.example/"}}),
        ),
        (
            "serpapi",
            "GET",
            "/search.json?engine=google_images&q=rust+%26+%22tokio%22&api_key=k3y",
            "images_results",
            json!({"title": "T", "link": "https://t.example/", "original": "https://i.example/"}),
        ),
        (
            "serperdev",
            "POST",
            "/images",
            "images",
            json!({"title": "T", "link": "https://t.example/", "imageUrl": "https://i.example/"}),
        ),
    ];
    let golden = |(provider, method, target, list, item): (&'static str, _, _, &str, Value)| Golden {
        provider,
        parameters: json!({"search_type": "images"}),
        request: (method, target),
        headers: &[],
        body: if provider == "serperdev" { json!({"q": "rust & \"tokio\"", "num": 10}) } else { Value::Null },
        response: json!({list: [item]}),
        results: json!([{
            "rank": 1, "title": "T", "url": "https://t.example/", "snippet": "", "score": null,
            "image_url": "https://i.example/",
        }]),
    };
    cases.into_iter().map(golden).collect()
}
