//! Functions, in all three call syntaxes.

use llmspell_workflows_basic::expr::function_docs;
use serde_json::{Value, json};

use super::{strict, values};

#[test]
fn documented_examples_evaluate_to_their_results() {
    for function in function_docs() {
        let result: Value = serde_json::from_str(function.result).unwrap();
        assert_eq!(strict(function.example), Ok(result), "{}", function.example);
    }
}

#[test]
fn function_names_are_unique() {
    let mut names: Vec<_> = function_docs().flat_map(|f| f.names.iter()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn all_call_syntaxes_are_equivalent() {
    for source in ["upper('a')", "'a'.upper()", "'a' | upper", "'a' | upper()", "'a'?.upper()"] {
        assert_eq!(strict(source), Ok(json!("A")), "{source}");
    }
}

#[test]
fn string_functions_return_the_expected_values() {
    values(&[
        ("'a,b,,c'.split(',')", json!(["a", "b", "", "c"])),
        ("'äö'.split('')", json!(["ä", "ö"])),
        ("'ß'.upper()", json!("SS")),
        ("'aXbX'.replace('X', '')", json!("ab")),
        ("text.slice(1, 3)", json!("rü")),
        ("text.slice(-2)", json!("ün")),
        ("text.slice(3, 1)", json!("")),
        ("text.slice(-99, 99)", json!("grün")),
        ("text.indexOf('n')", json!(3)),
        ("text.indexOf('x')", json!(-1)),
        ("text.at(2)", json!("ü")),
        ("text | first", json!("g")),
        ("text | length", json!(4)),
        ("'' | last", json!(null)),
        ("'rm -rf $HOME `x`' | shell_quote", json!("'rm -rf $HOME `x`'")),
        ("'' | shell_quote", json!("''")),
        ("null | shell_quote", json!("''")),
        ("['a', 1, true, {b: 2}] | shell_quote", json!("'a' '1' 'true' '{\"b\":2}'")),
    ]);
}

#[test]
fn list_functions_return_the_expected_values() {
    values(&[
        ("[1, 2].includes(2.0)", json!(true)),
        ("{a: 1}.includes('a')", json!(true)),
        ("[[1], [2]].indexOf([2])", json!(1)),
        ("list.at(-9)", json!(null)),
        ("empty | first", json!(null)),
        ("list.slice(1)", json!([1, 2])),
        ("list.slice(-2, -1)", json!([1])),
        ("[1].concat(2, [3, [4]])", json!([1, 2, 3, [4]])),
        ("[1, null, 'a', [2]].join('-')", json!("1--a-[2]")),
        ("empty.join()", json!("")),
        ("list | sort", json!([1, 2, 3])),
        ("['b', 'a'].sort()", json!(["a", "b"])),
        ("[2.5, 1, -3] | sort", json!([-3, 1, 2.5])),
        ("[{a: 1}, {a: 1.0}, 1, '1'] | unique", json!([{"a": 1}, 1, "1"])),
        ("range(0)", json!([])),
        ("sum([])", json!(0)),
        ("list.sum() / list.length", json!(2)),
    ]);
}

#[test]
fn number_functions_return_the_expected_values() {
    values(&[
        ("round(2.5)", json!(3)),
        ("round(-2.5)", json!(-3)),
        ("round(1.005, 2)", json!(1.0)),
        ("round(7, 2)", json!(7)),
        ("round(1e300, 5)", json!(1e300)),
        ("floor(-1.5)", json!(-2)),
        ("ceil(-1.5)", json!(-1)),
        ("abs(-2.5)", json!(2.5)),
        ("abs(small)", json!(9_223_372_036_854_775_808_u64)),
        ("toFixed(0.25, 1)", json!("0.3")),
        ("toFixed(3, 2)", json!("3.00")),
        ("toFixed(2.5)", json!("3")),
        ("min('b', 'a')", json!("a")),
        ("max([1, 2.5, 2])", json!(2.5)),
        ("min([])", json!(null)),
        ("number(' 42 ')", json!(42)),
        ("number('-1.5e3')", json!(-1500.0)),
        ("number(true)", json!(1)),
        ("number(f)", json!(2.5)),
    ]);
}

#[test]
fn generic_functions_return_the_expected_values() {
    values(&[
        ("len(user.langs) + len({a: 1}) + len('')", json!(3)),
        ("json('a\"b')", json!("\"a\\\"b\"")),
        ("json(1.0)", json!("1.0")),
        ("string('a') + string(null) + string([1])", json!("anull[1]")),
        ("bool('Yes') && !bool('OFF') && bool([]) && !bool(null)", json!(true)),
        (
            "[type(null), type(n), type(yes), type(text), type(list), type(user)]",
            json!(["null", "number", "boolean", "string", "array", "object"]),
        ),
        ("keys(user.address)", json!(["zip"])),
        ("user.address.values()", json!(["10115"])),
        ("get(user, 'name')", json!("Ada")),
        ("get({a: 1}, 'a')", json!(1)),
    ]);
}

#[test]
fn only_equal_values_have_equal_hashes() {
    values(&[
        ("hash(1) == hash(1.0)", json!(true)),
        ("hash({a: 1, b: 2}) == hash({b: 2.0, a: 1})", json!(true)),
        ("hash('1') == hash(1)", json!(false)),
        ("hash(1, 2) == hash([1, 2])", json!(false)),
        ("hash('a', 'b') == hash('a\\n', 'b')", json!(false)),
        ("hash(0) == hash(-0.0)", json!(true)),
        ("hash('').length", json!(64)),
    ]);
}
