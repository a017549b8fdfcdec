//! `api_tester` returns every status as a result.

use crate::support::{Reply, Server, call};
use serde_json::{Value, json};

#[tokio::test]
async fn every_status_is_returned_as_a_result() {
    let server = Server::start(|request| match request.target.as_str() {
        "/ok" => Reply::json(&json!({"score": 7})),
        "/text" => Reply::ok("text/plain; charset=latin1", b"caf\xe9"),
        _ => Reply::status(503),
    })
    .await;
    let tools = server.tools();
    for (path, success, status, status_text, body, parsed) in [
        ("/ok", true, 200, "OK", "{\"score\":7}", json!({"score": 7})),
        ("/text", true, 200, "OK", "café", Value::Null),
        ("/down", false, 503, "Service Unavailable", "the reason", Value::Null),
    ] {
        let result = call(&tools, "api_tester", json!({"input": server.url(path)})).await.unwrap();
        assert_eq!((&result["success"], &result["status"]), (&json!(success), &json!(status)), "{path}");
        assert_eq!((&result["status_text"], &result["body"]), (&json!(status_text), &json!(body)), "{path}");
        assert_eq!(result["json"], parsed, "{path}");
        let timing = &result["timing"];
        assert!(
            timing["first_byte_ms"].as_f64() > Some(0.0)
                && timing["first_byte_ms"].as_f64() <= timing["total_ms"].as_f64()
        );
    }
}

#[tokio::test]
async fn bodies_are_posted_as_json() {
    let server = Server::start(|_| Reply::status(201)).await;
    let parameters = json!({"input": server.url("/score"), "method": "POST", "body": {"ssn": "x"}});
    let result = call(&server.tools(), "api-tester", parameters).await.unwrap();
    assert_eq!((&result["status"], &result["success"]), (&json!(201), &json!(true)));
    let request = server.requests().pop().unwrap();
    assert_eq!((request.method.as_str(), request.body.as_str()), ("POST", "{\"ssn\":\"x\"}"));
}
