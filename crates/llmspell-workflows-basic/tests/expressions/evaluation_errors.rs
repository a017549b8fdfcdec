//! The errors that evaluating an expression can return.

use llmspell_workflows_basic::expr::{EvalError, Expr};
use serde_json::{Value, json};

fn scope() -> Value {
    json!({
        "user": {"name": "Ada", "handle": "ada", "none": null}, "list": [1, 2], "n": 1,
        "text": "abc", "fetch": 1, "steps": {"fetch-data": {"output": 1}}, "o": {},
    })
}

/// Each entry contains a source, the error's code, the marked part of the source, and the message.
const ERRORS: &[(&str, &str, &str, &str)] = &[
    (
        "x.includes",
        "expression_unresolved",
        "x.includes",
        "`x` is not defined; available: fetch, list, n, o, steps, text, user",
    ),
    (
        "user.nmae",
        "expression_unresolved",
        "user.nmae",
        "`user.nmae` is not defined; did you mean `name`?; available: name, handle, none",
    ),
    (
        "usr.name",
        "expression_unresolved",
        "usr.name",
        "`usr` is not defined; did you mean `user`?; available: user, fetch, list, n, o, steps, text",
    ),
    (
        "usr",
        "expression_unresolved",
        "usr",
        "`usr` is not defined; did you mean `user`?; available: user, fetch, list, n, o, steps, text",
    ),
    (
        "fetch-data",
        "expression_unresolved",
        "data",
        "`data` is not defined; `-` subtracts; write a name with a hyphen as ['like-this']; available: fetch, list, n, o, steps, text, user",
    ),
    (
        "steps.fetch-data",
        "expression_unresolved",
        "steps.fetch",
        "`steps.fetch` is not defined; `-` subtracts; write a name with a hyphen as ['like-this']; available: fetch-data",
    ),
    ("list[5]", "expression_unresolved", "list[5]", "`list[5]` is not defined; `list` is a list of 2 elements"),
    ("user.none.x", "expression_unresolved", "user.none.x", "`user.none.x` is not defined; `user.none` is null"),
    ("text.foo", "expression_unresolved", "text.foo", "`text.foo` is not defined; `text` is a string"),
    (
        "steps['fetch-data'].outptu",
        "expression_unresolved",
        "steps['fetch-data'].outptu",
        "`steps['fetch-data'].outptu` is not defined; did you mean `output`?; available: output",
    ),
    ("text.split(',')[4]", "expression_unresolved", "[4]", "`[4]` is not defined; the value is a list of 1 element"),
    ("o.x", "expression_unresolved", "o.x", "`o.x` is not defined; `o` has no fields"),
    ("n > '1'", "expression_type", ">", "`>` expects two numbers or two strings, got a number and a string"),
    ("user.none < 1", "expression_type", "<", "`<` expects two numbers or two strings, got null and a number"),
    ("n + list", "expression_type", "+", "`+` expects two numbers, or at least one string, got a number and a list"),
    ("'a' + list", "expression_type", "+", "`+` cannot join a list and a string; write json(x) for its JSON text"),
    ("'a' - 1", "expression_type", "-", "`-` expects two numbers, got a string and a number"),
    (
        "parse_json('[99999999999999999999]')",
        "expression_type",
        "parse_json('[99999999999999999999]')",
        "`parse_json` cannot parse the string: `99999999999999999999` in `/0` at line 1 column 2 is too large to be \
         represented exactly; write it in quotes to keep it as a string",
    ),
    (
        "number('-9223372036854775809')",
        "expression_type",
        "number('-9223372036854775809')",
        "`number`: `-9223372036854775809` is too large to be represented exactly",
    ),
    ("1 / 0", "expression_arithmetic", "/", "division by zero"),
    ("5 % 0", "expression_arithmetic", "%", "division by zero"),
    ("1e308 * 10", "expression_arithmetic", "*", "the result is not a finite number"),
    ("-'a'", "expression_type", "-'a'", "`-` expects a number, got a string; write number(x) to convert a string"),
    (
        "user.none.trim()",
        "expression_type",
        "trim()",
        "`trim` expects a string, got null; use `?.` to return null instead",
    ),
    ("n.trim()", "expression_type", "trim()", "`trim` expects a string, got a number"),
    ("'abc'.slice('x')", "expression_type", "slice('x')", "`slice` expects an integer as `from`, got a string"),
    ("list.join(1)", "expression_type", "join(1)", "`join` expects a string as `separator`, got a number"),
    ("sum(['a'])", "expression_type", "sum(['a'])", "`sum` expects only numbers"),
    ("[1, 'a'].sort()", "expression_type", "sort()", "`sort` expects only numbers or only strings"),
    ("min(1, 'a')", "expression_type", "min(1, 'a')", "`min` expects only numbers or only strings"),
    ("number('x')", "expression_type", "number('x')", "`number` cannot parse the string"),
    ("bool('maybe')", "expression_type", "bool('maybe')", "`bool` accepts only true, yes, on, 1, false, no, off and 0"),
    (
        "parse_json('{')",
        "expression_type",
        "parse_json('{')",
        "`parse_json` cannot parse the string: EOF while parsing an object at line 1 column 1",
    ),
    ("toFixed(1, 99)", "expression_type", "toFixed(1, 99)", "the number of digits must be between 0 and 20, got 99"),
    ("list[1.5]", "expression_type", "[1.5]", "an index must be an integer, got 1.5"),
    ("list[true]", "expression_type", "[true]", "a key must be a string or an integer, got a boolean"),
    ("user[user.none]", "expression_type", "user[user.none]", "a key is null"),
    ("'a' in n", "expression_type", "in", "expected a list, an object or a string to search, got a number"),
    ("1 in text", "expression_type", "in", "a substring must be a string, got a number"),
    (
        "user.none contains 1",
        "expression_type",
        "contains",
        "expected a list, an object or a string to search, got null",
    ),
    ("range(1e9)", "expression_limit", "range(1e9)", "the expression needs more than 10000 operations"),
    ("range(-1)", "expression_type", "range(-1)", "`range` expects at least 0, got -1"),
    (
        "replace('a', '', 'b')",
        "expression_type",
        "replace('a', '', 'b')",
        "`replace` expects a non-empty string as `from`",
    ),
    ("'a'.split('').join(1)", "expression_type", "join(1)", "`join` expects a string as `separator`, got a number"),
    ("[[1]] | shell_quote", "expression_type", "shell_quote", "`shell_quote` cannot quote a list within a list"),
    (
        "user.includes",
        "expression_unresolved",
        "user.includes",
        "`user.includes` is not defined; to call the function, write includes(); available: handle, name, none",
    ),
    (
        "list.first",
        "expression_unresolved",
        "list.first",
        "`list.first` is not defined; to call the function, write first()",
    ),
];

fn failure(source: &str) -> EvalError {
    let expression = Expr::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let error = expression.evaluate_strict(&scope()).map(|v| v.into_owned());
    error.expect_err(source)
}

#[test]
fn evaluation_errors_have_a_code_a_location_and_a_message() {
    for (source, code, marked, message) in ERRORS {
        let error = failure(source);
        assert_eq!(error.message(), *message, "{source}");
        assert_eq!(error.code(), *code, "{source}");
        assert_eq!(&source[error.span()], *marked, "{source}");
        assert_eq!(error.expression(), *source);
    }
}

#[test]
fn displayed_errors_contain_the_expression() {
    assert_eq!(
        failure("user.nmae + 1").to_string(),
        "`user.nmae` is not defined; did you mean `name`?; available: name, handle, none (in `user.nmae + 1`)"
    );
    assert_eq!(failure("1 / 0").to_string(), "division by zero (in `1 / 0`)");
}

#[test]
fn errors_in_conditions_explain_hyphenated_names() {
    let expression = Expr::parse("steps.fetch-data.output == 1").unwrap();
    let error = expression.test(&scope()).unwrap_err();
    assert_eq!(
        error.message(),
        "`-` expects two numbers, got null and null; write a name with a hyphen as ['like-this']"
    );
}

#[test]
fn messages_truncate_long_expressions() {
    let source = format!("1 / 0 + len('{}')", "é".repeat(1000));
    let shown = failure(&source).to_string();
    assert!(shown.ends_with("é…`)"), "{shown}");
    assert!(shown.chars().count() < 300, "{shown}");
}

#[test]
fn unresolved_references_list_the_available_names() {
    let EvalError::Unresolved { reference, available, .. } = failure("usr.name") else {
        panic!("another error");
    };
    assert_eq!(reference, "usr");
    assert_eq!(available[0], "user");
    assert_eq!(available.len(), 7);
}
