use serde_json::{Value, json};

use super::*;
use crate::Policy;

const PEOPLE: &str = "name,age,city,since,ok\nAda,36,London,2020-01-01,true\nAlan,41,\"Paris, \"\"P\"\"\",2021-05-06,false\nGrace,,London,2020-01-01,true\n";

fn tool(policy: Policy) -> CsvAnalyzer {
    CsvAnalyzer::new(Services::for_tests(policy))
}

async fn call(parameters: &Value) -> Result<Value, String> {
    let result = tool(Policy::default()).call(parameters.clone(), &ToolContext::default()).await;
    result.map_err(|error| error.to_string())
}

#[tokio::test]
async fn analyze_returns_statistics_of_each_column() {
    let result = call(&json!({"operation": "analyze", "input": PEOPLE, "options": {"top": 1}})).await.unwrap();
    let expected = json!([
        {"name": "name", "type": "string", "count": 3, "nulls": 0, "distinct": 3, "distinct_is_minimum": false, "top": [{"value": "Ada", "count": 1}]},
        {
            "name": "age", "type": "integer", "count": 2, "nulls": 1, "distinct": 2, "distinct_is_minimum": false, "top": [{"value": "36", "count": 1}],
            "min": 36, "max": 41, "mean": 38.5, "median": 38.5, "stddev": 3.535_533_905_932_737_6,
        },
        {"name": "city", "type": "string", "count": 3, "nulls": 0, "distinct": 2, "distinct_is_minimum": false, "top": [{"value": "London", "count": 2}]},
        {"name": "since", "type": "date", "count": 3, "nulls": 0, "distinct": 2, "distinct_is_minimum": false, "top": [{"value": "2020-01-01", "count": 2}]},
        {"name": "ok", "type": "boolean", "count": 3, "nulls": 0, "distinct": 2, "distinct_is_minimum": false, "top": [{"value": "true", "count": 2}]},
    ]);
    assert_eq!(result, json!({"rows": 3, "columns": expected}));
}

#[tokio::test]
async fn a_column_has_the_narrowest_type_that_matches_all_cells() {
    let table = [
        ("a\n1\n2.5\n", "number", json!(1.75)),
        ("a\n1\nx\n2\n", "string", json!(null)),
        ("a\nx\n1\n2\n", "string", json!(null)),
        ("a\n\"\"\n \n", "empty", json!(null)),
        ("a\n1e2\n", "number", json!(100.0)),
        ("a\n1.10\n", "number", json!(1.1)),
        ("a\n1\n9007199254740993.0\n", "string", json!(null)),
        ("a\n18446744073709551616\n", "string", json!(null)),
        ("a\nNaN\n", "string", json!(null)),
        ("a\n2020-01-01T00:00:00Z\n2020-01-01\n", "date", json!(null)),
    ];
    for (text, kind, median) in table {
        let result = call(&json!({"operation": "analyze", "input": text})).await.unwrap();
        assert_eq!((&result["columns"][0]["type"], &result["columns"][0]["median"]), (&json!(kind), &median), "{text}");
    }
}

#[tokio::test]
async fn large_integers_are_compared_and_reported_exactly() {
    let text = "id\n9007199254740993\n18446744073709551615\n9007199254740992\n";
    let result = call(&json!({"operation": "analyze", "input": text})).await.unwrap();
    let column = &result["columns"][0];
    let expected = (&json!("integer"), &json!(9_007_199_254_740_992_u64), &json!(u64::MAX));
    assert_eq!((&column["type"], &column["min"], &column["max"]), expected);
    let filter = json!([{"column": "id", "op": "gt", "value": 9_007_199_254_740_992_u64}]);
    let parameters =
        json!({"operation": "filter", "input": text, "options": {"conditions": filter, "infer_types": true}});
    let kept = call(&parameters).await.unwrap();
    assert_eq!(kept["items"], json!([{"id": 9_007_199_254_740_993_u64}, {"id": u64::MAX}]));
}

#[tokio::test]
async fn convert_keeps_every_cell() {
    let text = "b;a\n1;\"x;\ny\"\n007;\n";
    let table = [
        ("json", json!([{"b": 1, "a": "x;\ny"}, {"b": "007", "a": null}])),
        ("jsonl", json!("{\"b\":1,\"a\":\"x;\\ny\"}\n{\"b\":\"007\",\"a\":null}\n")),
        ("tsv", json!("b\ta\n1\t\"x;\ny\"\n007\t\n")),
        ("csv", json!("b,a\n1,\"x;\ny\"\n007,\n")),
    ];
    for (format, expected) in table {
        let parameters =
            json!({"operation": "convert", "input": text, "options": {"delimiter": ";", "format": format}});
        assert_eq!(call(&parameters).await, Ok(json!({"format": format, "rows": 2, "output": expected})), "{format}");
    }
    let plain = json!({"operation": "convert", "input": "1\n", "options": {"has_headers": false, "infer_types": false, "format": "json"}});
    assert_eq!(call(&plain).await.unwrap()["output"], json!([{"column_1": "1"}]));
}

#[tokio::test]
async fn filter_converts_cells_to_the_type_of_the_comparison_value() {
    let table = [
        (json!([{"column": "age", "op": "gt", "value": 36}]), "all", vec!["Alan"]),
        (json!([{"column": "age", "op": "gt", "value": "36"}]), "all", vec!["Alan"]),
        (json!([{"column": "age", "op": "is_null"}]), "all", vec!["Grace"]),
        (json!([{"column": "age", "op": "ne", "value": 36}]), "all", vec!["Alan", "Grace"]),
        (json!([{"column": "ok", "op": "eq", "value": true}, {"column": "age", "op": "not_null"}]), "all", vec!["Ada"]),
        (json!([{"column": "age", "op": "in", "value": [41, "36"]}]), "all", vec!["Ada", "Alan"]),
        (json!([{"column": "age", "op": "not_in", "value": [41]}]), "all", vec!["Ada", "Grace"]),
        (
            json!([{"column": "city", "op": "matches", "value": "^P"}, {"column": "name", "op": "eq", "value": "Ada"}]),
            "any",
            vec!["Ada", "Alan"],
        ),
        (json!([]), "all", vec!["Ada", "Alan", "Grace"]),
    ];
    for (conditions, join, expected) in table {
        let options = json!({"conditions": conditions, "match": join});
        let parameters = json!({"operation": "filter", "input": PEOPLE, "options": options});
        let result = call(&parameters).await.unwrap();
        let names: Vec<_> =
            result["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{conditions}");
        assert_eq!((&result["rows"], &result["matched"]), (&json!(3), &json!(expected.len())));
    }
    let bounded = json!({"operation": "filter", "input": PEOPLE, "options": {"conditions": [], "max_rows": 1}});
    let result = call(&bounded).await.unwrap();
    assert_eq!((&result["matched"], &result["truncated"]), (&json!(3), &json!(true)));
    assert_eq!(result["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_seed_yields_the_same_sample() {
    let text: String = std::iter::once("n\n".to_owned()).chain((0..1000).map(|n| format!("{n}\n"))).collect();
    let sample = async |seed: u64| {
        let parameters = json!({"operation": "sample", "input": text, "options": {"n": 20, "seed": seed}});
        let result = call(&parameters).await.unwrap();
        assert_eq!(result["rows"], 1000);
        let numbers = result["items"].as_array().unwrap().iter().map(|item| item["n"].as_u64().unwrap());
        numbers.collect::<Vec<_>>()
    };
    let first = sample(7).await;
    assert_eq!(first, sample(7).await);
    assert_ne!(first, sample(8).await);
    assert_eq!(first.len(), 20);
    assert!(first.is_sorted() && first[19] > 500, "{first:?}");
    let all = call(&json!({"operation": "sample", "input": "n\n1\n", "options": {"n": 5}})).await.unwrap();
    assert_eq!(all["items"], json!([{"n": 1}]));
}

#[tokio::test]
async fn invalid_csv_and_options_are_rejected() {
    let wide = format!("{}\n", vec!["a"; 1001].join(","));
    let analyze = |input: &str| json!({"operation": "analyze", "input": input});
    let with = |operation: &str, options: Value| json!({"operation": operation, "input": PEOPLE, "options": options});
    let table = [
        (analyze("a,b\n1,2\n3\n"), "line 3: expected 2 fields as in the previous rows, got 1"),
        (analyze("a,a\n"), "the header contains `a` twice"),
        (analyze(&wide), "the table has 1001 columns; the limit is 1000"),
        (json!({"operation": "analyze"}), "exactly one of `input` and `options.path` is required"),
        (with("analyze", json!({"path": "x.csv"})), "exactly one of `input` and `options.path` is required"),
        (with("analyze", json!({"format": "json"})), "this operation does not use `options.format`"),
        (
            with("analyze", json!({"delimiter": "ab"})),
            "`options.delimiter` must be a single ASCII character such as `;`",
        ),
        (with("analyze", json!({"top": 1001})), "`options.top` must be at most 1000, got 1001"),
        (with("convert", json!({})), "`convert` requires the parameter `options.format`"),
        (with("filter", json!({})), "`filter` requires the parameter `options.conditions`"),
        (with("sample", json!({})), "`sample` requires the parameter `options.n`"),
        (with("sample", json!({"n": 100_001})), "`options.n` must be at most 100000, got 100001"),
        (
            with("filter", json!({"conditions": [{"column": "nam", "op": "is_null"}]})),
            "unknown column `nam` (did you mean `name`?)",
        ),
        (
            with("filter", json!({"conditions": [{"column": "zzz", "op": "is_null"}]})),
            "unknown column `zzz` (the columns are `name`, `age`, `city`, `since`, `ok`)",
        ),
        (
            with("filter", json!({"conditions": [{"column": "name", "op": "eq"}]})),
            "invalid condition on `name`: `value` is required",
        ),
    ];
    for (parameters, expected) in table {
        assert_eq!(call(&parameters).await, Err(expected.to_owned()), "{parameters}");
    }
}

#[tokio::test]
async fn only_files_within_the_roots_and_the_size_limit_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "\u{feff}n\n1\n").unwrap();
    std::fs::write(folder.path().join("bad.csv"), b"n\n\xff\n").unwrap();
    std::fs::write(folder.path().join("large.csv"), "n\n".repeat(40)).unwrap();
    let policy = Policy { working_directory: Some(folder.path().to_owned()), file_bytes_max: 64, ..Policy::default() };
    let tool = tool(policy);
    let table = [
        ("a.csv", Ok(json!("n"))),
        ("bad.csv", Err("invalid_csv")),
        ("large.csv", Err("file_too_large")),
        ("none.csv", Err("file_not_found")),
        ("../a.csv", Err("path_outside_roots")),
        ("/etc/passwd", Err("path_outside_roots")),
    ];
    for (path, expected) in table {
        let parameters = json!({"operation": "analyze", "options": {"path": path}});
        let result = tool.call(parameters, &ToolContext::default()).await;
        let result = result.map(|result| result["columns"][0]["name"].clone()).map_err(|error| error.code);
        assert_eq!(result, expected, "{path}");
    }
}

#[tokio::test]
async fn an_unclosed_quote_is_an_error() {
    for (text, line) in [
        ("a,b\n1,\"x\n2,y\n3,z\n", Some(2)),
        ("\u{feff}\"a,b\n1,2\n", Some(1)),
        ("a\n\"x\"\"\n", Some(2)),
        ("a,b\n\"x\ny\",\"z\n", Some(3)),
        ("a,b\n1,\"x\"\"y\"\n", None),
        ("a,b\n1,x\"y\n", None),
        ("a,b\n1,\"\"", None),
        ("\u{feff}\"a\",b\n1,2\n", None),
    ] {
        for operation in ["analyze", "convert"] {
            let options = if operation == "convert" { json!({"format": "json"}) } else { json!({}) };
            let result = call(&json!({"operation": operation, "input": text, "options": options})).await;
            let expected = line.map(|line| format!("line {line}: unclosed quote"));
            assert_eq!(result.err(), expected, "{operation} {text:?}");
        }
    }
}

#[tokio::test]
async fn operations_that_return_text_reject_infer_types() {
    for (operation, format, is_accepted) in [
        ("analyze", None, false),
        ("convert", Some("csv"), false),
        ("convert", Some("jsonl"), true),
        ("filter", None, true),
    ] {
        let mut options = json!({"infer_types": false});
        if let Some(format) = format {
            options["format"] = json!(format);
        }
        if operation == "filter" {
            options["conditions"] = json!([]);
        }
        let result = call(&json!({"operation": operation, "input": "a\n1\n", "options": options})).await;
        let expected = (!is_accepted).then(|| "this operation does not use `options.infer_types`".to_owned());
        assert_eq!(result.err(), expected, "{operation} {format:?}");
    }
}

#[tokio::test]
async fn bad_rows_are_collected_and_good_rows_are_converted() {
    let table = "id,name\n1,\"two\nlines\"\n2\n3,c,d\n4,d\n";
    let options = json!({"format": "json", "bad_rows": "collect", "line_column": "line"});
    let result = call(&json!({"operation": "convert", "input": table, "options": options})).await.unwrap();
    let output = json!([{"id": 1, "name": "two\nlines", "line": 2}, {"id": 4, "name": "d", "line": 6}]);
    let rejected = json!([
        {"line": 4, "text": "2", "cells": ["2"], "problem": "expected 2 fields, got 1"},
        {"line": 5, "text": "3,c,d", "cells": ["3", "c", "d"], "problem": "expected 2 fields, got 3"},
    ]);
    assert_eq!(result, json!({"format": "json", "rows": 2, "output": output, "rejected": rejected}));
    for (options, expected) in [
        (json!({"format": "json"}), "line 4: expected 2 fields as in the previous rows, got 1"),
        (json!({"format": "json", "line_column": "id"}), "`options.line_column` is `id`, which is also a column"),
        (json!({"format": "csv", "line_column": "line"}), "this operation does not use `options.line_column`"),
    ] {
        let error = call(&json!({"operation": "convert", "input": table, "options": options})).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Collects the bad rows of `table`. Returns the first cell of each good row, and the line and
/// problem of each bad row.
async fn collected(table: &str) -> (Vec<Value>, Vec<(u64, String)>) {
    let options = json!({"format": "json", "bad_rows": "collect"});
    let result = call(&json!({"operation": "convert", "input": table, "options": options})).await.unwrap();
    let rows = result["output"].as_array().unwrap().iter().map(|row| row["a"].clone()).collect();
    let bad = result["rejected"].as_array().unwrap().iter();
    let bad = bad.map(|row| (row["line"].as_u64().unwrap(), row["problem"].as_str().unwrap().to_owned()));
    (rows, bad.collect())
}

#[tokio::test]
async fn reading_continues_after_an_unclosed_quote() {
    let unclosed = |line: u64| (line, "unclosed quote".to_owned());
    let wrong = |line: u64, given: u64| (line, format!("expected 2 fields, got {given}"));
    for (table, rows, bad) in [
        // The unclosed quote extends to the end of the table.
        ("a,b\n1,\"x\n2,y\n3,z\n", vec![2, 3], vec![unclosed(2)]),
        ("a,b\n1,x\n2,\"y", vec![1], vec![unclosed(3)]),
        // The next quote opens a cell, so it cannot close the first one.
        ("a,b\n1,\"x\n2,y\n3,\"z\"\n4,w\n", vec![2, 3, 4], vec![unclosed(2)]),
        ("a,b\n1,\"x\r\n2,\"y\"\r\n3,z\r\n", vec![2, 3], vec![unclosed(2)]),
        // The next quote seems to close the cell, but the row would have too many cells.
        ("a,b\n1,\"x\n2,y\n3,\", z\"\n4,w\n", vec![2, 3, 4], vec![unclosed(2)]),
        // Two consecutive rows with unclosed quotes precede a multi-line row.
        ("a,b\n1,\"x\n2,\"y\n3,\"z\nz\"\n4,w\n", vec![3, 4], vec![unclosed(2), unclosed(3)]),
        // A multi-line row is a single bad row unless one of its lines is a complete row.
        ("a,b\n1,\"x\ny\",2\n3,z\n", vec![3], vec![wrong(2, 3)]),
        ("a,b\n1,\"x\n\n\"\n3,z\n", vec![1, 3], vec![]),
        ("a,b\n1,x\"y\n2,\"\"\n", vec![1, 2], vec![]),
    ] {
        let rows: Vec<Value> = rows.into_iter().map(Value::from).collect();
        assert_eq!(collected(table).await, (rows, bad), "{table:?}");
    }
}

#[tokio::test]
async fn an_overlong_quoted_cell_counts_as_unclosed() {
    let table = |lines: usize| format!("a,b\n1,\"x{}\"\n2,z\n", "\nx".repeat(lines));
    assert_eq!(collected(&table(1000)).await, (vec![json!(1), json!(2)], vec![]));
    let (rows, bad) = collected(&table(1001)).await;
    assert_eq!((rows, bad.len(), &bad[0].1[..]), (vec![json!(2)], 1002, "unclosed quote"));
}

/// The `csv` crate reads a table as one stream; `Records` must return the same records.
#[test]
fn records_match_the_csv_crate() {
    let parts = ["a", ",", ",", "\"", "\"", "\"\"", "\n", "\n", "\r\n", "\r", " ", "é", "b,c", ",\"d,\n\","];
    let mut state = 7_u64;
    for _ in 0..5000 {
        let mut text = String::new();
        for _ in 0..1 + state % 12 {
            // The constants of Knuth's MMIX generator.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(parts[usize::try_from(state >> 33).unwrap() % parts.len()]);
        }
        let mut expected = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let expected: Vec<csv::StringRecord> = expected.records().map(Result::unwrap).collect();
        let mut records = records::Records::new(text.as_bytes(), "text".to_owned(), b',');
        let (mut all, mut record) = (Vec::new(), csv::StringRecord::new());
        let mut is_closed = true;
        while let Some(found) = records.read(&mut record).unwrap() {
            is_closed &= found == records::Found::Record;
            all.push(record.clone());
        }
        if is_closed {
            assert_eq!(all, expected, "{text:?}");
        }
    }
}
