//! References: how names and keys are resolved, and which references an expression reports.

use std::borrow::Cow;

use llmspell_workflows_basic::expr::{Key, Scope, Segment};
use serde_json::{Value, json};

use super::{lenient, parsed, strict, values};

#[test]
fn keys_resolve_to_fields_elements_and_characters() {
    values(&[
        ("user.address.zip", json!("10115")),
        ("user['address']['zip']", json!("10115")),
        ("user[key]", json!("Ada")),
        ("user.langs[index]", json!("it")),
        ("user.langs[-1]", json!("it")),
        ("user.langs['0']", json!("en")),
        ("user.langs[1.0]", json!("it")),
        ("steps['fetch-data'].output.rows[1].id", json!(8)),
        ("steps.get('fetch-data').output.rows.length", json!(2)),
        ("text[2]", json!("ü")),
        ("text.length", json!(4)),
        ("text[-1]", json!("n")),
        ("user.length", json!(4)),
        ("box.length", json!("own")),
        ("box.get", json!(1)),
        ("[10, 20][1]", json!(20)),
        ("{a: {b: 1}}.a.b", json!(1)),
        ("'abc'.length", json!(3)),
        ("(user).name", json!("Ada")),
        ("user?.['name']", json!("Ada")),
        ("{'0': 'zero'}[0]", json!("zero")),
        ("list.slice(1)[0]", json!(1)),
        ("parse_json('{\"a\": [1, 2]}').a[1]", json!(2)),
    ]);
}

#[test]
fn missing_references_are_null_in_conditions_and_errors_in_templates() {
    let missing = [
        "missing",
        "missing.deep[0].er",
        "user.nmae",
        "user.none.x",
        "user.langs[9]",
        "user.langs[-3]",
        "n.x",
        "text[99]",
        "user[missing]",
        "[1][3]",
        "missing == null",
        "missing ? 1 : null",
    ];
    for source in missing {
        assert!(lenient(source).is_ok(), "{source}");
        let error = strict(source).unwrap_err();
        assert!(error.code() == "expression_unresolved" || error.message() == "a key is null", "{source}: {error}");
    }
}

#[test]
fn missing_references_with_a_default_are_not_errors() {
    values(&[
        ("missing || 'x'", json!("x")),
        ("missing.a.b ?? 'x'", json!("x")),
        ("missing or other or 'x'", json!("x")),
        ("missing | default('x')", json!("x")),
        ("missing | default(other, 'x')", json!("x")),
        ("missing | upper | default('x')", json!("x")),
        ("missing.name.trim() || 'x'", json!("x")),
        ("(missing.name || other) ?? 'x'", json!("x")),
        ("(missing && missing.name) || 'x'", json!("x")),
        ("(yes ? missing : 1) || 'x'", json!("x")),
        ("coalesce(missing, other, 'x')", json!("x")),
        ("user.get('nmae', 'x')", json!("x")),
        ("user.get(key, 'x')", json!("Ada")),
        ("missing?.name", json!(null)),
        ("user?.nmae.trim()", json!(null)),
        ("user?.nmae?.[0]", json!(null)),
        ("user.has('nmae')", json!(false)),
        ("user.has('none')", json!(true)),
        ("missing.has('x')", json!(false)),
        ("user.langs.has(1)", json!(true)),
        ("has([1], 4)", json!(false)),
    ]);
    assert!(strict("user.get('nmae', {}).first").is_err());
    assert!(strict("(missing ?? user).nmae").is_err());
    assert_eq!(strict("missing || other").unwrap_err().message(), { strict("other").unwrap_err().message() });
}

#[test]
fn references_are_found_without_evaluation() {
    let name = |name: &str| Key::Name(name.to_owned());
    let table = [
        ("a.b['c'][0].d", vec![("a", vec![name("b"), name("c"), Key::Index(0), name("d")], "a.b['c'][0].d", false)]),
        (
            "context.state.get('k') == 1",
            vec![("context", vec![name("state"), name("k")], "context.state.get('k')", false)],
        ),
        ("a.b[c.d].e", vec![("a", vec![name("b")], "a.b[c.d].e", false), ("c", vec![name("d")], "c.d", false)]),
        (
            "a.trim() + 'b' + [c, {d: e}][0]",
            vec![("a", vec![], "a", false), ("c", vec![], "c", false), ("e", vec![], "e", false)],
        ),
        ("a.b || c ?. d", vec![("a", vec![name("b")], "a.b", true), ("c", vec![name("d")], "c ?. d", true)]),
        ("a || b", vec![("a", vec![], "a", true), ("b", vec![], "b", false)]),
        ("a.x.has('y')", vec![("a", vec![name("x"), name("y")], "a.x.has('y')", true)]),
        ("a | default(b) | json", vec![("a", vec![], "a", true), ("b", vec![], "b", false)]),
        ("1 + len('x')", vec![]),
    ];
    for (source, expected) in table {
        let expression = parsed(source);
        let found: Vec<_> = expression
            .references()
            .iter()
            .map(|r| (r.name.as_str(), r.keys.clone(), &source[r.span.clone()], r.optional))
            .collect();
        assert_eq!(found, expected, "{source}");
    }
}

/// A scope that resolves `steps.ID.output` itself and returns an owned value for `made`.
struct Steps(Value);

impl Scope for Steps {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        match (name, keys) {
            ("steps", [Segment::Name(id), Segment::Name(last), ..]) if last == "output" => {
                (id == "fetch").then_some((Cow::Borrowed(&self.0), 2))
            }
            ("made", _) => Some((Cow::Owned(self.0.clone()), 0)),
            _ => None,
        }
    }

    fn available(&self) -> Vec<String> {
        vec!["steps.fetch".to_owned(), "steps.build".to_owned(), "made".to_owned()]
    }
}

#[test]
fn scopes_can_resolve_keys() {
    let scope = Steps(json!({"rows": [{"id": 7}], "output": 1}));
    let sources = [
        "steps.fetch.output.rows[0].id",
        "steps['fetch'].output.rows[0].id",
        "steps.get('fetch').get('output').rows[0].id",
        "steps['fe' + 'tch'].output.rows[0].id",
        "made.rows[0].id",
    ];
    for source in sources {
        let value = parsed(source).evaluate_strict(&scope).map(Cow::into_owned);
        assert_eq!(value, Ok(json!(7)), "{source}");
    }
    let error = parsed("steps.fetsh.output").evaluate_strict(&scope).unwrap_err();
    assert_eq!(
        error.message(),
        "`steps.fetsh` is not defined; did you mean `steps.fetch`?; available: steps.fetch, steps.build"
    );
}

#[test]
fn expressions_are_compared_and_serialized_by_source() {
    let expression = parsed("a.b  == 'x'");
    assert_eq!(expression, parsed("a.b  == 'x'"));
    assert_ne!(expression, parsed("a.b == 'x'"));
    let json = serde_json::to_string(&expression).unwrap();
    assert_eq!(json, r#""a.b  == 'x'""#);
    let back: llmspell_workflows_basic::expr::Expr = serde_json::from_str(&json).unwrap();
    assert_eq!(back, expression);
    let error = serde_json::from_str::<llmspell_workflows_basic::expr::Expr>(r#""a =""#);
    assert!(error.unwrap_err().to_string().contains("cannot assign"));
}

#[test]
fn expressions_and_templates_are_send_and_sync() {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<llmspell_workflows_basic::expr::Expr>();
    is_shared::<llmspell_workflows_basic::expr::Template>();
}
