//! The registry finds tools by name or alias, checks their parameters, and limits the size of their results.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_tools::{
    Category, Registry, SecurityLevel, Tool, ToolContext, ToolError, ToolErrorClass, ToolSpec, Violation,
};
use serde_json::{Value, json};

/// A tool that returns its parameters.
struct Echo(ToolSpec);

#[async_trait]
impl Tool for Echo {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, parameters: Value, _context: &ToolContext) -> Result<Value, ToolError> {
        Ok(parameters)
    }
}

fn echo(name: &'static str, aliases: &'static [&'static str]) -> Arc<Echo> {
    Arc::new(Echo(ToolSpec {
        name,
        aliases,
        description: "Returns its parameters.",
        category: Category::Utility,
        security_level: SecurityLevel::Safe,
        permissions: &[],
        parameters: json!({
            "type": "object",
            "required": ["input"],
            "additionalProperties": false,
            "properties": {
                "input": {"type": "string"},
                "method": {"enum": ["GET", "POST"]},
                "count": {"type": "integer", "minimum": 1},
                "body": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "integer"}}]},
                "auth": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["username"],
                    "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
                },
            },
        }),
        result: json!({"type": "object"}),
    }))
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.register(echo("web_searcher", &["web_search"])).unwrap();
    registry.register(echo("api_tester", &[])).unwrap();
    registry
}

fn check(parameters: &Value, dynamic: &[&str]) -> Vec<Violation> {
    registry().check_parameters("api_tester", parameters, &|pointer| dynamic.contains(&pointer)).unwrap()
}

#[test]
fn a_tool_is_found_by_its_name_and_by_every_alias() {
    let registry = registry();
    for name in ["web_searcher", "web-searcher", "web_search", "web-search"] {
        assert_eq!(registry.find(name).unwrap().spec().name, "web_searcher", "{name}");
    }
    assert_eq!(registry.specs().map(|spec| spec.name).collect::<Vec<_>>(), ["api_tester", "web_searcher"]);
}

#[test]
fn error_for_an_unknown_name_suggests_the_nearest_name() {
    let registry = registry();
    for (name, expected) in [("web_serch", Some("web_search")), ("api-testr", Some("api_tester")), ("xyz", None)] {
        assert_eq!(registry.nearest(name), expected, "{name}");
    }
    let error = registry.find("web_serch").err().unwrap();
    assert_eq!(error.to_string(), "unknown tool `web_serch` (did you mean `web_search`?)");
}

#[test]
fn a_name_cannot_be_registered_twice() {
    for tool in [echo("web_search", &[]), echo("other", &["api_tester"]), echo("another", &["web-searcher"])] {
        assert_eq!(registry().register(tool).unwrap_err().code, "tool_name_taken");
    }
}

#[test]
fn all_violations_are_reported_with_their_positions() {
    let parameters = json!({"metod": "GET", "method": "POTS", "count": 0, "auth": {"pasword": "x"}});
    let violations = check(&parameters, &[]);
    let found: Vec<_> = violations.iter().map(|v| (v.pointer.as_str(), v.help.as_deref())).collect();
    assert_eq!(
        found,
        [
            ("/auth/pasword", Some("did you mean `password`?")),
            ("/auth/username", None),
            ("/count", None),
            ("/input", None),
            ("/method", Some("did you mean `POST`?")),
            ("/metod", Some("did you mean `method`?")),
        ]
    );
    assert_eq!(violations[4].message, r#"`/method` must be one of "GET", "POST", got "POTS""#);
}

#[test]
fn template_dependent_violations_are_not_reported() {
    for (parameters, dynamic, expected) in [
        (json!({"input": "{{x}}", "count": "{{n}}"}), vec!["/input", "/count"], vec![]),
        (json!({"input": "a", "count": "{{n}}"}), vec![], vec!["/count"]),
        (json!({"input": "a", "auth": "{{auth}}"}), vec!["/auth"], vec![]),
        (json!({"input": "a", "auth": {"username": "{{u}}", "x": 1}}), vec!["/auth/username"], vec!["/auth/x"]),
        (json!({"input": "a", "body": [1, "{{n}}"]}), vec!["/body/1"], vec![]),
        (json!({"input": "a", "body": [1, "{{n}}"]}), vec![], vec!["/body"]),
        (json!("{{everything}}"), vec![""], vec![]),
        (json!({"count": "{{n}}"}), vec!["/count"], vec!["/input"]),
    ] {
        let violations = check(&parameters, &dynamic);
        let found: Vec<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(found, expected, "{parameters} with {dynamic:?}");
    }
}

#[tokio::test]
async fn parameters_are_checked_before_the_tool_is_called() {
    let context = ToolContext::default();
    let error = registry().call("api_tester", json!({"inputs": 1}), &context).await.unwrap_err();
    assert_eq!((error.class, error.code), (ToolErrorClass::Validation, "invalid_parameters"));
    assert_eq!(
        error.message,
        "invalid parameters for `api_tester`: `/input` is missing; unknown property `/inputs` (did you mean `input`?)"
    );
    assert_eq!(error.details.unwrap()["violations"][1]["pointer"], "/inputs");
}

#[tokio::test]
async fn results_larger_than_the_limit_are_rejected() {
    let registry = registry().with_output_bytes_max(20);
    let context = ToolContext::default();
    // {"input":"12345678"} is 20 bytes long.
    assert!(registry.call("api_tester", json!({"input": "12345678"}), &context).await.is_ok());
    let error = registry.call("api_tester", json!({"input": "123456789"}), &context).await.unwrap_err();
    assert_eq!((error.class, error.code), (ToolErrorClass::Limit, "output_too_large"));
}

#[tokio::test]
async fn a_cancelled_call_does_not_reach_the_tool() {
    let context = ToolContext::default();
    context.cancellation.cancel();
    let error = registry().call("api_tester", json!({"input": ""}), &context).await.unwrap_err();
    assert_eq!(error.class, ToolErrorClass::Cancelled);
}
