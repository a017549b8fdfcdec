//! The errors for sources that cannot be parsed.

use llmspell_workflows_basic::expr::Expr;

/// Each entry contains a source, the marked part of the source, and the message.
const ERRORS: &[(&str, &str, &str)] = &[
    (" ", " ", "the expression is empty"),
    ("a +", "", "the expression ends before a value"),
    ("a b", "b", "expected the end of the expression, got `b`; is an operator missing?"),
    ("a = 1", "=", "expressions cannot assign; write == to compare"),
    ("a => b", "=>", "functions are not values; use a loop step, or a separate step"),
    ("x++", "++", "expressions cannot change values; write a + 1"),
    ("a ** 2", "**", "there is no power operator; write a * a"),
    ("a & b", "&", "bitwise operators are not supported; write && for `and`"),
    ("a; b", ";", "only one expression is allowed; use a step for each one"),
    ("`t`", "`", "template literals are not supported; write 'a' + b"),
    ("typeof x", "typeof", "`typeof` is not an operator; write type(x)"),
    ("new Date()", "new", "expressions cannot create objects of a class; write a literal, or use a step"),
    ("x is null", "is", "`is` is not an operator; write == or !="),
    ("a eq b", "eq", "`eq` is not an operator; write =="),
    ("!a in b", "in", "`!` negates only the value after it; write !(a in b), or a not in b"),
    ("a < b < c", "<", "comparisons cannot be chained; write a < b && b < c"),
    ("a == b != c", "!=", "comparisons cannot be chained; write a < b && b < c"),
    ("a ?? b || c", "||", "`??` and `||` cannot be mixed; put one of them in parentheses"),
    ("'open", "'open", "unterminated string; end it with '"),
    ("'a\\d'", "\\d", "`\\d` is not an escape; write \\\\ for a backslash"),
    (
        "'\\u{110000}'",
        "\\u{110000",
        "this escape is not a valid character; write it as \\n, \\x41, \\u0041 or \\u{1f600}",
    ),
    ("'\\ud800'", "\\ud800", "this escape is not a valid character; write it as \\n, \\x41, \\u0041 or \\u{1f600}"),
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
    ("1e999", "1e999", "`1e999` is too large to be represented exactly; write it in quotes if it is a string"),
    (
        "-9223372036854775809",
        "-9223372036854775809",
        "`-9223372036854775809` is too large to be represented exactly; write it in quotes if it is a string",
    ),
    (
        "1 + 18446744073709551616",
        "18446744073709551616",
        "`18446744073709551616` is too large to be represented exactly; write it in quotes if it is a string",
    ),
    (".5", ".", "a name or a number cannot start with a dot; write 0.5 for a number"),
    ("a.0", "0", "expected a name, got a number; write [0]"),
    ("a.", "", "the expression ends before a name"),
    ("a[", "", "the expression ends before a value"),
    ("a[1", "", "the expression ends before `]`"),
    ("(a", "", "the expression ends before `)`"),
    ("a)", ")", "expected the end of the expression, got `)`; check the brackets"),
    ("f(", "f", "unknown function `f`"),
    ("foo(1)", "foo", "unknown function `foo`"),
    ("x.trimm()", "trimm", "unknown function `trimm`; did you mean `trim`?"),
    ("x | uper", "uper", "unknown function `uper`; did you mean `upper`?"),
    ("x | first.name", ".", "expected the end of the expression, got `.`; write (x | filter).name"),
    ("x.map(y)", "map", "unknown function `map`; functions are not values; use a loop step"),
    ("now()", "now", "unknown function `now`; expressions have no clock; use run.started_at or step.started_at"),
    ("Math.max(1, 2)", "max", "`Math.max` is not supported; use max(a, b)"),
    ("JSON.stringify(x)", "stringify", "`JSON.stringify` is not supported; use json(x)"),
    ("Object.keys(x)", "keys", "`Object.keys` is not supported; use keys(x)"),
    ("{a}", "a", "the field `a` has no value; write a: a"),
    ("{a: 1, a: 2}", "a", "duplicate field `a`"),
    ("{[k]: 1}", "[", "computed field names are not supported; write the name"),
    ("[...a]", "...", "spread syntax is not supported; write a.concat(b)"),
    ("[1,,2]", ",", "expected a value, got `,`; check the brackets"),
    ("a ? b", "", "the expression ends before `:`"),
    ("True", "True", "`True` is not a value; write true"),
    ("None", "None", "`None` is not a value; write null"),
    ("and a", "and", "expected a value, got `and`; write a and b"),
    ("a == not b", "not", "`not` is not a value; put it in parentheses: a == (not b)"),
    ("/x/.test(a)", "/", "regular expressions are not supported; use includes, startsWith or endsWith"),
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
    ("#", "#", "expressions cannot contain comments; put them outside the expression"),
    ("a ~ b", "~", "bitwise operators are not supported; use a separate step"),
    ("é§", "§", "unexpected character `§`"),
    (
        "{{ a }}",
        "{{",
        "template braces are not allowed inside an expression; write the bare expression: a == 1, not {{ a }} == 1",
    ),
    ("a | 'x'", "'x'", "expected a filter name, got `'x'`; is an operator missing?"),
    ("a | (b)", "(", "expected a filter name, got `(`; check the brackets"),
    ("return x", "return", "an expression always returns its value; write only the value"),
    ("a // b", "//", "expressions cannot contain comments; put them outside the expression"),
    ("a instanceof b", "instanceof", "`instanceof` is not an operator; write type(a) == 'array'"),
    (
        "{{ a }} == 1",
        "{{",
        "template braces are not allowed inside an expression; write the bare expression: a == 1, not {{ a }} == 1",
    ),
    (
        "${a}",
        "{",
        "template braces are not allowed inside an expression; write the bare expression: a == 1, not {{ a }} == 1",
    ),
    (
        "a == ${b}",
        "{",
        "template braces are not allowed inside an expression; write the bare expression: a == 1, not {{ a }} == 1",
    ),
];

#[test]
fn parse_errors_mark_the_cause_and_suggest_a_fix() {
    for (source, marked, message) in ERRORS {
        let error = Expr::parse(source).expect_err(source);
        assert_eq!(error.to_string(), *message, "{source}");
        assert_eq!(&source[error.span], *marked, "{source}");
    }
}
