//! `http_requester` sends requests as described, decodes responses, and retries only when asked to.

use std::sync::atomic::{AtomicU32, Ordering};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{Reply, Server, call};
use llmspell_workflows_tools::{Policy, ToolContext, ToolErrorClass, standard};
use serde_json::{Value, json};

#[tokio::test]
async fn requests_use_the_method_headers_and_body_from_the_parameters() {
    let server = Server::start(|_| Reply::json(&json!({"ok": true}))).await;
    let tools = server.tools();
    let url = server.url("/things?a=b%20c");
    for (parameters, method, headers, body) in [
        (json!({}), "GET", vec![("user-agent", concat!("llmspell-workflows/", env!("CARGO_PKG_VERSION")))], ""),
        (
            json!({"method": "POST", "body": {"a": [1, null]}}),
            "POST",
            vec![("content-type", "application/json"), ("content-length", "14")],
            r#"{"a":[1,null]}"#,
        ),
        (
            json!({"method": "PUT", "body": "plain"}),
            "PUT",
            vec![("content-type", "text/plain; charset=utf-8")],
            "plain",
        ),
        (
            json!({"method": "PATCH", "body": "<a/>", "headers": {"Content-Type": "text/xml", "X-Number": 7}}),
            "PATCH",
            vec![("content-type", "text/xml"), ("x-number", "7")],
            "<a/>",
        ),
        (
            json!({"auth": {"type": "basic", "username": "me", "password": "pw"}}),
            "GET",
            vec![("authorization", "Basic bWU6cHc=")],
            "",
        ),
        (
            json!({"method": "DELETE", "auth": {"type": "bearer", "token": "t0ken"}, "headers": {"User-Agent": "mine"}}),
            "DELETE",
            vec![("authorization", "Bearer t0ken"), ("user-agent", "mine")],
            "",
        ),
    ] {
        let mut parameters = parameters;
        parameters["input"] = url.as_str().into();
        let result = call(&tools, "http_requester", parameters.clone()).await.unwrap();
        assert_eq!((&result["status"], &result["body"]["ok"]), (&json!(200), &json!(true)));
        let request = server.requests().pop().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), (method, "/things?a=b%20c"), "{parameters}");
        assert_eq!(request.body, body, "{parameters}");
        for (name, value) in headers {
            assert_eq!(request.header(name), value, "{name} of {parameters}");
        }
    }
}

#[tokio::test]
async fn responses_are_decoded_by_their_content_type() {
    let server = Server::start(|request| match request.target.as_str() {
        "/json" => Reply::ok("application/json", r#"{"n": 1.5}"#),
        "/latin" => Reply::ok("text/plain; charset=iso-8859-1", b"caf\xe9"),
        "/japanese" => Reply::ok("text/html; charset=shift_jis", b"\x83\x65"),
        "/image" => Reply::ok("image/png", b"\x89PNG"),
        _ => Reply::Full(204, vec![("x-twice", "a".into()), ("x-twice", "b".into())], vec![]),
    })
    .await;
    let tools = server.tools();
    for (path, body, body_type) in [
        ("/json", json!({"n": 1.5}), "json"),
        ("/latin", json!("café"), "text"),
        ("/japanese", json!("テ"), "text"),
        ("/image", json!("iVBORw=="), "base64"),
        ("/empty", json!(""), "text"),
    ] {
        let result = call(&tools, "http-requester", json!({"input": server.url(path)})).await.unwrap();
        assert_eq!((&result["body"], &result["body_type"]), (&body, &json!(body_type)), "{path}");
    }
    let result = call(&tools, "http_requester", json!({"input": server.url("/empty")})).await.unwrap();
    assert_eq!((&result["status"], &result["headers"]["x-twice"]), (&json!(204), &json!("a, b")));
}

/// `{"z":1}` compressed with gzip.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\x56\xaa\x52\xb2\x32\xac\x05\x00\x3c\x0a\x2b\x41\x07\x00\x00\x00";

#[tokio::test]
async fn encoded_responses_are_returned_as_base64_or_rejected() {
    let reply = |status| {
        let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
        Reply::Full(status, headers.map(|(name, value)| (name, value.to_owned())).to_vec(), GZIP.to_vec())
    };
    let server = Server::start(move |request| reply(if request.target == "/bad" { 400 } else { 200 })).await;
    let (tools, base64) = (server.tools(), json!(STANDARD.encode(GZIP)));
    for tool in ["http_requester", "api_tester"] {
        let result = call(&tools, tool, json!({"input": server.url("/")})).await.unwrap();
        assert_eq!((&result["body"], &result["body_type"]), (&base64, &json!("base64")), "{tool}");
        assert_eq!(result.get("json"), (tool == "api_tester").then_some(&Value::Null));
    }
    let error = call(&tools, "http_requester", json!({"input": server.url("/bad")})).await.unwrap_err();
    assert_eq!(error.details, Some(json!({"status": 400, "body": base64, "body_type": "base64"})));
    let error = call(&tools, "web_scraper", json!({"input": server.url("/")})).await.unwrap_err();
    assert_eq!(error.code, "not_a_page");
    assert!(error.message.contains("encoded as `gzip`"), "{error}");
    assert!(server.requests().iter().all(|request| request.header("accept-encoding") == "identity"));
    let own = json!({"input": server.url("/"), "headers": {"Accept-Encoding": "gzip"}});
    assert_eq!(call(&tools, "http_requester", own).await.unwrap()["body"], base64);
    assert_eq!(server.requests().last().unwrap().header("accept-encoding"), "gzip");
}

#[tokio::test]
async fn response_integers_are_exact_or_rejected() {
    let server = Server::start(|request| match request.target.as_str() {
        "/most" => Reply::ok("application/json", r#"{"id": 18446744073709551615}"#),
        "/text" => Reply::ok("text/plain", r#"{"id": 18446744073709551616}"#),
        _ => Reply::ok("application/json", r#"{"id": 18446744073709551616}"#),
    })
    .await;
    let tools = server.tools();
    for tool in ["http_requester", "api_tester"] {
        let call = |path: &str| call(&tools, tool, json!({"input": server.url(path)}));
        let result = call("/most").await.unwrap();
        assert!(result.to_string().contains(r#"{"id":18446744073709551615}"#), "{result}");
        assert_eq!(call("/text").await.unwrap()["body"], r#"{"id": 18446744073709551616}"#);
        let error = call("/more").await.unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Validation, "number_too_large"), "{tool}");
        assert!(error.message.contains("`18446744073709551616` in `/id` at line 1 column 8"), "{error}");
    }
}

#[tokio::test]
async fn an_error_status_fails_the_call_unless_it_is_allowed() {
    let server = Server::start(|request| Reply::status(request.target[1..].parse().unwrap())).await;
    let tools = server.tools();
    for (status, class) in [
        (400, ToolErrorClass::Validation),
        (404, ToolErrorClass::Validation),
        (408, ToolErrorClass::Transient),
        (429, ToolErrorClass::Transient),
        (500, ToolErrorClass::Transient),
        (503, ToolErrorClass::Transient),
    ] {
        let url = server.url(&format!("/{status}?secret=1"));
        let url = url.replace("?secret=1", "");
        let error = call(&tools, "http_requester", json!({"input": url})).await.unwrap_err();
        assert_eq!((error.class, error.code), (class, "http_status"), "{status}");
        assert_eq!(error.details, Some(json!({"status": status, "body": "the reason", "body_type": "text"})));
        let allowed = json!({"input": url, "allow_error_status": true});
        assert_eq!(call(&tools, "http_requester", allowed).await.unwrap()["status"], status);
    }
    assert_eq!(server.requests().len(), 12, "requests are not retried by default");
}

/// A handler can read the fields of a JSON error; a long body is shortened and therefore text.
#[tokio::test]
async fn json_error_bodies_are_parsed_unless_truncated() {
    let long = "x".repeat(600);
    let bodies = [json!({"hint": "later"}).to_string(), json!({"hint": long}).to_string(), "{broken".to_owned()];
    let replies = bodies.clone();
    let server = Server::start(move |request| {
        let number: usize = request.target[1..].parse().unwrap();
        Reply::Full(404, vec![("content-type", "application/json".to_owned())], replies[number].clone().into_bytes())
    })
    .await;
    let tools = server.tools();
    for (number, body, form) in [
        (0, json!({"hint": "later"}), "json"),
        (1, json!(format!("{}…", &bodies[1][..500])), "text"),
        (2, json!("{broken"), "text"),
    ] {
        let error =
            call(&tools, "http_requester", json!({"input": server.url(&format!("/{number}"))})).await.unwrap_err();
        assert_eq!(error.details, Some(json!({"status": 404, "body": body, "body_type": form})));
    }
}

#[tokio::test]
async fn transient_statuses_are_retried() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::Full(429, vec![("retry-after", "3600".into())], vec![]),
        _ => Reply::ok("text/plain", "done"),
    })
    .await;
    let retry = json!({"max_attempts": 3, "initial_delay_ms": 1, "max_delay_ms": 2});
    let result = call(&server.tools(), "http_requester", json!({"input": server.url("/"), "retry": retry})).await;
    let result = result.unwrap();
    assert_eq!((&result["body"], &result["attempts"]), (&json!("done"), &json!(3)));
}

#[tokio::test]
async fn retries_stop_after_max_attempts_or_at_a_nonretryable_status() {
    let server = Server::start(|request| Reply::status(request.target[1..].parse().unwrap())).await;
    let tools = server.tools();
    let retry = json!({"max_attempts": 3, "initial_delay_ms": 0});
    for (status, requests) in [(503, 3), (404, 1)] {
        let before = server.requests().len();
        let parameters = json!({"input": server.url(&format!("/{status}")), "retry": retry});
        assert_eq!(call(&tools, "http_requester", parameters).await.unwrap_err().code, "http_status");
        assert_eq!(server.requests().len() - before, requests, "{status}");
    }
}

#[tokio::test]
async fn cancelling_the_call_ends_the_delay_between_attempts() {
    let server = Server::start(|_| Reply::status(503)).await;
    let tools = server.tools();
    let context = ToolContext::default();
    let retry = json!({"max_attempts": 2, "initial_delay_ms": 3_600_000, "max_delay_ms": 3_600_000});
    let call = tools.call("http_requester", json!({"input": server.url("/"), "retry": retry}), &context);
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
async fn tools_in_a_registry_reuse_the_same_connection() {
    let server = Server::start(|_| Reply::ok("text/html", "<p>x</p>")).await;
    let tools = server.tools();
    for tool in ["http_requester", "api_tester", "web_scraper", "http_requester"] {
        call(&tools, tool, json!({"input": server.url("/")})).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirected_request_sends_no_referer() {
    let server = Server::start(|request| match request.target.as_str() {
        "/old?key=secret" => Reply::redirect("/new"),
        _ => Reply::status(200),
    })
    .await;
    call(&server.tools(), "http_requester", json!({"input": server.url("/old?key=secret")})).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!((request.target.as_str(), request.header("referer")), ("/new", ""));
}

#[tokio::test]
async fn post_requests_carry_the_idempotency_key() {
    let server = Server::start(|_| Reply::status(200)).await;
    let tools = server.tools();
    let context = ToolContext { idempotency_key: Some("run/step".to_owned()), ..ToolContext::default() };
    for (parameters, expected) in [
        (json!({"method": "POST"}), "run/step"),
        (json!({"method": "GET"}), ""),
        (json!({"method": "POST", "headers": {"Idempotency-Key": "own"}}), "own"),
    ] {
        let mut parameters = parameters;
        parameters["input"] = server.url("/").into();
        tools.call("http_requester", parameters, &context).await.unwrap();
        assert_eq!(server.requests().pop().unwrap().header("idempotency-key"), expected);
    }
}

#[tokio::test]
async fn invalid_parameters_are_rejected_before_anything_is_sent() {
    let server = Server::start(|_| Reply::status(200)).await;
    let tools = server.tools();
    for (parameters, expected) in [
        (json!({"input": "ftp://example.com"}), "unsupported URL scheme in `ftp://example.com"),
        (json!({"input": "not a url"}), "`not a url` is not a valid URL"),
        (json!({"input": server.url("/"), "metod": "GET"}), "did you mean `method`?"),
        (json!({"input": server.url("/"), "headers": {"a b": "c"}}), "`a b` is not a valid header name"),
        (json!({"input": server.url("/"), "headers": {"x": "a\nb"}}), "the value of the header `x`"),
        (json!({"input": server.url("/"), "auth": {"type": "bearer", "username": "x"}}), "`/auth/token` is missing"),
        (json!({"input": server.url("/"), "retry": -1}), "/retry"),
        (
            json!({"input": server.url("/"), "headers": {"Content-Length": 9}}),
            "the header `Content-Length` cannot be set",
        ),
        (
            json!({
                "input": server.url("/"), "headers": {"authorization": "x"},
                "auth": {"type": "bearer", "token": "t"},
            }),
            "`auth` and the header `Authorization` cannot be used together",
        ),
    ] {
        let error = call(&tools, "http_requester", parameters).await.unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Validation, "invalid_parameters"));
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn template_dependent_auth_violations_are_not_reported() {
    let tools = standard(Policy::default().into()).unwrap();
    for (auth, expected) in [
        (json!({"type": "{{kind}}", "token": "{{token}}"}), vec![]),
        (json!({"type": "{{kind}}", "token": "t"}), vec![]),
        (json!({"type": "bearer", "token": "{{token}}"}), vec![]),
        (json!({"type": "basic", "password": "{{password}}"}), vec!["/auth/username"]),
        (json!({"type": "basic", "username": "{{user}}", "token": "t"}), vec!["/auth/token"]),
        (json!({"type": "{{kind}}", "tokn": "t"}), vec!["/auth/tokn"]),
    ] {
        let parameters = json!({"input": "{{url}}", "auth": auth});
        let text_at = |pointer: &str| parameters.pointer(pointer).and_then(Value::as_str);
        let is_dynamic = |pointer: &str| text_at(pointer).is_some_and(|text| text.contains("{{"));
        let violations = tools.check_parameters("http_requester", &parameters, &is_dynamic).unwrap();
        let pointers: Vec<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{parameters}");
    }
}

/// Headers of a step that only the first host may receive.
const OWN: [(&str, &str); 4] =
    [("X-Api-Key", "key"), ("Authorization", "Bearer key"), ("Cookie", "id=key"), ("Proxy-Authorization", "key")];

#[tokio::test]
async fn a_redirect_to_another_server_carries_none_of_the_steps_headers() {
    let other = Server::start(|_| Reply::status(200)).await;
    let location = other.url("/there");
    let first = Server::start(move |request| match request.target.as_str() {
        "/away" => Reply::redirect(location.clone()),
        "/kept" => Reply::Full(307, vec![("location", location.clone())], vec![]),
        "/here" => Reply::redirect("/end"),
        "/twice" => Reply::redirect("/away"),
        _ => Reply::status(200),
    })
    .await;
    let mut policy = first.policy();
    policy.hosts.push(other.address.to_string());
    let tools = llmspell_workflows_tools::standard(policy.into()).unwrap();
    let headers: serde_json::Map<_, _> = OWN.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    for (path, method, at_other) in
        [("/away", "GET", true), ("/kept", "POST", true), ("/twice", "GET", true), ("/here", "GET", false)]
    {
        let mut parameters = json!({"input": first.url(path), "method": method, "headers": headers});
        if method == "POST" {
            parameters["body"] = json!({"a": 1});
        }
        call(&tools, "http_requester", parameters).await.unwrap();
        let (last, expects) =
            if at_other { (other.requests().pop(), "") } else { (first.requests().pop(), "the value") };
        let last = last.unwrap();
        for (name, value) in OWN {
            assert_eq!(last.header(name), if expects.is_empty() { "" } else { value }, "{path} {name}");
        }
        assert_eq!(last.header("user-agent"), first.policy().user_agent, "{path}");
        assert_eq!(last.method, method, "{path}");
        assert_eq!(last.body.is_empty(), method == "GET", "{path}");
    }
    assert_eq!(other.requests().len(), 3);
}

#[tokio::test]
async fn credentials_in_a_url_follow_a_redirect_only_to_the_same_server() {
    let other = Server::start(|_| Reply::status(200)).await;
    let location = other.url("/there");
    let first = Server::start(move |request| match request.target.as_str() {
        "/away" => Reply::redirect(location.clone()),
        "/here" => Reply::redirect("/end"),
        _ => Reply::status(200),
    })
    .await;
    let mut policy = first.policy();
    policy.hosts.push(other.address.to_string());
    let tools = llmspell_workflows_tools::standard(policy.into()).unwrap();
    for (path, expected) in [("/away", ""), ("/here", "Basic dXNlcjpwYXNz")] {
        let url = first.url(path).replace("http://", "http://user:pass@");
        let result = call(&tools, "http_requester", json!({"input": url})).await.unwrap();
        let server = if expected.is_empty() { &other } else { &first };
        assert_eq!(server.requests().pop().unwrap().header("authorization"), expected, "{path}");
        assert!(!result["url"].as_str().unwrap().contains("pass"), "{result}");
    }
}
