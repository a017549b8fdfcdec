use std::time::Instant;

use serde_json::json;

use super::*;

async fn query(query: &str, input: Value, limits: Limits) -> Result<Value, ToolError> {
    let token = CancellationToken::new();
    let mut all = run(query.to_owned(), vec![input], limits, &token).await?;
    Ok(Value::Array(all.remove(0)))
}

#[tokio::test]
async fn queries_return_the_same_outputs_as_jq() {
    let people = json!({"people": [{"name": "Ada", "age": 36}, {"name": "Alan", "age": 41}]});
    let table = [
        (".people[0].name", json!(["Ada"])),
        (".people[].age", json!([36, 41])),
        ("[.people[] | select(.age > 40)] | length", json!([1])),
        (".people | map(.age) | add", json!([77])),
        (".people |= sort_by(-.age) | .people[0].name", json!(["Alan"])),
        (".people[0].age += 1 | .people[0].age", json!([37])),
        (".people[1].age *= 2 | .people[1].age", json!([82])),
        ("(.people[].age) += (1, 2) | [.people[].age]", json!([[37, 42], [38, 43]])),
        (r#""\(.people[0].name + "!")" * 2"#, json!(["Ada!Ada!"])),
        (r#"{"a": {"b": 1}} * {"a": {"c": 2}}"#, json!([{"a": {"b": 1, "c": 2}}])),
        ("[range(0; 10; 3)], [range(3; 0; -1)], [range(2)]", json!([[0, 3, 6, 9], [3, 2, 1], [0, 1]])),
        (".people as [$a, {name: $n}] | $n, $a.age", json!(["Alan", 36])),
        (".missing // \"none\"", json!(["none"])),
        ("try error(\"x\") catch .", json!(["x"])),
        ("reduce .people[] as $p (0; . + $p.age)", json!([77])),
        ("[.people[].name | test(\"^A.a\")]", json!([[true, true]])),
        ("\"2024-02-29T00:00:00Z\" | fromdate", json!([1_709_164_800])),
        ("[limit(3; repeat(1))]", json!([[1, 1, 1]])),
        ("setpath([\"a\"]; 5) | .a", json!([5])),
        ("def f(x): x + 1; f(.people | length)", json!([3])),
        (
            r#"[1, "a"] | tojson, tostring, @json, "\(.) \(.[1])""#,
            json!(["[1,\"a\"]", "[1,\"a\"]", "[1,\"a\"]", "[1,\"a\"] a"]),
        ),
        ("empty", json!([])),
        ("[1.5, 9007199254740993, -0.0, 1e3]", json!([[1.5, 9_007_199_254_740_993_u64, -0.0, 1000.0]])),
    ];
    for (text, expected) in table {
        let outputs = query(text, people.clone(), Limits::default()).await;
        assert_eq!(outputs, Ok(expected), "{text}");
    }
}

#[tokio::test]
async fn query_errors_name_the_cause() {
    let table = [
        (".a[", "at its end: expected closing bracket"),
        (".a + )", "at line 1, column 6, near `)`: expected "),
        (".a |\n nosuch(1)", "at line 2, column 2, near `nosuch`: unknown filter `nosuch/1`"),
        ("$x", "unknown variable `$x`"),
        ("import \"a\" as a; 1", "modules are not supported"),
        ("", "expected term"),
        ("1 + ", "at its end: expected term"),
        (".a.b", "cannot index"),
        ("env", "not available in a query"),
        ("now", "not available in a query"),
        ("$ENV.PATH", "unknown variable `$ENV`"),
        ("debug", "not available in a query"),
        ("halt", "not available in a query"),
        ("input", "unknown filter `input/0`"),
        ("input_filename", "unknown filter"),
        ("{(1): 2}", "key that is not a string"),
        ("infinite", "infinite or not a number"),
        ("\"x\" | error", "the query failed: \"x\""),
        ("18446744073709551616", "more than 64 bits"),
    ];
    for (text, expected) in table {
        let error = query(text, json!({"a": 1}), Limits::default()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[tokio::test]
async fn every_limit_stops_the_query() {
    let small =
        || Limits { terms: 100_000, outputs: 1_000, output_size: 5_000, operation_size: 10_000, ..Limits::default() };
    let table = [
        ("def f: f; f", "evaluated more than 100000 terms"),
        ("last(repeat(1))", "evaluated more than 100000 terms"),
        ("last(range(1e15))", "evaluated more than 100000 terms"),
        ("[range(infinite)]", "evaluated more than 100000 terms"),
        ("range(0; 1; 0)", "returned more than 1000 outputs"),
        ("repeat(1)", "returned more than 1000 outputs"),
        ("[range(10000)]", "outputs of more than 5000 values and bytes"),
        ("\"x\" * 9000", "outputs of more than 5000 values and bytes"),
        ("\"x\" * 1e15", "the query failed"),
        ("\"x\" * 1000000000000 | length", "created a value of more than 10000"),
        ("reduce range(60) as $i (\"x\"; . + .) | length", "created a value of more than 10000"),
        ("reduce range(60) as $i ([1]; . += .) | length", "created a value of more than 10000"),
        ("reduce range(60) as $i (10000000000; . * .) | length", "created a value of more than 10000"),
        ("[] | .[1000000000] = 1 | length", "created a value of more than 10000"),
        ("[] | setpath([1000000000]; 1) | length", "created a value of more than 10000"),
        ("reduce range(60) as $i (1; [., .]) | tojson | length", "created a value of more than 10000"),
        ("reduce range(60) as $i (1; [., .]) | tostring | length", "created a value of more than 10000"),
        ("reduce range(60) as $i (1; [., .])", "outputs of more than 5000 values and bytes"),
        ("reduce range(200) as $i (1; [.])", "nested too deeply"),
    ];
    for (text, expected) in table {
        let error = query(text, json!(null), small()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    let text = "x".repeat(16 * 1024 + 1);
    let error = query(&text, json!(null), small()).await.unwrap_err();
    assert_eq!(error.code, "query_too_long");
}

#[tokio::test]
async fn deep_recursion_does_not_overflow_the_stack() {
    let error = query("def f: 1 + f; f", json!(null), Limits::default()).await.unwrap_err();
    assert!(error.to_string().contains("recursed too deeply"), "{error}");
    let deep = format!("{}1{}", "(".repeat(8000), ")".repeat(8000));
    assert_eq!(query(&deep, json!(null), Limits::default()).await.unwrap(), json!([1]));
    let nested = query("reduce range(20000) as $i (1; [.]) | 1", json!(null), Limits::default()).await;
    assert_eq!(nested.unwrap(), json!([1]));
}

/// Each level of a nested value takes stack when the value is dropped, so a value nested too deeply would abort the
/// process.
#[tokio::test]
async fn nesting_by_recursion_and_loops_is_limited() {
    for text in [
        "def f(x): f(x + 1); f(1)",
        "def f(x): . + 1 | f(x); f(1)",
        "def f(x): def g(y): f(y + 1); g(x + 1); f(1)",
        "def f: [.] | f; f",
        "reduce range(3000000) as $i (1; [.] | (reduce range(5) as $j (0; . + 1)) as $k | .) | 1",
        "def f($x): f([$x]); f(1)",
        "def f(g): def h: g | h; h; f([.])",
        "[.] | until(false; [.])",
        "last(limit(5000000; recurse([.])))",
        "reduce range(3000000) as $i (1; [.]) | 1",
        "reduce range(3000000) as $i (1; {a: {b: .}, c: $i}) | 1",
        "\"[\" * 5000000 | fromjson",
        "last(foreach range(3000000) as $i (1; [$i, .]; 1))",
    ] {
        let error = query(text, json!(1), Limits::default()).await.unwrap_err();
        assert!(error.to_string().contains("recursed too deeply"), "{text}: {error}");
    }
}

#[tokio::test]
async fn nesting_limits_do_not_affect_other_queries() {
    for (text, expected) in [
        ("def f: if . >= 500000 then . else . + 1 | f end; 0 | f", json!([500_000])),
        ("def f(x): if . >= x then . else . + 1 | f(x) end; 0 | f(1000)", json!([1000])),
        ("def f: if . == 1 then . else .[0] | f end; [[1]] | path(f)", json!([[0, 0]])),
        ("[[1], 2] | (recurse(.[]?) | select(. == 1)) |= 5", json!([[[5], 2]])),
        ("[[[1]]] | [path(recurse(.[]?))] | length", json!([4])),
        ("[1, [2]] | walk(if type == \"number\" then . + 1 else . end)", json!([[2, [3]]])),
        ("[limit(3; repeat(1))]", json!([[1, 1, 1]])),
        ("reduce range(60) as $i (1; [., .]) | length", json!([2])),
        ("\"[1, {\\\"a\\\": \\\"\\\\\\\"[\\\"}]\" | fromjson", json!([[1, {"a": "\"["}]])),
        ("reduce range(29000) as $i (1; [.]) | tojson | length", json!([58_001])),
        ("try (reduce range(29000) as $i (1; [.]) | error) catch 1", json!([1])),
        ("{a: {b: 1}} | [paths]", json!([[["a"], ["a", "b"]]])),
    ] {
        let result = query(text, json!(null), Limits::default()).await;
        assert_eq!(result.map_err(|error| error.to_string()), Ok(expected), "{text}");
    }
}

#[tokio::test]
async fn a_query_stops_at_its_time_limit_or_on_cancellation() {
    let limits = Limits { terms: u64::MAX, time: Duration::from_millis(20), ..Limits::default() };
    let error = query("def f: f; f", json!(null), limits.clone()).await.unwrap_err();
    assert_eq!((error.class, error.code), (ToolErrorClass::Timeout, "query_timeout"));

    let token = CancellationToken::new();
    token.cancel();
    let forever = Limits { time: Duration::from_secs(600), ..limits };
    let started = Instant::now();
    let error = run("def f: f; f".to_owned(), vec![json!(null)], forever, &token).await.unwrap_err();
    assert_eq!(error.class, ToolErrorClass::Cancelled);
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn long_reductions_take_linear_time() {
    let limits = Limits { time: Duration::from_secs(10), ..Limits::default() };
    let table = [
        ("reduce range(50000) as $i ([]; . + [$i]) | length", json!([50000])),
        ("[range(50000) | [.]] | add | length", json!([50000])),
        ("reduce range(50000) as $i (\"\"; . + \"x\") | length", json!([50000])),
    ];
    for (text, expected) in table {
        assert_eq!(query(text, json!(null), limits.clone()).await.unwrap(), expected, "{text}");
    }
}
