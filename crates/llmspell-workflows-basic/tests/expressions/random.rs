//! Random sources never panic, and arithmetic matches Rust's.

use llmspell_workflows_basic::expr::{Expr, Template};
use proptest::prelude::*;
use serde_json::json;

const TOKENS: &[&str] = &[
    "a", "user", "list", "text", "n", "1", "2.5", "'x'", "\"ü\"", "null", "true", "(", ")", "[", "]", "{", "}", ",",
    ".", "?.", "?", ":", "|", "||", "&&", "??", "!", "not", "in", "contains", "==", "!=", "<", ">=", "+", "-", "*",
    "/", "%", "trim", "len(", ".get(", ".slice(", "| json", "default", "{{", "}}", "${", "\\", "'", " ",
];

/// Parses and evaluates `source`, which must not panic.
fn run(source: &str) {
    let scope = super::scope();
    match Expr::parse(source) {
        Ok(expression) => {
            let lenient = expression.evaluate(&scope);
            match expression.evaluate_strict(&scope) {
                Ok(value) => assert_eq!(lenient, Ok(value)),
                Err(error) => assert!(source.get(error.span()).is_some()),
            }
        }
        Err(error) => assert!(source.get(error.span).is_some()),
    }
    match Template::parse_text(source) {
        Ok(template) => drop(template.render(&scope)),
        Err(errors) => {
            for error in errors.0 {
                assert!(source.get(error.span()).is_some());
            }
        }
    }
}

/// Integer arithmetic; products are taken modulo 1000003, so that all values stay in range.
#[derive(Debug, Clone)]
enum Sum {
    Number(i32),
    Operation(Box<Sum>, char, Box<Sum>),
}

impl Sum {
    fn written(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Operation(left, '*', right) => {
                format!("({} * {} % 1000003)", left.written(), right.written())
            }
            Self::Operation(left, operator, right) => {
                format!("({} {operator} {})", left.written(), right.written())
            }
        }
    }

    fn value(&self) -> i64 {
        match self {
            Self::Number(number) => i64::from(*number),
            Self::Operation(left, '+', right) => left.value() + right.value(),
            Self::Operation(left, '-', right) => left.value() - right.value(),
            Self::Operation(left, _, right) => left.value() * right.value() % 1_000_003,
        }
    }
}

fn sums() -> impl Strategy<Value = Sum> {
    any::<i16>().prop_map(|n| Sum::Number(n.into())).prop_recursive(5, 40, 2, |inner| {
        (inner.clone(), prop::sample::select(&['+', '-', '*'][..]), inner)
            .prop_map(|(left, operator, right)| Sum::Operation(left.into(), operator, right.into()))
    })
}

proptest! {
    #[test]
    fn any_string_parses_without_panicking(source in any::<String>()) {
        run(&source);
    }

    #[test]
    fn any_token_sequence_parses_without_panicking(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..40), spaced: bool) {
        run(&tokens.join(if spaced { " " } else { "" }));
    }

    #[test]
    fn quoted_strings_evaluate_to_themselves(text in any::<String>()) {
        let source = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(super::lenient(&source), Ok(json!(text)));
    }

    #[test]
    fn strings_without_expressions_are_static(text in "[^{$]*") {
        let template = Template::parse_text(&text).unwrap();
        prop_assert!(template.is_static());
        prop_assert_eq!(&*template.render(&json!(null)).unwrap(), &json!(text));
    }

    #[test]
    fn integer_arithmetic_is_exact(sum in sums()) {
        prop_assert_eq!(super::lenient(&sum.written()), Ok(json!(sum.value())));
    }
}
