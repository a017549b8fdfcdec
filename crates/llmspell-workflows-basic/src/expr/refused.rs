//! What other languages write and this one refuses, each with what to write instead.

use std::ops::Range;

use super::error::ParseError;

/// Signs, longer ones before those they start with.
const SIGNS: &[(&str, &str, &str)] = &[
    ("===", "", ""),
    ("!==", "", ""),
    ("=>", "there are no functions as values", "use a loop step, or a step of its own"),
    ("==", "", ""),
    ("=~", "there are no regular expressions", "use includes, startsWith or endsWith"),
    ("=", "an expression cannot assign", "write == to compare"),
    ("<>", "`<>` is not an operator", "write !="),
    ("<<", "there are no operators on bits", "use a step of its own"),
    (">>", "there are no operators on bits", "use a step of its own"),
    ("<=", "", ""),
    (">=", "", ""),
    ("++", "an expression cannot change a value", "write a + 1"),
    ("--", "an expression cannot change a value", "write a - 1, or a - -b with a space"),
    ("+=", "an expression cannot assign", "write a + b"),
    ("-=", "an expression cannot assign", "write a - b"),
    ("*=", "an expression cannot assign", "write a * b"),
    ("/=", "an expression cannot assign", "write a / b"),
    ("%=", "an expression cannot assign", "write a % b"),
    ("??=", "an expression cannot assign", "write a ?? b"),
    ("||=", "an expression cannot assign", "write a || b"),
    ("&&=", "an expression cannot assign", "write a && b"),
    ("**", "there is no operator for powers", "write a * a"),
    ("//", "an expression has no comments", "write them beside it"),
    ("/*", "an expression has no comments", "write them beside it"),
    ("...", "a list or an object cannot be spread", "write a.concat(b)"),
    ("&&", "", ""),
    ("&", "there are no operators on bits", "write && for `and`"),
    ("^", "there are no operators on bits", "use a step of its own"),
    ("~", "there are no operators on bits", "use a step of its own"),
    (";", "an expression is a single one", "use a step for each"),
    ("`", "there are no texts in backticks", "write 'a' + b"),
    ("#", "an expression has no comments", "write them beside it"),
    ("@", "`@` means nothing in an expression", "write the name alone"),
    ("\\", "a backslash stands only within a text", "write '\\\\' in quotes"),
];

/// The error for a sign at the start of `rest` that belongs to another language.
pub(super) fn sign(rest: &str, start: usize) -> Option<ParseError> {
    let (sign, message, help) = SIGNS.iter().find(|(sign, ..)| rest.starts_with(sign))?;
    (!message.is_empty()).then(|| ParseError::new(*message, start..start + sign.len()).help(*help))
}

/// Words before a value, as in `typeof x`.
const PREFIXES: &[(&str, &str, &str)] = &[
    ("typeof", "`typeof` is not an operator", "write type(x)"),
    ("new", "an expression cannot make objects of a class", "write a literal, or use a step"),
    ("delete", "an expression cannot change a value", "use a step of its own"),
    ("void", "`void` is not an operator", "write null"),
    ("await", "an expression cannot wait", "use a step of its own"),
    ("yield", "an expression cannot wait", "use a step of its own"),
    ("async", "there are no functions as values", "use a step of its own"),
    ("function", "there are no functions as values", "use a step of its own"),
    ("return", "an expression is its own result", "write only the value"),
    ("let", "an expression cannot assign", "declare it under `variables`"),
    ("const", "an expression cannot assign", "declare it under `variables`"),
    ("var", "an expression cannot assign", "declare it under `variables`"),
    ("if", "there are no statements", "write condition ? a : b"),
    ("for", "there are no statements", "use a loop step"),
    ("while", "there are no statements", "use a loop step"),
    ("throw", "an expression cannot throw", "use a validate step"),
    ("lambda", "there are no functions as values", "use a step of its own"),
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

/// The error for a word that stands where an operator is expected, after the word `before` if that
/// is one.
pub(super) fn word(before: Option<(&str, Range<usize>)>, word: &str, span: Range<usize>) -> Option<ParseError> {
    if let Some((before, span)) = before
        && let Some((_, message, help)) = PREFIXES.iter().find(|(name, ..)| *name == before)
    {
        return Some(ParseError::new(*message, span).help(*help));
    }
    let (_, help) = INFIXES.iter().find(|(name, _)| *name == word)?;
    Some(ParseError::new(format!("`{word}` is not an operator"), span).help(*help))
}

/// The error for a template's braces within an expression.
pub(super) fn braces(span: Range<usize>) -> ParseError {
    ParseError::new("a template's braces stand within an expression", span)
        .help("write the expression alone: a == 1, not {{ a }} == 1")
}

/// What JavaScript's global objects offer, and the function that does it here.
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
    ("Math.random", "an input or a step: an expression has no randomness"),
];

/// The error for a method of one of JavaScript's global objects.
pub(super) fn global(object: &str, method: &str, span: Range<usize>) -> Option<ParseError> {
    let called = format!("{object}.{method}");
    let (_, instead) = GLOBALS.iter().find(|(name, _)| *name == called)?;
    Some(ParseError::new(format!("`{called}` is not known"), span).help(format!("write {instead}")))
}

/// Functions that others have under another name, or that cannot be.
const FUNCTIONS: &[(&str, &str)] = &[
    ("map", "there are no functions as values; use a loop step"),
    ("filter", "there are no functions as values; use a loop step"),
    ("reduce", "there are no functions as values; use a loop step"),
    ("forEach", "there are no functions as values; use a loop step"),
    ("find", "there are no functions as values; use a loop step"),
    ("some", "there are no functions as values; use a loop step"),
    ("every", "there are no functions as values; use a loop step"),
    ("push", "an expression cannot change a value; write a.concat([b])"),
    ("pop", "an expression cannot change a value; write a.slice(0, -1)"),
    ("shift", "an expression cannot change a value; write a.slice(1)"),
    ("match", "there are no regular expressions; use includes, startsWith or endsWith"),
    ("test", "there are no regular expressions; use includes, startsWith or endsWith"),
    ("now", "an expression has no clock; use run.started_at or step.started_at"),
    ("random", "an expression has no randomness; use an input or a step"),
    ("uuid", "an expression has no randomness; use an input or a step"),
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
    ("function", "there are no functions as values; use a step of its own"),
    ("exists", "write x != null"),
    ("defined", "write x != null"),
];

/// What to write instead of a function that is not known.
pub(super) fn function(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, instead)| *instead)
}
