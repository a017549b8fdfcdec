//! Renders values for people: strings as they are, lists of flat objects as tables, and everything
//! else as YAML.

use llmspell_workflows_definition::value_to_yaml;
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use crate::escape::escape_line;

/// The maximum width of a table column, in screen columns.
const COLUMN_MAX: usize = 60;

/// Renders `value` with a trailing line break; null renders as nothing.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() || text.ends_with('\n') => text.clone(),
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => table(items).unwrap_or_else(|| value_to_yaml(value)),
        Value::Object(fields) => object(fields),
        _ => value_to_yaml(value),
    }
}

/// Renders an object; tables and multi-line strings are placed below their field name.
fn object(fields: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, field) in fields {
        match field {
            Value::Array(items) if let Some(table) = table(items) => {
                text += &format!("{name}:\n");
                table.lines().for_each(|line| text += &format!("  {line}\n"));
            }
            _ => text += &value_to_yaml(&Value::Object(Map::from_iter([(name.clone(), field.clone())]))),
        }
    }
    text
}

/// Renders `items` as a table if all are flat objects.
pub(crate) fn table(items: &[Value]) -> Option<String> {
    let rows: Vec<&Map<String, Value>> = items.iter().map(Value::as_object).collect::<Option<_>>()?;
    let is_flat = |row: &&Map<String, Value>| !row.is_empty() && row.values().all(|value| !is_deep(value));
    if rows.is_empty() || !rows.iter().all(is_flat) {
        return None;
    }
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let is_numeric = |value: &Value| value.is_number() || value.is_null();
    let is_number = |name: &str| rows.iter().all(|row| row.get(name).is_none_or(is_numeric));
    // Text columns come before number columns, because objects do not keep the order of their fields.
    columns.sort_by_key(|name| is_number(name));
    let cells =
        |row: &&Map<String, Value>| -> Vec<String> { columns.iter().map(|name| cell(row.get(*name))).collect() };
    let body: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let head: Vec<String> = columns.iter().map(|name| escape_line(name).into_owned()).collect();
    let to_right: Vec<bool> = columns.iter().map(|name| is_number(name)).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| body.iter().chain([&head]).map(|row| row[at].width()).max().unwrap_or_default())
        .collect();
    let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| {
            let space = " ".repeat(widths[at] - cell.width().min(widths[at]));
            if to_right[at] { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    Some([head, rule].iter().chain(&body).map(line).collect())
}

fn is_deep(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

/// Renders a cell as one line, truncated to the maximum width.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.trim().replace(['\n', '\t', '\r'], " "),
        Some(other) => other.to_string(),
    };
    console::truncate_str(&escape_line(&text), COLUMN_MAX, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_rendered_according_to_their_shape() {
        for (given, expected) in [
            (json!(null), ""),
            (json!("# Title\n"), "# Title\n"),
            (json!("one line"), "one line\n"),
            (json!(3), "3\n"),
            (json!(["a", "b"]), "- a\n- b\n"),
            (json!([{"n": 10, "name": "ä"}, {"n": 9, "name": "bc"}]), "name   n\n────  ──\nä     10\nbc     9\n"),
            (json!([{"row": {"deep": 1}}]), "- row:\n    deep: 1\n"),
            (json!({"rows": [{"a": 1}], "sum": 1}), "rows:\n  a\n  ─\n  1\nsum: 1\n"),
        ] {
            assert_eq!(value(&given), expected, "{given}");
        }
    }
}
