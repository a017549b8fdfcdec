//! Operators, precedence, numbers and truth.

use serde_json::json;

use super::{lenient, parsed, scope, values};

#[test]
fn comparisons_are_deep_and_never_convert_types() {
    values(&[
        ("1 == 1.0", json!(true)),
        ("'1' == 1", json!(false)),
        ("true == 1", json!(false)),
        ("null == false", json!(false)),
        ("'' == null", json!(false)),
        ("task.type === 'feature'", json!(true)),
        ("task.type !== 'hotfix' && n > 3", json!(true)),
        ("null == undefined", json!(true)),
        ("[1, {a: 2.0}] == [1.0, {a: 2}]", json!(true)),
        ("{a: 1, b: 2} == {b: 2, a: 1}", json!(true)),
        ("{a: 1} == {b: 1}", json!(false)),
        ("[1, 2] != [2, 1]", json!(true)),
        ("-0.0 == 0", json!(true)),
        ("9007199254740993 == 9007199254740992.0", json!(false)),
        ("big == 18446744073709551615", json!(true)),
        ("'a' < 'b'", json!(true)),
        ("'B' < 'a'", json!(true)),
        ("2 < 10", json!(true)),
        ("big > 9223372036854775807", json!(true)),
        ("small < -1.5", json!(true)),
        ("2.5 <= f", json!(true)),
    ]);
}

#[test]
fn membership_works_on_lists_objects_and_strings() {
    values(&[
        ("'a' in task.tags", json!(true)),
        ("2.0 in list", json!(true)),
        ("'c' not in task.tags", json!(true)),
        ("task.tags contains 'a'", json!(true)),
        ("text contains 'ü'", json!(true)),
        ("'x' in text", json!(false)),
        ("'name' in task", json!(true)),
        ("task.tags not contains 'x'", json!(true)),
        ("[1] in [[1], [2]]", json!(true)),
        ("not ('a' in task.tags)", json!(false)),
        ("!('a' in task.tags)", json!(false)),
    ]);
}

#[test]
fn logical_operators_return_an_operand_as_in_javascript() {
    values(&[
        ("blank || 'x'", json!("x")),
        ("blank ?? 'x'", json!("")),
        ("zero || null", json!(null)),
        ("n && text", json!("grün")),
        ("zero && missing", json!(0)),
        ("yes || missing", json!(true)),
        ("nothing ?? missing ?? 'z'", json!("z")),
        ("yes and not no", json!(true)),
        ("no or NOT no AND yes OR no", json!(true)),
        ("yes ? 'a' : missing", json!("a")),
        ("no ? 1 : zero ? 2 : 3", json!(3)),
    ]);
}

#[test]
fn precedence_matches_javascript() {
    values(&[
        ("1 + 2 * 3", json!(7)),
        ("(1 + 2) * 3", json!(9)),
        ("10 - 2 - 3", json!(5)),
        ("2 * 3 % 4", json!(2)),
        ("-2 + 3", json!(1)),
        ("- -2", json!(2)),
        ("!zero == yes", json!(true)),
        ("1 < 2 == 2 < 3", json!(true)),
        ("no && no || yes", json!(true)),
        ("yes || yes && no", json!(true)),
        ("yes ? 1 : 2 | string", json!("1")),
        ("1 + 2 | string", json!("3")),
        ("no || 'x' | upper", json!("X")),
        ("not n == 4", json!(true)),
        ("not no && no", json!(false)),
        ("1 + 1 == 2 ? 'y' : 'n'", json!("y")),
    ]);
}

#[test]
fn arithmetic_on_integers_stays_exact_within_range() {
    values(&[
        ("7 + 1", json!(8)),
        ("6 / 2", json!(3)),
        ("7 / 2", json!(3.5)),
        ("-7 % 3", json!(-1)),
        ("5.5 % 2", json!(1.5)),
        ("2.5 * 2", json!(5.0)),
        ("9223372036854775807 + 1", json!(9_223_372_036_854_775_808_u64)),
        ("big + 1", json!(18_446_744_073_709_551_616.0)),
        ("small - 1", json!(-9_223_372_036_854_775_809.0)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("1e3", json!(1000.0)),
        ("+n", json!(5)),
        ("-f", json!(-2.5)),
        ("0.1 + 0.2", json!(0.1 + 0.2)),
    ]);
}

#[test]
fn plus_concatenates_if_one_side_is_a_string() {
    values(&[
        ("'a' + 1", json!("a1")),
        ("1 + 'a'", json!("1a")),
        ("'a' + 1 + 2", json!("a12")),
        ("1 + 2 + 'a'", json!("3a")),
        ("'a' + null + true + 1.5", json!("anulltrue1.5")),
        ("text + '!'", json!("grün!")),
    ]);
}

#[test]
fn literals_evaluate_to_json_values() {
    values(&[
        (r#""double \" quoted""#, json!("double \" quoted")),
        (r"'it\'s'", json!("it's")),
        (r"'\n\t\r\\\/\x41\u0042\u{1f600}\ud83d\ude00'", json!("\n\t\r\\/AB😀😀")),
        ("'ü😀'", json!("ü😀")),
        ("[1, 'a', [n]]", json!([1, "a", [5]])),
        ("[1, 2,]", json!([1, 2])),
        ("{a: 1, 'b c': {d: n}, \"e\": [],}", json!({"a": 1, "b c": {"d": 5}, "e": []})),
        ("{if: 1, null: 2, in: 3}.in", json!(3)),
        ("{}", json!({})),
        ("0", json!(0)),
        ("0.5", json!(0.5)),
        ("1e-2", json!(0.01)),
    ]);
}

#[test]
fn truthiness_matches_javascript() {
    let truths = [
        ("nothing", false),
        ("missing", false),
        ("missing.deep.er", false),
        ("no", false),
        ("zero", false),
        ("0.0", false),
        ("-0.0", false),
        ("''", false),
        ("yes", true),
        ("' '", true),
        ("'false'", true),
        ("'0'", true),
        ("-1", true),
        ("0.1", true),
        ("[]", true),
        ("{}", true),
        ("!''", true),
        ("!!list", true),
    ];
    for (source, expected) in truths {
        assert_eq!(parsed(source).test(&scope()), Ok(expected), "{source}");
    }
}

#[test]
fn conditions_from_the_specification_evaluate_as_specified() {
    let context = json!({
        "context": {"state": {"qa_status": "pass", "planning_result": "x"}},
        "task": {"type": "hotfix"}, "items": [1, 2], "name": "release-1",
    });
    let conditions = [
        ("context.state.get('planning_result')", true),
        ("context.state.get('qa_status') === 'pass'", true),
        ("context.state.get('missing') === 'pass'", false),
        ("context.state.has('qa_status')", true),
        ("task.type !== 'hotfix'", false),
        ("items.length > 1 && name.startsWith('release')", true),
        ("items.includes(3) || name.includes('-')", true),
    ];
    for (source, expected) in conditions {
        assert_eq!(parsed(source).test(&context), Ok(expected), "{source}");
    }
}

#[test]
fn values_are_borrowed_from_the_scope() {
    let scope = scope();
    for source in ["user.address", "steps['fetch-data'].output.rows[1]", "user.name || 'x'"] {
        let value = parsed(source);
        let value = value.evaluate(&scope).unwrap();
        assert!(matches!(value, std::borrow::Cow::Borrowed(_)), "{source}");
    }
}

#[test]
fn operators_short_circuit() {
    assert_eq!(lenient("yes || 1 / 0"), Ok(json!(true)));
    assert_eq!(lenient("no && 1 / 0"), Ok(json!(false)));
    assert_eq!(lenient("n ?? 1 / 0"), Ok(json!(5)));
    assert_eq!(lenient("yes ? n : 1 / 0"), Ok(json!(5)));
    assert_eq!(lenient("coalesce(n, 1 / 0)"), Ok(json!(5)));
}
