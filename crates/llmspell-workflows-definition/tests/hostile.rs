//! Hostile documents fail quickly and without using much memory.

use std::time::{Duration, Instant};

use llmspell_workflows_definition::{Diagnostics, StepTypes, format, limits, read_bytes};

/// Far more time than an unoptimized build on a busy machine needs; without limits, these documents would take minutes
/// or exhaust memory.
const TIME_MAX: Duration = Duration::from_secs(10);

fn rejected(name: &str, bytes: &[u8]) -> Diagnostics {
    let started = Instant::now();
    let diagnostics = read_bytes(bytes, name, &StepTypes::new()).expect_err(name);
    assert!(started.elapsed() < TIME_MAX, "{name} took {:?}", started.elapsed());
    assert!(!diagnostics.list().is_empty() && diagnostics.list().len() <= limits::DIAGNOSTICS, "{name}");
    assert!(diagnostics.to_string().len() < 1 << 20, "{name}");
    diagnostics
}

fn code(name: &str, text: &str) -> &'static str {
    rejected(name, text.as_bytes()).list()[0].code
}

#[test]
fn deep_nesting_is_rejected() {
    assert_eq!(code("flow lists", &"[".repeat(1 << 20)), "too_deep");
    assert_eq!(code("flow mappings", &"{a: ".repeat(1 << 20)), "too_deep");
    assert_eq!(code("dashes", &"- ".repeat(1 << 20)), "too_deep");
    let keys: String = (0..2_000).map(|depth| std::format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(code("keys", &keys), "too_deep");
    let json = std::format!("{{\"name\": \"x\", \"steps\": {}", "[{\"steps\": ".repeat(1 << 18));
    assert_eq!(code("json", &json), "too_deep");
}

#[test]
fn deeply_nested_steps_are_rejected() {
    let depth = limits::STEP_NESTING + 5;
    let open: String = (0..depth).map(|at| std::format!("{{id: s{at}, steps: [")).collect();
    let text = std::format!("{{name: x, steps: [{open}{}]}}", "]}".repeat(depth));
    assert_eq!(code("steps", &text), "too_deep");
}

#[test]
fn exponential_and_recursive_aliases_are_rejected() {
    let mut text = "name: x\nl0: &l0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..12 {
        let inner = std::format!("*l{}, ", level - 1).repeat(10);
        text.push_str(&std::format!("l{level}: &l{level} [{inner}]\n"));
    }
    assert_eq!(code("a thousand million laughs", &text), "too_large");
    let long = std::format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100));
    assert_eq!(code("a long string aliased many times", &long), "too_large");
    let nested = std::format!(
        "a: {}{}{}\n",
        (0..200).map(|at| std::format!("&a{at} [")).collect::<String>(),
        "x, ".repeat(100_000),
        "]".repeat(200)
    );
    assert_eq!(code("nested anchors", &nested), "too_large");
    assert_eq!(code("itself", "a: &a [*a]\n"), "syntax");
}

#[test]
fn oversized_documents_are_rejected() {
    assert_eq!(code("file", &"# nothing\n".repeat(1 << 20)), "too_large");
    assert_eq!(code("values", &std::format!("a: [{}]", "1,".repeat(2 << 20))), "too_large");
    let keys: String = (0..200_000).map(|at| std::format!("k{at}: 1\n")).collect();
    let diagnostics = rejected("unknown fields", keys.as_bytes());
    assert_eq!(diagnostics.omitted(), 200_000 + 2 - limits::DIAGNOSTICS);
    assert_eq!(code("a long line", &std::format!("name: \"{}", "x".repeat(4 << 20))), "syntax");
    assert_eq!(code("a long key", &std::format!("{}: 1", "x".repeat(4 << 20))), "syntax");
}

#[test]
fn thousands_of_duplicates_are_rejected() {
    let keys = "  k: 1\n".repeat(100_000);
    assert_eq!(
        code("duplicate keys", &std::format!("name: x\ncontext:\n{keys}steps: [{{id: a, tool: t}}]\n")),
        "duplicate_key"
    );
    let ids = "  - {id: a, tool: t}\n".repeat(50_000);
    assert_eq!(code("duplicate ids", &std::format!("name: x\nsteps:\n{ids}")), "duplicate_id");
    let nested = "  - {id: a, steps: [{id: b, tool: t}]}\n".repeat(30_000);
    assert_eq!(code("duplicate blocks", &std::format!("name: x\nsteps:\n{nested}")), "duplicate_id");
    let templates = "  - {id: a, tool: t, timeout: {{ x }}}\n".repeat(20_000);
    assert_eq!(code("templates without quotes", &std::format!("name: x\nsteps:\n{templates}")), "wrong_type");
}

#[test]
fn large_definitions_are_formatted_in_time() {
    let steps: String = (0..10_000)
        .map(|at| std::format!("- parallel_steps: &a{at}\n    - {{id: b, tool: t}}\n  id: s{at}\n"))
        .collect();
    let uses: String = (0..10_000).map(|at| std::format!("    - *a{at}\n")).collect();
    let text = std::format!("name: x\nsteps:\n{steps}context:\n  all:\n{uses}");
    let started = Instant::now();
    let formatted = format(&text, "x.yaml", &StepTypes::new()).expect("the definition is valid");
    assert!(started.elapsed() < TIME_MAX, "took {:?}", started.elapsed());
    assert!(formatted.contains("  - type: parallel\n    steps: &a9999\n      - {id: b, tool: t}\n    id: s9999\n"));
}

#[test]
fn invalid_encodings_are_rejected() {
    let diagnostics = rejected("latin", b"name: caf\xe9\nsteps: []\n");
    let first = &diagnostics.list()[0];
    assert_eq!((first.code, first.line, first.column), ("not_utf8", 1, 10));
    assert_eq!(rejected("zeros", &[0; 1 << 16]).list()[0].code, "syntax");
    assert_eq!(rejected("utf-16", b"\xff\xfen\0a\0").list()[0].code, "not_utf8");
}
