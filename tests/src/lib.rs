//! Shared helpers for the tests of whole workflows: pages served on loopback, an engine with the
//! built-in tools, and YAML files.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, path::Path, sync::Arc};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use llmspell_workflows_basic::{Engine, EngineBuilder, activity::Activities, model::Definition};
use llmspell_workflows_definition::{StepTypes, check};
use llmspell_workflows_tools::{JsonSchemas, Policy, Tools, activities, registry};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves `pages`, which maps each path to its content type and body, until the test's runtime
/// ends. Query strings are ignored.
pub async fn serve(pages: BTreeMap<String, (&'static str, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pages = Arc::new(pages);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let pages = pages.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let page = pages.get(request.uri().path()).cloned();
                async move { Ok::<_, Infallible>(response(page)) }
            });
            // Ignore errors, because the client disconnects in some tests.
            tokio::spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn response(page: Option<(&'static str, String)>) -> Response<Full<Bytes>> {
    let (status, content_type, body) = match page {
        Some((content_type, body)) => (200, content_type, body),
        None => (404, "text/plain", "no such page".to_owned()),
    };
    Response::builder().status(status).header("content-type", content_type).body(Full::from(body)).unwrap()
}

/// Creates a policy that allows the server at `address`, sends all searches to it, and allows the files in `folder`.
pub fn policy(address: Option<SocketAddr>, folder: Option<&Path>) -> Policy {
    let mut policy = Policy::default();
    policy.working_directory = folder.map(Into::into);
    if let Some(address) = address {
        policy.hosts = vec![address.to_string()];
        let provider = |path: &str| json!({"endpoint": format!("http://{address}{path}"), "api_key": "key", "engine_id": "engine"});
        policy.search = serde_json::from_value(json!({
            "default_provider": "tavily",
            "providers": {
                "tavily": provider(""), "google": provider(""), "bing": provider(""),
                "duckduckgo": {"endpoint": format!("http://{address}")},
            },
        }))
        .unwrap();
    }
    policy
}

/// Returns an engine with the built-in tools under `policy`, and with the activities in `more`.
pub fn engine(policy: Policy, more: Activities) -> EngineBuilder {
    let policy = Arc::new(policy);
    let tools = activities(Tools::new(Arc::new(registry(policy.clone()).unwrap())), policy).unwrap();
    Engine::builder().activities(tools).activities(more).schemas(JsonSchemas::new())
}

/// Reads and validates the definition in the file `name`, which is in `workflows/` or `../examples/`.
pub fn yaml(name: &str, engine: &Engine) -> Definition {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = [here.join("workflows").join(name), here.join("../examples").join(name)];
    let text = paths.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap();
    let checked = check(&text, name, &StepTypes::new(), |definition| engine.validate(definition.clone()));
    let document = checked.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    document.definition
}

/// Returns an HTML page.
pub fn html(title: &str, article: &str) -> (&'static str, String) {
    (
        "text/html; charset=utf-8",
        format!("<html><body><nav>Home</nav><h1>{title}</h1><div class=\"article-body\">{article}</div></body></html>"),
    )
}

/// Returns a JSON response.
pub fn json_response(value: &Value) -> (&'static str, String) {
    ("application/json", value.to_string())
}
