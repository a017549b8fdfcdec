//! The web tools refuse disallowed hosts and addresses, enforce limits on size and time, and stop when cancelled.

use std::time::{Duration, Instant};

use crate::support::{Reply, Server, call};
use llmspell_workflows_tools::{Policy, Registry, ToolContext, ToolError, ToolErrorClass, standard};
use serde_json::json;

async fn get(tools: &Registry, url: &str) -> Result<serde_json::Value, ToolError> {
    call(tools, "http_requester", json!({"input": url})).await
}

#[tokio::test]
async fn private_hosts_are_refused_unless_listed() {
    let server = Server::start(|_| Reply::status(200)).await;
    let port = server.address.port();
    let by_default = standard(Policy::default().into()).unwrap();
    for url in [
        server.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://10.0.0.1/".to_owned(),
    ] {
        let error = get(&by_default, &url).await.unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Configuration, "host_refused"), "{url}: {error}");
    }
    assert!(server.requests().is_empty());
    assert!(get(&server.tools(), &server.url("/")).await.is_ok());
}

#[tokio::test]
async fn a_host_rule_with_a_port_allows_only_that_port() {
    let server = Server::start(|_| Reply::status(200)).await;
    let port = server.address.port();
    let mut policy = Policy::default();
    policy.hosts = vec![format!("localhost:{port}")];
    let tools = standard(policy.into()).unwrap();
    assert!(get(&tools, &format!("http://localhost:{port}/")).await.is_ok());
    assert_eq!(get(&tools, &format!("http://localhost:{}/", port ^ 1)).await.unwrap_err().code, "host_refused");
    assert_eq!(get(&tools, &server.url("/")).await.unwrap_err().code, "host_refused", "the address is not listed");
}

#[tokio::test]
async fn redirects_are_checked_against_the_host_rules() {
    let server = Server::start(|request| match request.target.as_str() {
        "/metadata" => Reply::redirect("http://169.254.169.254/latest"),
        "/loopback" => Reply::redirect("http://127.0.0.2:1/"),
        "/name" => Reply::redirect("http://localhost:1/"),
        "/file" => Reply::redirect("file:///etc/passwd"),
        "/loop" => Reply::redirect("/loop"),
        "/fine" => Reply::redirect("/end"),
        _ => Reply::ok("text/plain", "end"),
    })
    .await;
    let tools = server.tools();
    for (path, code) in [
        ("/metadata", "host_refused"),
        ("/loopback", "host_refused"),
        ("/name", "host_refused"),
        ("/loop", "too_many_redirects"),
    ] {
        let error = get(&tools, &server.url(path)).await.unwrap_err();
        assert_eq!(error.code, code, "{path}: {error}");
    }
    let result = get(&tools, &server.url("/file")).await.unwrap();
    assert_eq!(result["status"], 302, "a redirect to a different scheme is returned, not followed");
    let result = get(&tools, &server.url("/fine")).await.unwrap();
    assert_eq!((&result["body"], &result["url"]), (&json!("end"), &json!(server.url("/end"))));
}

#[tokio::test]
async fn a_streamed_body_is_rejected_once_it_exceeds_the_size_limit() {
    let server = Server::start(|request| match request.target.as_str() {
        "/endless" => Reply::Endless,
        path => Reply::ok("text/plain", "x".repeat(path[1..].parse().unwrap())),
    })
    .await;
    let mut policy = server.policy();
    policy.response_bytes_max = 100_000;
    let tools = standard(policy.into()).unwrap();
    assert!(get(&tools, &server.url("/100000")).await.is_ok());
    for path in ["/100001", "/endless"] {
        let error = get(&tools, &server.url(path)).await.unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Limit, "response_too_large"), "{path}");
    }
}

#[tokio::test]
async fn a_request_to_a_hanging_server_times_out() {
    let server = Server::start(|request| if request.target == "/body" { Reply::HangInBody } else { Reply::Hang }).await;
    let mut policy = server.policy();
    policy.request_timeout_ms = 50;
    let tools = standard(policy.into()).unwrap();
    for path in ["/", "/body"] {
        for tool in ["http_requester", "api_tester", "web_scraper"] {
            let error = call(&tools, tool, json!({"input": server.url(path)})).await.unwrap_err();
            assert_eq!((error.class, error.code), (ToolErrorClass::Timeout, "request_timed_out"), "{tool} {path}");
        }
    }
    // The `timeout` parameter can only shorten the policy's limit.
    let tools = server.tools();
    let started = Instant::now();
    let error = call(&tools, "api_tester", json!({"input": server.url("/"), "timeout": 0.05})).await.unwrap_err();
    assert_eq!(error.code, "request_timed_out");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_cancelled_call_ends_immediately() {
    let server = Server::start(|_| Reply::Hang).await;
    let tools = server.tools();
    let context = ToolContext::default();
    let call = tools.call("http_requester", json!({"input": server.url("/")}), &context);
    let cancel = async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        context.cancellation.cancel();
    };
    let (result, ()) = tokio::join!(call, cancel);
    assert_eq!(result.unwrap_err().class, ToolErrorClass::Cancelled);
}

#[tokio::test]
async fn connection_errors_are_transient_and_no_error_reveals_secrets() {
    let server = Server::start(|_| Reply::status(500)).await;
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut policy = server.policy();
    policy.hosts.push("127.0.0.1".to_owned());
    let tools = standard(policy.into()).unwrap();
    let error = get(&tools, &format!("http://me:hunter2@{closed}/x?key=hunter2")).await.unwrap_err();
    assert_eq!((error.class, error.code), (ToolErrorClass::Transient, "connection_failed"));
    let status = get(&tools, &format!("http://me:hunter2@{}/x?key=hunter2", server.address)).await.unwrap_err();
    assert_eq!(status.code, "http_status");
    for error in [error, status] {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
