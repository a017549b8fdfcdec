//! `docs/expressions.md` matches the code.
//!
//! Its tables of functions and limits are generated from the code (`UPDATE_DOCS=1 cargo test` writes them), and every
//! example in a table is evaluated.

use std::fs;
use std::path::PathBuf;

use llmspell_workflows_basic::expr::{Expr, function_docs, limits};
use serde_json::Value;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/expressions.md")
}

/// Escapes text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

fn functions() -> String {
    let mut table = "| function | description | example | result |\n|---|---|---|---|\n".to_owned();
    for function in function_docs() {
        let names = function.names.join("`, `");
        let parameters = function.parameters.join(", ");
        table.push_str(&format!(
            "| `{names}` ({parameters}) | {} | `{}` | `{}` |\n",
            cell(function.returns),
            cell(function.example),
            cell(function.result),
        ));
    }
    table
}

fn limits() -> String {
    let rows = [
        ("SOURCE_BYTES_MAX", limits::SOURCE_BYTES_MAX as u64, "bytes of an expression"),
        (
            "NESTING_MAX",
            limits::NESTING_MAX as u64,
            "nesting levels of parentheses, lists, arguments, signs and branches",
        ),
        ("OPERATIONS_MAX", limits::OPERATIONS_MAX, "operations per evaluation"),
        ("ITEMS_PER_OPERATION", limits::ITEMS_PER_OPERATION, "elements or fields that may be visited per operation"),
        (
            "TEXT_BYTES_PER_OPERATION",
            limits::TEXT_BYTES_PER_OPERATION,
            "bytes of text that may be visited per operation",
        ),
        (
            "PRODUCED_BYTES_MAX",
            limits::PRODUCED_BYTES_MAX as u64,
            "bytes of text, lists and objects that an evaluation creates",
        ),
        (
            "RENDERED_BYTES_MAX",
            limits::RENDERED_BYTES_MAX as u64,
            "bytes of text, lists and objects that a template creates",
        ),
        (
            "PASSED_ON_BYTES_MAX",
            limits::PASSED_ON_BYTES_MAX as u64,
            "bytes of existing values that a template passes on as they are",
        ),
        (
            "VALUE_DEPTH_MAX",
            limits::VALUE_DEPTH_MAX as u64,
            "nesting levels of a value that is compared, copied or converted to text",
        ),
    ];
    let mut table = "| limit | value | unit |\n|---|---|---|\n".to_owned();
    for (name, value, meaning) in rows {
        table.push_str(&format!("| `{name}` | {value} | {meaning} |\n"));
    }
    table
}

/// Returns the page with a generated part replaced.
fn with_part(page: &str, name: &str, table: &str) -> String {
    let open = format!("<!-- {name}, generated from the code -->\n");
    let (before, rest) = page.split_once(&open).expect("the page contains the generated part");
    let (_, after) = rest.split_once("<!-- end -->").expect("the generated part has an end marker");
    format!("{before}{open}{table}<!-- end -->{after}")
}

#[test]
fn generated_parts_are_up_to_date() {
    let page = fs::read_to_string(path()).unwrap();
    let made = with_part(&page, "functions", &functions());
    let made = with_part(&made, "limits", &limits());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(), made).unwrap();
        return;
    }
    assert!(page == made, "docs/expressions.md is not up to date: run the tests with UPDATE_DOCS=1");
}

#[test]
fn every_example_evaluates_to_the_documented_result() {
    let page = fs::read_to_string(path()).unwrap();
    let (_, rest) = page.split_once("```json\n").expect("the page contains the scope of its examples");
    let (scope, _) = rest.split_once("```").expect("the code block of the scope is closed");
    let scope: Value = serde_json::from_str(scope).unwrap();
    let mut count = 0;
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let row = row.replace(r"\|", "\u{0}");
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect();
        let [.., example, result, _] = cells.as_slice() else {
            continue;
        };
        let code = |cell: &str| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned());
        let (Some(example), Some(result)) = (code(example), code(result)) else {
            continue;
        };
        let expected: Value = serde_json::from_str(&result).expect(&result);
        let expression = Expr::parse(&example).unwrap_or_else(|error| panic!("{example}: {error}"));
        let value = expression.evaluate_strict(&scope).map(|value| value.into_owned());
        assert_eq!(value, Ok(expected), "{example}");
        count += 1;
    }
    assert!(count >= 20 + function_docs().count(), "only {count} examples were found");
}
