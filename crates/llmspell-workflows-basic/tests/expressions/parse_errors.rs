//! What is said about a source that cannot be read.

use llmspell_workflows_basic::expr::Expr;

/// A source, the part of it that is marked, and the message.
const ERRORS: &[(&str, &str, &str)] = &[
    (" ", " ", "the expression is empty"),
    ("a +", "", "the expression ends before a value"),
    ("a b", "b", "`b` stands before the end; is an operator missing?"),
    ("a = 1", "=", "an expression cannot assign; write == to compare"),
    ("a => b", "=>", "there are no functions as values; use a loop step, or a step of its own"),
    ("x++", "++", "an expression cannot change a value; write a + 1"),
    ("a ** 2", "**", "there is no operator for powers; write a * a"),
    ("a & b", "&", "there are no operators on bits; write && for `and`"),
    ("a; b", ";", "an expression is a single one; use a step for each"),
    ("`t`", "`", "there are no texts in backticks; write 'a' + b"),
    ("typeof x", "typeof", "`typeof` is not an operator; write type(x)"),
    ("new Date()", "new", "an expression cannot make objects of a class; write a literal, or use a step"),
    ("x is null", "is", "`is` is not an operator; write == or !="),
    ("a eq b", "eq", "`eq` is not an operator; write =="),
    ("!a in b", "in", "`!` negates only the value after it; write !(a in b), or a not in b"),
    ("a < b < c", "<", "comparisons do not chain; write a < b && b < c"),
    ("a == b != c", "!=", "comparisons do not chain; write a < b && b < c"),
    ("a ?? b || c", "||", "`??` and `||` stand side by side; put one of them in parentheses"),
    ("'open", "'open", "this text has no end; end it with '"),
    ("'a\\d'", "\\d", "`\\d` is not an escape; write \\\\ for a backslash"),
    (
        "'\\u{110000}'",
        "\\u{110000",
        "this escape does not name a character; write it as \\n, \\x41, \\u0041 or \\u{1f600}",
    ),
    ("'\\ud800'", "\\ud800", "this escape does not name a character; write it as \\n, \\x41, \\u0041 or \\u{1f600}"),
    ("012", "012", "`012` starts with a zero; write the number without leading zeros, or in quotes"),
    (
        "1_000",
        "1_000",
        "`1_000` is neither a number nor a name; numbers are written like 12, 0.5 or 1e3; names start with a letter",
    ),
    (
        "3rd",
        "3rd",
        "`3rd` is neither a number nor a name; numbers are written like 12, 0.5 or 1e3; names start with a letter",
    ),
    ("1e999", "1e999", "`1e999` is too large for a number"),
    (".5", ".", "a name or a number starts with a dot; write 0.5 for a number"),
    ("a.0", "0", "a number stands where a name is expected; write [0]"),
    ("a.", "", "the expression ends before a name"),
    ("a[", "", "the expression ends before a value"),
    ("a[1", "", "the expression ends before `]`"),
    ("(a", "", "the expression ends before `)`"),
    ("a)", ")", "`)` stands before the end; check the brackets"),
    ("f(", "f", "there is no function `f`"),
    ("foo(1)", "foo", "there is no function `foo`"),
    ("x.trimm()", "trimm", "there is no function `trimm`; did you mean `trim`?"),
    ("x | uper", "uper", "there is no function `uper`; did you mean `upper`?"),
    ("x | first.name", ".", "`.` stands before the end; write (x | filter).name"),
    ("x.map(y)", "map", "there is no function `map`; there are no functions as values; use a loop step"),
    ("now()", "now", "there is no function `now`; an expression has no clock; use run.started_at or step.started_at"),
    ("Math.max(1, 2)", "max", "`Math.max` is not known; write max(a, b)"),
    ("JSON.stringify(x)", "stringify", "`JSON.stringify` is not known; write json(x)"),
    ("Object.keys(x)", "keys", "`Object.keys` is not known; write keys(x)"),
    ("{a}", "a", "the field `a` has no value; write a: a"),
    ("{a: 1, a: 2}", "a", "the field `a` is given twice"),
    ("{[k]: 1}", "[", "the name of a field cannot be computed; write the name"),
    ("[...a]", "...", "a list or an object cannot be spread; write a.concat(b)"),
    ("[1,,2]", ",", "`,` stands before a value; check the brackets"),
    ("a ? b", "", "the expression ends before `:`"),
    ("True", "True", "`True` is not a value; write true"),
    ("None", "None", "`None` is not a value; write null"),
    ("and a", "and", "`and` stands before a value; write a and b"),
    ("a == not b", "not", "`not` is not a value; put it in parentheses: a == (not b)"),
    ("/x/.test(a)", "/", "there are no regular expressions; use includes, startsWith or endsWith"),
    ("a if b else c", "if", "`if` is not an operator; write condition ? a : b"),
    (
        "x.slice()",
        "slice()",
        "`slice(whole, from, to?)` does not take 1 argument; the value before a dot or a pipe is the first argument",
    ),
    (
        "x.trim(1)",
        "trim(1)",
        "`trim(text)` does not take 2 arguments; the value before a dot or a pipe is the first argument",
    ),
    ("#", "#", "an expression has no comments; write them beside it"),
    ("a ~ b", "~", "there are no operators on bits; use a step of its own"),
    ("é§", "§", "`§` means nothing in an expression"),
    (
        "{{ a }}",
        "{{",
        "a template's braces stand within an expression; write the expression alone: a == 1, not {{ a }} == 1",
    ),
    ("a | 'x'", "'x'", "`'x'` stands before the name of a filter; is an operator missing?"),
    ("a | (b)", "(", "`(` stands before the name of a filter; check the brackets"),
    ("return x", "return", "an expression is its own result; write only the value"),
    ("a // b", "//", "an expression has no comments; write them beside it"),
    ("a instanceof b", "instanceof", "`instanceof` is not an operator; write type(a) == 'array'"),
    (
        "{{ a }} == 1",
        "{{",
        "a template's braces stand within an expression; write the expression alone: a == 1, not {{ a }} == 1",
    ),
    (
        "${a}",
        "{",
        "a template's braces stand within an expression; write the expression alone: a == 1, not {{ a }} == 1",
    ),
    (
        "a == ${b}",
        "{",
        "a template's braces stand within an expression; write the expression alone: a == 1, not {{ a }} == 1",
    ),
];

#[test]
fn errors_say_what_is_wrong_and_what_would_be_right() {
    for (source, marked, message) in ERRORS {
        let error = Expr::parse(source).expect_err(source);
        assert_eq!(error.to_string(), *message, "{source}");
        assert_eq!(&source[error.span], *marked, "{source}");
    }
}
