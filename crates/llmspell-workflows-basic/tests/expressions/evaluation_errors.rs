//! What is said about an evaluation that fails.

use llmspell_workflows_basic::expr::{EvalError, Expr};
use serde_json::{Value, json};

fn scope() -> Value {
    json!({
        "user": {"name": "Ada", "handle": "ada", "none": null}, "list": [1, 2], "n": 1,
        "text": "abc", "fetch": 1, "steps": {"fetch-data": {"output": 1}}, "o": {},
    })
}

/// A source, the code, the part of it that is marked, and the message.
const ERRORS: &[(&str, &str, &str, &str)] = &[
    (
        "x.includes",
        "expression_unresolved",
        "x.includes",
        "`x` is not known; available: fetch, list, n, o, steps, text, user",
    ),
    (
        "user.nmae",
        "expression_unresolved",
        "user.nmae",
        "`user.nmae` is not known; did you mean `name`?; available: name, handle, none",
    ),
    (
        "usr.name",
        "expression_unresolved",
        "usr.name",
        "`usr` is not known; did you mean `user`?; available: user, fetch, list, n, o, steps, text",
    ),
    (
        "usr",
        "expression_unresolved",
        "usr",
        "`usr` is not known; did you mean `user`?; available: user, fetch, list, n, o, steps, text",
    ),
    (
        "fetch-data",
        "expression_unresolved",
        "data",
        "`data` is not known; `-` subtracts; a name with a hyphen is written ['like-this']; available: fetch, list, n, o, steps, text, user",
    ),
    (
        "steps.fetch-data",
        "expression_unresolved",
        "steps.fetch",
        "`steps.fetch` is not known; `-` subtracts; a name with a hyphen is written ['like-this']; available: fetch-data",
    ),
    ("list[5]", "expression_unresolved", "list[5]", "`list[5]` is not known; `list` is a list of 2 elements"),
    ("user.none.x", "expression_unresolved", "user.none.x", "`user.none.x` is not known; `user.none` is null"),
    ("text.foo", "expression_unresolved", "text.foo", "`text.foo` is not known; `text` is a text"),
    (
        "steps['fetch-data'].outptu",
        "expression_unresolved",
        "steps['fetch-data'].outptu",
        "`steps['fetch-data'].outptu` is not known; did you mean `output`?; available: output",
    ),
    ("text.split(',')[4]", "expression_unresolved", "[4]", "`[4]` is not known; the value is a list of 1 element"),
    ("o.x", "expression_unresolved", "o.x", "`o.x` is not known; `o` has no fields"),
    ("n > '1'", "expression_type", ">", "`>` compares two numbers or two texts, not a number with a text"),
    ("user.none < 1", "expression_type", "<", "`<` compares two numbers or two texts, not null with a number"),
    ("n + list", "expression_type", "+", "`+` adds two numbers or joins texts, not a number and a list"),
    ("'a' + list", "expression_type", "+", "`+` joins texts, not a list with a text; write json(x) for its text"),
    ("'a' - 1", "expression_type", "-", "`-` needs two numbers, not a text and a number"),
    ("1 / 0", "expression_arithmetic", "/", "a division by zero"),
    ("5 % 0", "expression_arithmetic", "%", "a division by zero"),
    ("1e308 * 10", "expression_arithmetic", "*", "the result is not a finite number"),
    ("-'a'", "expression_type", "-'a'", "`-` needs a number, not a text; write number(x) for the number in a text"),
    ("user.none.trim()", "expression_type", "trim()", "`trim` needs a text, not null; `?.` goes on with null"),
    ("n.trim()", "expression_type", "trim()", "`trim` needs a text, not a number"),
    (
        "'abc'.slice('x')",
        "expression_type",
        "slice('x')",
        "`slice` needs a whole number for its argument `from`, not a text",
    ),
    ("list.join(1)", "expression_type", "join(1)", "`join` needs a text for its argument `separator`, not a number"),
    ("sum(['a'])", "expression_type", "sum(['a'])", "`sum` adds only numbers"),
    ("[1, 'a'].sort()", "expression_type", "sort()", "`sort` orders only numbers or only texts"),
    ("min(1, 'a')", "expression_type", "min(1, 'a')", "`min` compares only numbers or only texts"),
    ("number('x')", "expression_type", "number('x')", "`number` finds no number in the text"),
    (
        "bool('maybe')",
        "expression_type",
        "bool('maybe')",
        "`bool` knows true, yes, on, 1, false, no, off, 0 and nothing else",
    ),
    (
        "parse_json('{')",
        "expression_type",
        "parse_json('{')",
        "`parse_json` finds no JSON in the text: EOF while parsing an object at line 1 column 1",
    ),
    ("toFixed(1, 99)", "expression_type", "toFixed(1, 99)", "the number of digits is between 0 and 20, not 99"),
    ("list[1.5]", "expression_type", "[1.5]", "1.5 is not a whole number, as an index is"),
    ("list[true]", "expression_type", "[true]", "a key is a text or a whole number, not a boolean"),
    ("user[user.none]", "expression_type", "user[user.none]", "a key is null"),
    ("'a' in n", "expression_type", "in", "only a list, an object or a text contains something, not a number"),
    ("1 in text", "expression_type", "in", "a part of a text is a text, not a number"),
    (
        "user.none contains 1",
        "expression_type",
        "contains",
        "only a list, an object or a text contains something, not null",
    ),
    ("range(1e9)", "expression_limit", "range(1e9)", "the expression takes more than 10000 operations"),
    ("range(-1)", "expression_type", "range(-1)", "`range` counts from 0 up, not to -1"),
    (
        "replace('a', '', 'b')",
        "expression_type",
        "replace('a', '', 'b')",
        "`replace` needs a text to look for, not an empty one",
    ),
    (
        "'a'.split('').join(1)",
        "expression_type",
        "join(1)",
        "`join` needs a text for its argument `separator`, not a number",
    ),
    ("[[1]] | shell_quote", "expression_type", "shell_quote", "`shell_quote` makes no word of a list within a list"),
    (
        "user.includes",
        "expression_unresolved",
        "user.includes",
        "`user.includes` is not known; to call the function, write includes(); available: handle, name, none",
    ),
    (
        "list.first",
        "expression_unresolved",
        "list.first",
        "`list.first` is not known; to call the function, write first()",
    ),
];

fn failure(source: &str) -> EvalError {
    let expression = Expr::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let error = expression.evaluate_strict(&scope()).map(|v| v.into_owned());
    error.expect_err(source)
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    for (source, code, marked, message) in ERRORS {
        let error = failure(source);
        assert_eq!(error.message(), *message, "{source}");
        assert_eq!(error.code(), *code, "{source}");
        assert_eq!(&source[error.span()], *marked, "{source}");
        assert_eq!(error.expression(), *source);
    }
}

#[test]
fn an_error_shows_its_expression() {
    assert_eq!(
        failure("user.nmae + 1").to_string(),
        "`user.nmae` is not known; did you mean `name`?; available: name, handle, none (in `user.nmae + 1`)"
    );
    assert_eq!(failure("1 / 0").to_string(), "a division by zero (in `1 / 0`)");
}

#[test]
fn a_name_with_a_hyphen_is_explained_in_a_condition_too() {
    let expression = Expr::parse("steps.fetch-data.output == 1").unwrap();
    let error = expression.test(&scope()).unwrap_err();
    assert_eq!(
        error.message(),
        "`-` needs two numbers, not null and null; a name with a hyphen is written ['like-this']"
    );
}

#[test]
fn a_long_expression_is_shortened_in_messages() {
    let source = format!("1 / 0 + len('{}')", "é".repeat(1000));
    let shown = failure(&source).to_string();
    assert!(shown.ends_with("é…`)"), "{shown}");
    assert!(shown.chars().count() < 300, "{shown}");
}

#[test]
fn an_unresolved_reference_says_what_is_there() {
    let EvalError::Unresolved { reference, available, .. } = failure("usr.name") else {
        panic!("another error");
    };
    assert_eq!(reference, "usr");
    assert_eq!(available[0], "user");
    assert_eq!(available.len(), 7);
}
