//! The cost of an expression stays within its limits for any source.

use llmspell_workflows_basic::expr::limits::{
    NESTING_MAX, OPERATIONS_MAX, PRODUCED_BYTES_MAX, SOURCE_BYTES_MAX, VALUE_DEPTH_MAX,
};
use llmspell_workflows_basic::expr::{Expr, Template};
use serde_json::{Value, json};

use super::lenient;

/// Runs `test` with three quarters of a worker thread's 2 MiB stack.
///
/// This must suffice even without optimization.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1536 * 1024);
    let thread = thread.spawn(test).expect("the thread starts");
    thread.join().expect("the test passes");
}

fn message(source: &str) -> String {
    match Expr::parse(source) {
        Err(error) => error.to_string(),
        Ok(expression) => match expression.evaluate(&super::scope()) {
            Err(error) => error.message(),
            Ok(value) => panic!("expected an error, got a value of {} bytes", value.to_string().len()),
        },
    }
}

#[test]
fn nesting_is_limited() {
    on_a_small_stack(|| {
        let too_deep = format!("the expression is nested more than {NESTING_MAX} levels deep");
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{a: ", "}"),
            ("!", ""),
            ("- ", ""),
            ("not ", ""),
            ("a[", "]"),
            ("len(", ")"),
            ("a ? ", " : a"),
            ("a ? a : ", ""),
            ("a.get(", ")"),
            ("a | default(", ")"),
        ] {
            let nested = |depth| format!("{}'a'{}", open.repeat(depth), close.repeat(depth));
            let deepest = Expr::parse(&nested(NESTING_MAX)).expect(open);
            drop(deepest.evaluate(&super::scope()));
            let error = Expr::parse(&nested(NESTING_MAX + 1)).expect_err(open);
            assert_eq!(error.message, too_deep, "{open}");
            let count = SOURCE_BYTES_MAX / open.len();
            assert!(Expr::parse(&open.repeat(count)).is_err(), "{open}");
        }
    });
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    on_a_small_stack(|| {
        let links = [
            ("n", "+n"),
            ("n", "*n"),
            ("n", "||n"),
            ("no", "||no"),
            ("yes", "&&yes"),
            ("nothing", "??n"),
            ("user", ".a"),
            ("user", "?.a"),
            ("user", "[0]"),
            ("text", ".trim()"),
            ("text", "|trim"),
            ("user", "['a']"),
            ("'a'", "[0]"),
            ("user", ".get('a',1)"),
            ("user", ".has('a')"),
            ("nothing", "|default(null)"),
            ("user", ".trim().get('a',1)"),
        ];
        for (first, link) in links {
            let count = (SOURCE_BYTES_MAX - first.len()) / link.len();
            let source = format!("{first}{}", link.repeat(count));
            let expression = Expr::parse(&source).expect(link);
            drop(expression.evaluate(&super::scope()));
        }
    });
}

#[test]
fn source_size_is_limited() {
    let source = format!("'{}'", "a".repeat(SOURCE_BYTES_MAX));
    assert_eq!(message(&source), "the expression is longer than 65536 bytes");
    assert!(Expr::parse(&format!("'{}'", "a".repeat(SOURCE_BYTES_MAX - 2))).is_ok());
}

#[test]
fn operations_are_limited() {
    let too_many = format!("the expression needs more than {OPERATIONS_MAX} operations");
    let sum = format!("n{}", "+n".repeat(20_000));
    assert_eq!(message(&sum), too_many);
    assert_eq!(message("range(2000000)"), too_many);
    assert!(lenient("len(range(300000))").is_ok());
    let search = format!("range(100000).includes(-1){}", " || range(100000).includes(-1)".repeat(20));
    assert!(Expr::parse(&search).is_ok());
    assert!(lenient_fails(&search));
}

fn lenient_fails(source: &str) -> bool {
    lenient(source).is_err_and(|error| error.code() == "expression_limit")
}

#[test]
fn bytes_created_by_an_expression_are_limited() {
    let too_large =
        format!("the expression would create more than {PRODUCED_BYTES_MAX} bytes of text, lists and objects");
    let doubled = |times: usize| {
        (0..times)
            .fold("'0123456789abcdef'".to_owned(), |source, _| format!("({source}).split('').join('0123456789abcdef')"))
    };
    let wide = format!("range(1000).join('{}').replace('a', '{0}')", "a".repeat(1000));
    assert_eq!(message(&doubled(8)), too_large);
    assert_eq!(message(&wide), too_large);
    assert_eq!(message(&format!("[{}]", "range(9999),".repeat(200))), too_large);
    let scope = json!({"big": "x".repeat(1_000_000)});
    let copies = Expr::parse(&format!("[{}]", "big,".repeat(50))).unwrap();
    assert_eq!(copies.evaluate(&scope).unwrap_err().message(), too_large);
    let joined = Expr::parse(&format!("''{}", "+big".repeat(50))).unwrap();
    assert_eq!(joined.evaluate(&scope).unwrap_err().message(), too_large);
    let json = Expr::parse(&format!("json([{}])", "json(big),".repeat(6))).unwrap();
    assert_eq!(json.evaluate(&scope).unwrap_err().message(), too_large);
}

#[test]
fn bytes_rendered_by_a_template_are_limited() {
    let scope = json!({"big": "x".repeat(10_000_000)});
    let template = Template::parse(&json!("-{{ big }}".repeat(7))).unwrap();
    let message = template.render(&scope).err().map(|error| error.message());
    assert_eq!(
        message.as_deref(),
        Some("the expression would create more than 67108864 bytes of text, lists and objects")
    );
    // A value passed through unchanged does not count as created.
    let template = Template::parse(&json!(vec!["{{ big }}"; 7])).unwrap();
    assert!(template.render(&scope).is_ok());
}

#[test]
fn deep_values_fail_without_overflowing_the_stack() {
    on_a_small_stack(|| {
        let deep = |depth| (0..depth).fold(json!(1), |value, _| Value::Array(vec![value]));
        let too_deep = format!("a value is nested more than {VALUE_DEPTH_MAX} levels deep");
        let scope = Value::from_iter([("a", deep(2_000)), ("b", deep(2_000)), ("c", deep(VALUE_DEPTH_MAX))]);
        for source in ["a == b", "json(a)", "[a]", "hash(a)", "a in [[1]] || a == b", "[a] | unique"] {
            let error = Expr::parse(source).unwrap().evaluate(&scope).unwrap_err();
            assert_eq!(error.message(), too_deep, "{source}");
        }
        let fine = Expr::parse("c == c && json(c) != '' && [c] != []").unwrap();
        assert_eq!(fine.test(&scope), Ok(true));
        let error = Template::parse(&scope).unwrap_err().to_string();
        assert!(error.contains("nested more than"), "{error}");
        let whole = Template::parse_text("{{ a }}").unwrap();
        assert_eq!(whole.render(&scope).unwrap_err().message(), too_deep);
    });
}

#[test]
fn non_finite_results_are_errors() {
    for source in ["1e308 * 10", "-1e308 - 1e308", "sum([1e308, 1e308])", "1e308 / 1e-10"] {
        assert_eq!(message(source), "the result is not a finite number", "{source}");
    }
    assert_eq!(lenient("5e-324 / 10"), Ok(Value::from(0.0)));
}
