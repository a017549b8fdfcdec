//! Syntax of other languages that expressions do not support, with suggested replacements.

use std::ops::Range;

use super::error::ParseError;

/// Signs with the messages and help for unsupported ones. Each sign is listed before its prefixes,
/// and a sign without a message is valid.
const SIGNS: &[(&str, &str, &str)] = &[
    ("===", "", ""),
    ("!==", "", ""),
    ("=>", "functions are not values", "use a loop step, or a separate step"),
    ("==", "", ""),
    ("=~", "regular expressions are not supported", "use includes, startsWith or endsWith"),
    ("=", "expressions cannot assign", "write == to compare"),
    ("<>", "`<>` is not an operator", "write !="),
    ("<<", "bitwise operators are not supported", "use a separate step"),
    (">>", "bitwise operators are not supported", "use a separate step"),
    ("<=", "", ""),
    (">=", "", ""),
    ("++", "expressions cannot change values", "write a + 1"),
    ("--", "expressions cannot change values", "write a - 1, or a - -b with a space"),
    ("+=", "expressions cannot assign", "write a + b"),
    ("-=", "expressions cannot assign", "write a - b"),
    ("*=", "expressions cannot assign", "write a * b"),
    ("/=", "expressions cannot assign", "write a / b"),
    ("%=", "expressions cannot assign", "write a % b"),
    ("??=", "expressions cannot assign", "write a ?? b"),
    ("||=", "expressions cannot assign", "write a || b"),
    ("&&=", "expressions cannot assign", "write a && b"),
    ("**", "there is no power operator", "write a * a"),
    ("//", "expressions cannot contain comments", "put them outside the expression"),
    ("/*", "expressions cannot contain comments", "put them outside the expression"),
    ("...", "spread syntax is not supported", "write a.concat(b)"),
    ("&&", "", ""),
    ("&", "bitwise operators are not supported", "write && for `and`"),
    ("^", "bitwise operators are not supported", "use a separate step"),
    ("~", "bitwise operators are not supported", "use a separate step"),
    (";", "only one expression is allowed", "use a step for each one"),
    ("`", "template literals are not supported", "write 'a' + b"),
    ("#", "expressions cannot contain comments", "put them outside the expression"),
    ("@", "unexpected character `@`", "write only the name"),
    ("\\", "a backslash is allowed only inside a string", "write '\\\\' in quotes"),
];

/// Returns the error if `rest` starts with a sign of another language.
pub(super) fn sign(rest: &str, start: usize) -> Option<ParseError> {
    let (sign, message, help) = SIGNS.iter().find(|(sign, ..)| rest.starts_with(sign))?;
    (!message.is_empty()).then(|| ParseError::new(*message, start..start + sign.len()).help(*help))
}

/// Words before a value, as in `typeof x`.
const PREFIXES: &[(&str, &str, &str)] = &[
    ("typeof", "`typeof` is not an operator", "write type(x)"),
    ("new", "expressions cannot create objects of a class", "write a literal, or use a step"),
    ("delete", "expressions cannot change values", "use a separate step"),
    ("void", "`void` is not an operator", "write null"),
    ("await", "expressions cannot wait", "use a separate step"),
    ("yield", "expressions cannot wait", "use a separate step"),
    ("async", "functions are not values", "use a separate step"),
    ("function", "functions are not values", "use a separate step"),
    ("return", "an expression always returns its value", "write only the value"),
    ("let", "expressions cannot assign", "declare it under `variables`"),
    ("const", "expressions cannot assign", "declare it under `variables`"),
    ("var", "expressions cannot assign", "declare it under `variables`"),
    ("if", "statements are not supported", "write condition ? a : b"),
    ("for", "statements are not supported", "use a loop step"),
    ("while", "statements are not supported", "use a loop step"),
    ("throw", "expressions cannot throw", "use a validate step"),
    ("lambda", "functions are not values", "use a separate step"),
    ("exists", "`exists` is not an operator", "write x != null"),
    ("defined", "`defined` is not an operator", "write x != null"),
];

/// Words between values, as in `x is null`.
const INFIXES: &[(&str, &str)] = &[
    ("is", "write == or !="),
    ("eq", "write =="),
    ("equals", "write =="),
    ("ne", "write !="),
    ("lt", "write <"),
    ("le", "write <="),
    ("lte", "write <="),
    ("gt", "write >"),
    ("ge", "write >="),
    ("gte", "write >="),
    ("xor", "write a != b"),
    ("like", "write a.includes('text')"),
    ("matches", "write includes, startsWith or endsWith"),
    ("includes", "write a.includes(b), or a contains b"),
    ("startsWith", "write a.startsWith(b)"),
    ("endsWith", "write a.endsWith(b)"),
    ("instanceof", "write type(a) == 'array'"),
    ("between", "write a >= low && a <= high"),
    ("if", "write condition ? a : b"),
    ("then", "write condition ? a : b"),
    ("else", "write condition ? a : b"),
    ("mod", "write %"),
    ("div", "write floor(a / b)"),
    ("AND", "write &&"),
    ("And", "write &&"),
    ("Or", "write ||"),
    ("Not", "write !"),
    ("IN", "write in"),
    ("CONTAINS", "write contains"),
];

/// Returns the error for a word used in place of an operator. `before` is the previous token, if
/// that is also a word.
pub(super) fn word(before: Option<(&str, Range<usize>)>, word: &str, span: Range<usize>) -> Option<ParseError> {
    if let Some((before, span)) = before
        && let Some((_, message, help)) = PREFIXES.iter().find(|(name, ..)| *name == before)
    {
        return Some(ParseError::new(*message, span).help(*help));
    }
    let (_, help) = INFIXES.iter().find(|(name, _)| *name == word)?;
    Some(ParseError::new(format!("`{word}` is not an operator"), span).help(*help))
}

/// Returns whether `source`, which is not a valid expression, is a shell expansion, such as
/// `CI:-no` or `file%.txt`.
pub(super) fn is_shell(source: &str) -> bool {
    if let Some(name) = source.strip_prefix(['#', '!']) {
        return name.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '*'));
    }
    let rest = source.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let operators = [":-", ":=", ":?", ":+", "=", "#", "%", "^", ",", "/", "[@]", "[*]"];
    let is_operator = operators.iter().any(|operator| rest.starts_with(operator)) || matches!(rest, "-" | "+" | "?");
    rest.len() < source.len() && is_operator || is_slice(rest)
}

/// Returns whether `name` is written like an environment variable, such as `HOME`.
#[must_use]
pub fn is_shell_name(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Returns whether `rest` is a slice of a shell variable, such as `:0:3`.
fn is_slice(rest: &str) -> bool {
    rest.strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns the error for template braces inside an expression.
pub(super) fn braces(span: Range<usize>) -> ParseError {
    ParseError::new("template braces are not allowed inside an expression", span)
        .help("write the bare expression: a == 1, not {{ a }} == 1")
}

/// Methods of JavaScript's global objects, and their replacements in this language.
const GLOBALS: &[(&str, &str)] = &[
    ("JSON.stringify", "json(x)"),
    ("JSON.parse", "parse_json(text)"),
    ("Object.keys", "keys(x)"),
    ("Object.values", "values(x)"),
    ("Array.isArray", "type(x) == 'array'"),
    ("Date.now", "run.started_at or step.started_at"),
    ("Number.parseInt", "number(text)"),
    ("Number.parseFloat", "number(text)"),
    ("Math.min", "min(a, b)"),
    ("Math.max", "max(a, b)"),
    ("Math.abs", "abs(x)"),
    ("Math.round", "round(x)"),
    ("Math.floor", "floor(x)"),
    ("Math.ceil", "ceil(x)"),
    ("Math.random", "an input or a step; expressions have no randomness"),
];

/// Returns the error for a method of one of JavaScript's global objects.
pub(super) fn global(object: &str, method: &str, span: Range<usize>) -> Option<ParseError> {
    let called = format!("{object}.{method}");
    let (_, instead) = GLOBALS.iter().find(|(name, _)| *name == called)?;
    Some(ParseError::new(format!("`{called}` is not supported"), span).help(format!("use {instead}")))
}

/// Functions of other languages that are missing here or have a different
/// name, with their replacements.
const FUNCTIONS: &[(&str, &str)] = &[
    ("map", "functions are not values; use a loop step"),
    ("filter", "functions are not values; use a loop step"),
    ("reduce", "functions are not values; use a loop step"),
    ("forEach", "functions are not values; use a loop step"),
    ("find", "functions are not values; use a loop step"),
    ("some", "functions are not values; use a loop step"),
    ("every", "functions are not values; use a loop step"),
    ("push", "expressions cannot change values; write a.concat([b])"),
    ("pop", "expressions cannot change values; write a.slice(0, -1)"),
    ("shift", "expressions cannot change values; write a.slice(1)"),
    ("match", "regular expressions are not supported; use includes, startsWith or endsWith"),
    ("test", "regular expressions are not supported; use includes, startsWith or endsWith"),
    ("now", "expressions have no clock; use run.started_at or step.started_at"),
    ("random", "expressions have no randomness; use an input or a step"),
    ("uuid", "expressions have no randomness; use an input or a step"),
    ("Number", "write number(x)"),
    ("parseInt", "write number(x)"),
    ("parseFloat", "write number(x)"),
    ("int", "write number(x)"),
    ("float", "write number(x)"),
    ("String", "write string(x)"),
    ("str", "write string(x)"),
    ("Boolean", "write bool(x)"),
    ("size", "write len(x)"),
    ("count", "write len(x)"),
    ("hasOwnProperty", "write x.has('key')"),
    ("tojson", "write json"),
    ("toJson", "write json"),
    ("stringify", "write json"),
    ("quote", "write shell_quote"),
    ("substring", "write slice(from, to)"),
    ("substr", "write slice(from, to)"),
    ("replaceAll", "write replace(from, to)"),
    ("strip", "write trim"),
    ("typeof", "write type(x)"),
    ("function", "functions are not values; use a separate step"),
    ("exists", "write x != null"),
    ("defined", "write x != null"),
];

/// Returns the replacement for an unknown function.
pub(super) fn function(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_expansions_are_recognized() {
        for source in [
            "CI:-no",
            "CI:=no",
            "CI:?",
            "CI=no",
            "file%.txt",
            "file##*/",
            "a/b/c",
            "x:0:3",
            "x[@]",
            "#x",
            "!x",
            "x^^",
            "CI-",
        ] {
            assert!(is_shell(source), "{source}");
        }
        for source in ["a +", " a:-b", "a ? b :", "'a", "{a: }", "a.b:", "", "a[0", "(a", "a | ", ":-b"] {
            assert!(!is_shell(source), "{source}");
        }
    }

    #[test]
    fn names_in_capitals_are_recognized_as_environment_variables() {
        for (name, expected) in
            [("HOME", true), ("PATH_2", true), ("A", false), ("Home", false), ("_X", false), ("2A", false)]
        {
            assert_eq!(is_shell_name(name), expected, "{name}");
        }
    }
}
