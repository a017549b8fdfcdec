use async_trait::async_trait;
use llmspell_workflows_basic::JsonError;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::jq::{self, Query};
use super::row_files::{
    self, Files, InputPaths, RowOutput, input_path_schema, one_input, path_schema, rows_spec, with_conditions,
};
use super::schema_check::{CompiledSchema, Violations, violation_schema};
use super::support::{
    OperationParameters, blocking, check_operation, check_text_size, invalid, json_error, json_or_text, object_schema,
    per_operation, read, require, some_value,
};
use crate::{Permission, Services, Tool, ToolContext, ToolError, ToolSpec};

/// Queries JSON with jq, validates it against a JSON Schema, and processes newline-delimited JSON.
///
/// - `query` returns `{result, results}`. `results` contains all outputs of the query in order. `result` is null if
///   there are no outputs, the output itself if there is exactly one, and otherwise the same array as `results`.
/// - `validate` returns `{valid, errors, truncated}` with all violations.
/// - `stream` takes newline-delimited JSON (or an array), runs the query on each item separately, and returns
///   `{results, items}` with the outputs of all items in order.
///
/// `input` is a JSON value, or a string parsed as JSON. A number in JSON text that would be rounded
/// is an error.
///
/// With `input_path` instead of `input`, the rows come from a file, or from several files read one
/// after the other. In this case, `query` and `stream` do the same: they apply the query to each
/// row, with separate limits for each row, and return `{results, items}`. With `output_path`, each
/// output becomes a row of a file in JSON Lines, and `{path, rows}` replaces the outputs. Rows are
/// read and written one at a time.
pub(crate) struct JsonProcessor {
    spec: ToolSpec,
    services: Services,
    limits: jq::Limits,
}

const FILES: &[&str] = &["input", "input_path", "output_path"];

const OPERATIONS: [OperationParameters; 3] = [
    ("query", &["query"], FILES),
    ("validate", &["input", "schema"], &[]),
    ("stream", &[], &["query", "input", "input_path", "output_path"]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    operation: Operation,
    #[serde(default, deserialize_with = "some_value")]
    input: Option<Value>,
    input_path: Option<InputPaths>,
    output_path: Option<String>,
    query: Option<String>,
    schema: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Query,
    Validate,
    Stream,
}

impl JsonProcessor {
    pub(crate) fn new(services: Services) -> Self {
        let parameters = json!({
            "operation": { "enum": ["query", "validate", "stream"], "description": "The operation" },
            "input": { "description": "A JSON value or JSON text; for `stream`, one JSON value per line, or an array" },
            "input_path": input_path_schema(),
            "output_path": path_schema("A `.jsonl` file for the query's outputs, one per line; the result then omits them"),
            "query": { "type": "string", "description": "A jq filter; `.` by default for `stream`. With `input_path`, it is applied to each row" },
            "schema": { "type": ["object", "boolean"], "description": "A JSON Schema; draft 7 unless `$schema` names another draft" },
        });
        let result = json!({
            "result": { "description": "The output, or an array of all outputs if there are several" },
            "results": { "type": "array", "description": "All outputs in order" },
            "items": { "type": "integer", "minimum": 0, "description": "The number of items read from the stream or the file" },
            "path": { "type": "string", "description": "The file with the outputs" },
            "rows": { "type": "integer", "minimum": 0, "description": "The number of outputs in the file" },
            "valid": { "type": "boolean" },
            "errors": {
                "type": "array",
                "items": violation_schema(&json!({ "schema_path": { "type": "string" } })),
            },
            "truncated": { "type": "boolean", "description": "Whether there are more errors than listed" },
        });
        let parameters = per_operation(object_schema(&["operation"], parameters), &OPERATIONS);
        Self {
            spec: rows_spec(
                "json_processor",
                "Queries JSON with jq, validates it against a JSON Schema, or processes newline-delimited JSON.",
                with_conditions(parameters, one_input()),
                object_schema(&[], result),
            ),
            services,
            limits: jq::Limits::default(),
        }
    }

    async fn query(&self, parameters: Parameters, context: &ToolContext) -> Result<Value, ToolError> {
        let query = require(parameters.query, "query", "query")?;
        let input = json_or_text(require(parameters.input, "input", "query")?)?;
        let mut outputs = jq::run(query, vec![input], self.limits.clone(), &context.cancellation).await?;
        let results = outputs.pop().unwrap_or_default();
        let result = match results.as_slice() {
            [] => Value::Null,
            [one] => one.clone(),
            many => json!(many),
        };
        Ok(json!({ "result": result, "results": results }))
    }

    async fn stream(&self, parameters: Parameters, context: &ToolContext) -> Result<Value, ToolError> {
        let query = parameters.query.unwrap_or_else(|| ".".to_owned());
        let items = items(require(parameters.input, "input", "stream")?)?;
        let count = items.len();
        let outputs = jq::run(query, items, self.limits.clone(), &context.cancellation).await?;
        let results: Vec<Value> = outputs.into_iter().flatten().collect();
        Ok(json!({ "results": results, "items": count }))
    }

    /// Applies the query to each row of a file, or writes its outputs to a file, or both.
    async fn rows(&self, parameters: Parameters, context: &ToolContext) -> Result<Value, ToolError> {
        let Parameters { operation, input, input_path, output_path, query, .. } = parameters;
        let query = match operation {
            Operation::Query => require(query, "query", "query")?,
            _ => query.unwrap_or_else(|| ".".to_owned()),
        };
        let inputs = match (input, operation) {
            (None, _) => Vec::new(),
            (Some(_), _) if input_path.is_some() => {
                return Err(invalid("unused_parameter", "set either `input` or `input_path`"));
            }
            (Some(input), Operation::Stream) => items(input)?,
            (Some(input), _) => vec![json_or_text(input)?],
        };
        let services = self.services.clone();
        let work = move |query: &Query<'_>, token: &CancellationToken| {
            let read = [("input_path", InputPaths::of(&input_path))];
            let files = Files::locate(&services, &read, &[("output_path", &output_path)])?;
            let source = files.rows("input_path", token)?;
            let mut outputs = RowOutput::create(&files)?;
            let items = match source {
                Some(mut source) => {
                    while let Some(row) = source.next()? {
                        query.run(row.value, |output| outputs.add(output)).map_err(|error| source.error(error))?;
                    }
                    source.count()
                }
                None => {
                    let count = inputs.len() as u64;
                    inputs.into_iter().try_for_each(|input| query.run(input, |output| outputs.add(output)))?;
                    count
                }
            };
            let mut result = outputs.finish("results", token)?;
            result["items"] = json!(items);
            Ok(result)
        };
        jq::with_query(query, self.limits.clone(), &context.cancellation, work).await
    }
}

#[async_trait]
impl Tool for JsonProcessor {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn permissions(&self, parameters: &Value) -> &'static [Permission] {
        row_files::permissions(parameters)
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        check_operation(&parameters, &OPERATIONS)?;
        let parameters: Parameters = read(parameters)?;
        let has_files = parameters.input_path.is_some() || parameters.output_path.is_some();
        match parameters.operation {
            Operation::Query | Operation::Stream if has_files => self.rows(parameters, context).await,
            Operation::Query => self.query(parameters, context).await,
            Operation::Stream => self.stream(parameters, context).await,
            Operation::Validate => blocking(context, |_| validate(parameters)).await,
        }
    }
}

fn validate(parameters: Parameters) -> Result<Value, ToolError> {
    let schema = CompiledSchema::compile(&require(parameters.schema, "schema", "validate")?)?;
    let Violations { listed, truncated } =
        schema.check(&json_or_text(require(parameters.input, "input", "validate")?)?)?;
    Ok(json!({ "valid": listed.is_empty(), "errors": listed, "truncated": truncated }))
}

/// Returns the items of a stream: the lines of a string, the elements of an array, or a single value.
fn items(input: Value) -> Result<Vec<Value>, ToolError> {
    let text = match input {
        Value::String(text) => text,
        Value::Array(items) => return Ok(items),
        one => return Ok(vec![one]),
    };
    check_text_size(text.len())?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            llmspell_workflows_basic::parse_json_exactly(line.as_bytes()).map_err(|error| {
                let failed = json_error(&format!("line {} of `input`", index + 1), &error);
                let failed = match error {
                    JsonError::Syntax(_) => failed.with_help("write one JSON value per line"),
                    _ => failed,
                };
                failed.with_details(json!({ "line": index + 1 }))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    async fn call(parameters: Value) -> Result<Value, String> {
        let tool = JsonProcessor::new(Services::for_tests(Policy::default()));
        let result = tool.call(parameters, &ToolContext::default()).await;
        result.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn each_operation_returns_the_documented_result() {
        let table = [
            (
                json!({"operation": "query", "input": {"a": [1, 2]}, "query": ".a[0]"}),
                json!({"result": 1, "results": [1]}),
            ),
            (
                json!({"operation": "query", "input": "{\"a\": [1, 2]}", "query": ".a[]"}),
                json!({"result": [1, 2], "results": [1, 2]}),
            ),
            (json!({"operation": "query", "input": [], "query": ".[]"}), json!({"result": null, "results": []})),
            (
                json!({"operation": "stream", "input": "{\"n\": 1}\n\n{\"n\": 2}\r\n", "query": ".n, .n * 10"}),
                json!({"results": [1, 10, 2, 20], "items": 2}),
            ),
            (json!({"operation": "stream", "input": [1, "two"]}), json!({"results": [1, "two"], "items": 2})),
            (
                json!({"operation": "validate", "input": "[1]", "schema": {"type": "array"}}),
                json!({"valid": true, "errors": [], "truncated": false}),
            ),
        ];
        for (parameters, expected) in table {
            assert_eq!(call(parameters.clone()).await, Ok(expected), "{parameters}");
        }
        let invalid = call(json!({"operation": "validate", "input": {"a": "x"}, "schema": {
            "required": ["b"], "properties": {"a": {"type": "integer"}},
        }}));
        let expected = json!({
            "valid": false,
            "errors": [
                {
                    "path": "", "rule": "required", "message": "\"b\" is a required property",
                    "schema_path": "/required", "value": {"a": "x"},
                },
                {
                    "path": "/a", "rule": "type", "message": "the value is not of type \"integer\"",
                    "schema_path": "/properties/a/type", "value": "x",
                },
            ],
            "truncated": false,
        });
        assert_eq!(invalid.await, Ok(expected));
    }

    #[tokio::test]
    async fn errors_name_the_invalid_parameter_or_line() {
        let table = [
            (json!({"operation": "query", "input": 1}), "`query` requires the parameter `query`"),
            (json!({"operation": "validate", "input": 1}), "`validate` requires the parameter `schema`"),
            (
                json!({"operation": "query", "input": "{", "query": "."}),
                "the text is not valid JSON: EOF while parsing an object at line 1 column 1",
            ),
            (
                json!({"operation": "stream", "input": "1\n{]"}),
                "line 2 of `input` is not valid JSON: key must be a string at line 1 column 2 (write one JSON value per line)",
            ),
        ];
        for (parameters, expected) in table {
            assert_eq!(call(parameters.clone()).await, Err(expected.to_owned()), "{parameters}");
        }
    }

    #[tokio::test]
    async fn numbers_stay_exact_or_are_rejected() {
        let rounded = |text: &str| Err(format!("`{text}`"));
        for (operation, input, query, expected) in [
            ("query", "[1.10, 0.1, 1e30, 9007199254740993]", ".", Ok("[1.1,0.1,1e+30,9007199254740993]")),
            ("query", "{\"a\": 9007199254740993.0}", ".", rounded("9007199254740993.0")),
            ("stream", "1.5\n0.12345678901234567891", ".", rounded("0.12345678901234567891")),
            ("query", "null", "9007199254740993.0", rounded("9007199254740993.0")),
            ("query", "\"1.10\"", "tonumber", Ok("1.1")),
            ("query", "\"9007199254740993.0\"", "tonumber", rounded("9007199254740993.0")),
        ] {
            let result = call(json!({"operation": operation, "input": input, "query": query})).await;
            match expected {
                Ok(expected) => {
                    assert_eq!(result.map(|found| found["result"].to_string()).as_deref(), Ok(expected), "{query}")
                }
                Err(part) => {
                    assert!(result.as_ref().is_err_and(|error| error.contains(&part)), "{input}, {query}: {result:?}")
                }
            }
        }
    }

    #[tokio::test]
    async fn an_error_names_the_failing_item_of_a_stream() {
        let parameters = json!({"operation": "stream", "input": "[1]\n2", "query": ".[0]"});
        let error = JsonProcessor::new(Services::for_tests(Policy::default()))
            .call(parameters, &ToolContext::default())
            .await
            .unwrap_err();
        assert_eq!(error.details, Some(json!({"item": 1})));
    }
}
