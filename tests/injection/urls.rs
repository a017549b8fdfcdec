//! Servers receive exactly the values that a definition puts into a URL.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use llmspell_workflows_basic::{Engine, WorkflowInput, activity::Activities};
use llmspell_workflows_tests::{engine, policy};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Random, number, validate};

/// Records the target of each request.
async fn serve() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let targets = Arc::new(Mutex::new(Vec::new()));
    let recorded = targets.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let recorded = recorded.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                recorded.lock().unwrap().push(request.uri().to_string());
                let page = "<html><body>page</body></html>";
                async move { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(page))) }
            });
            tokio::spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, targets)
}

/// Decodes percent encoding only.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Returns the path segments and the query fields.
fn parts(target: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let fields = query.split('&').filter(|field| !field.is_empty()).map(|field| {
        let (name, value) = field.split_once('=').unwrap();
        (decoded(name), decoded(value))
    });
    (path.split('/').skip(1).map(decoded).collect(), fields.collect())
}

fn engine_for(address: SocketAddr) -> Engine {
    engine(policy(Some(address), None), Activities::new()).build()
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

const DEFINITION: &str = "
name: request
inputs: {base: string, a: string, b: string, list: array}
steps:
  - {id: fields, type: http, url: '{{ base }}/x?fixed=1', query: {q: '{{ a }}', n: 2, yes: true, none: null, 'a b&': '{{ list }}'}}
  - {id: encoded, type: http, url: '{{ base }}/p/{{ a | url_encode }}/{{ b | url_encode }}/end?q={{ a | url_encode }}&r=-{{ b | url_encode }}-#{{ a | url_encode }}'}
  - {id: scraper, tool: web_scraper, params: {input: '{{ base }}/page', query: {q: '{{ b }}'}}}
  - {id: tester, tool: api_tester, params: {input: '{{ base }}/test', query: '{{ {q: a, r: list} }}'}}
";

#[tokio::test]
async fn servers_see_the_exact_values() {
    let (address, targets) = serve().await;
    let engine = engine_for(address);
    let definition = validate(DEFINITION, &engine).unwrap().definition;
    let mut random = Random(number("SEED", 1));
    for _ in 0..number("TEXTS", 40) {
        // A segment that consists only of dots is tested below.
        let mut text =
            || Some(random.hostile()).filter(|text| !matches!(text.as_str(), "." | "..")).unwrap_or_default();
        let (a, b, c) = (text(), text(), text());
        let input = json!({"base": format!("http://{address}"), "a": a, "b": b, "list": [b, c, 7]});
        targets.lock().unwrap().clear();
        let finished = engine.run(definition.clone(), WorkflowInput::new(input.clone())).await.unwrap();
        assert_eq!(finished.error, None, "{input}");
        let seen: Vec<_> = targets.lock().unwrap().iter().map(|target| parts(target)).collect();
        let path = |segments: &[&str]| segments.iter().map(|segment| (*segment).to_owned()).collect::<Vec<_>>();
        let listed = [field("a b&", &b), field("a b&", &c), field("a b&", "7")];
        let others = [field("n", "2"), field("q", &a), field("yes", "true")];
        let expected = [
            (path(&["x"]), [&[field("fixed", "1")], &listed[..], &others[..]].concat()),
            (path(&["p", &a, &b, "end"]), vec![field("q", &a), field("r", &format!("-{b}-"))]),
            (path(&["page"]), vec![field("q", &b)]),
            (path(&["test"]), vec![field("q", &a), field("r", &b), field("r", &c), field("r", "7")]),
        ];
        assert_eq!(seen, expected, "{input}");
    }
}

#[tokio::test]
async fn values_that_no_url_can_contain_are_errors() {
    let (address, targets) = serve().await;
    let engine = engine_for(address);
    let text =
        "name: x\nsteps: [{id: a, type: http, url: '{{ base }}/p/{{ id | url_encode }}', query: {q: '{{ q }}'}}]\n";
    let definition = validate(text, &engine).unwrap().definition;
    for (id, q, expected) in [
        (json!(".."), json!(1), Err("contains the segment")),
        (json!("."), json!(1), Err("contains the segment")),
        (json!("..."), json!(".."), Ok("/p/...?q=%2E%2E")),
        (json!("a.b"), json!("../.."), Ok("/p/a.b?q=..%2F..")),
        (json!(null), json!(null), Ok("/p/")),
        (json!(7), json!([]), Ok("/p/7")),
        (json!(["a"]), json!(1), Err("`url_encode` expects a string, got a list")),
        (json!("a"), json!({"b": 1}), Err("invalid parameters for `http_requester`")),
        (json!("a"), json!([[1]]), Err("invalid parameters for `http_requester`")),
    ] {
        targets.lock().unwrap().clear();
        let input = json!({"base": format!("http://{address}"), "id": id, "q": q});
        let finished = engine.run(definition.clone(), WorkflowInput::new(input.clone())).await.unwrap();
        let seen = targets.lock().unwrap().clone();
        match (expected, &finished.error) {
            (Ok(target), None) => assert_eq!(seen, [target], "{input}"),
            (Err(message), Some(error)) => {
                assert!(error.message.contains(message), "{input}: {}", error.message);
                assert_eq!(seen, Vec::<String>::new(), "{input}");
            }
            (expected, error) => panic!("{input}: expected {expected:?}, got {error:?}"),
        }
    }
}

#[test]
fn a_user_name_cannot_contain_the_password() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let finished = runtime.block_on(async {
        let (address, _) = serve().await;
        let engine = engine_for(address);
        let text =
            "name: x\nsteps: [{id: a, type: http, url: '{{ base }}', auth: {type: basic, username: '{{ name }}'}}]\n";
        let definition = validate(text, &engine).unwrap().definition;
        let input: Value = json!({"base": format!("http://{address}"), "name": "admin:guess"});
        engine.run(definition, WorkflowInput::new(input)).await.unwrap()
    });
    assert!(finished.error.unwrap().message.contains("the user name in `auth` contains `:`"));
}
