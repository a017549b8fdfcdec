use serde_json::{Value, json};

use super::*;
use crate::Policy;

async fn call(parameters: &Value) -> Result<Value, String> {
    let result = DataTransformer::new(Services::for_tests(Policy::default()))
        .call(parameters.clone(), &ToolContext::default())
        .await;
    result.map_err(|error| error.to_string())
}

fn people() -> Value {
    json!([
        {"name": "Ada", "team": "a", "age": 36, "home": {"city": "London"}},
        {"name": "Alan", "team": "b", "age": 41},
        {"name": "Grace", "team": "a", "age": null},
        {"name": "Kurt", "team": "b", "age": 36.0},
    ])
}

#[tokio::test]
async fn each_operation_returns_the_documented_result() {
    let table = [
        (
            json!({"operation": "map", "mapping": {"name": "n"}}),
            json!([{"n": "Ada"}, {"n": "Alan"}, {"n": "Grace"}, {"n": "Kurt"}]),
        ),
        (
            json!({"operation": "filter", "conditions": [{"field": "age", "op": "ge", "value": 36}, {"field": "team", "op": "eq", "value": "b"}]}),
            json!([people()[1], people()[3]]),
        ),
        (
            json!({"operation": "filter", "match": "any", "conditions": [{"field": "age", "op": "is_null"}, {"field": "home.city", "op": "starts_with", "value": "Lon"}]}),
            json!([people()[0], people()[2]]),
        ),
        (
            json!({"operation": "filter", "conditions": [{"field": "age", "op": "eq", "value": null}]}),
            json!([people()[2]]),
        ),
        (
            json!({"operation": "select", "fields": ["name", "home.city"]}),
            json!([{"name": "Ada", "home": {"city": "London"}}, {"name": "Alan"}, {"name": "Grace"}, {"name": "Kurt"}]),
        ),
        (
            json!({"operation": "sort", "by": ["age", {"field": "name", "order": "desc"}]}),
            json!([people()[3], people()[0], people()[1], people()[2]]),
        ),
        (
            json!({"operation": "sort", "by": [{"field": "age", "order": "desc"}]}),
            json!([people()[1], people()[0], people()[3], people()[2]]),
        ),
        (
            json!({"operation": "group_by", "fields": ["team"], "aggregates": {
                "people": {"op": "count"}, "aged": {"op": "count", "field": "age"}, "total": {"op": "sum", "field": "age"},
                "mean": {"op": "mean", "field": "age"}, "oldest": {"op": "max", "field": "age"}, "youngest": {"op": "min", "field": "age"},
                "first": {"op": "first", "field": "name"}, "last": {"op": "last", "field": "name"},
                "names": {"op": "collect", "field": "name"}, "ages": {"op": "count_distinct", "field": "age"},
            }}),
            json!([
                {"team": "a", "people": 2, "aged": 1, "total": 36, "mean": 36.0, "oldest": 36, "youngest": 36, "first": "Ada", "last": "Grace", "names": ["Ada", "Grace"], "ages": 1},
                {"team": "b", "people": 2, "aged": 2, "total": 77.0, "mean": 38.5, "oldest": 41, "youngest": 36.0, "first": "Alan", "last": "Kurt", "names": ["Alan", "Kurt"], "ages": 2},
            ]),
        ),
        (json!({"operation": "unique", "fields": ["age"]}), json!([people()[0], people()[1], people()[2]])),
        (
            json!({"operation": "join", "with": [{"team": "a", "lead": "Ada"}], "on": {"left": "team", "right": "team"}}),
            json!([
                {"name": "Ada", "team": "a", "age": 36, "home": {"city": "London"}, "lead": "Ada"},
                {"name": "Grace", "team": "a", "age": null, "lead": "Ada"},
            ]),
        ),
        (
            json!({"operation": "join", "kind": "left", "prefix": "t_", "with": [{"id": "b"}], "on": {"left": "team", "right": "id"}}),
            json!([
                people()[0],
                {"name": "Alan", "team": "b", "age": 41, "t_id": "b"},
                people()[2],
                {"name": "Kurt", "team": "b", "age": 36.0, "t_id": "b"},
            ]),
        ),
    ];
    for (mut parameters, expected) in table {
        let out = expected.as_array().unwrap().len();
        parameters["input"] = people();
        let expected = json!({"result": expected, "items_in": 4, "items_out": out});
        assert_eq!(call(&parameters).await, Ok(expected), "{parameters}");
    }
}

#[tokio::test]
async fn map_rename_and_flatten_return_an_object_if_given_an_object() {
    let table = [
        (json!({"operation": "map", "input": {"a": 1}, "mapping": {"a": "b"}}), json!({"b": 1})),
        (
            json!({"operation": "rename", "input": "{\"a\": 1, \"c\": 2}", "mapping": {"a": "b", "x": "y"}}),
            json!({"b": 1, "c": 2}),
        ),
        (
            json!({"operation": "flatten", "input": {"a": {"b": [1, {"c": 2}], "d": {}}, "e": null}}),
            json!({"a.b[0]": 1, "a.b[1].c": 2, "a.d": {}, "e": null}),
        ),
        (json!({"operation": "flatten", "input": {"a": {"b": 1}}, "separator": "_"}), json!({"a_b": 1})),
        (json!({"operation": "filter", "input": {"a": 1}, "conditions": []}), json!([{"a": 1}])),
        (json!({"operation": "unique", "input": []}), json!([])),
    ];
    for (parameters, expected) in table {
        assert_eq!(call(&parameters).await.unwrap()["result"], expected, "{parameters}");
    }
}

#[tokio::test]
async fn invalid_parameters_and_items_are_rejected() {
    let table = [
        (json!({"operation": "map", "input": {}}), "`map` requires the parameter `mapping`"),
        (
            json!({"operation": "map", "input": {}, "mapping": {}, "prefix": "x"}),
            "`map` does not accept the parameter `prefix` (it accepts `mapping`, `input`, `input_path`, `output_path`, `constants`)",
        ),
        (json!({"operation": "sort", "input": {}}), "`sort` requires the parameter `by`"),
        (json!({"operation": "join", "input": {}, "with": []}), "`join` requires the parameter `on`"),
        (
            json!({"operation": "unique", "input": 7}),
            "`input` must be an object or an array of objects, got an integer",
        ),
        (json!({"operation": "unique", "input": [{}, "x"]}), "item 1 of `input` must be an object, got a string"),
        (
            json!({"operation": "unique", "input": "["}),
            "the text is not valid JSON: EOF while parsing a list at line 1 column 1",
        ),
        (
            json!({"operation": "rename", "input": {"a": 1, "b": 2}, "mapping": {"a": "b"}}),
            "item 0 would have two fields named `b`",
        ),
        (
            json!({"operation": "rename", "input": {"a": 1}, "mapping": {"a": {"path": "b"}}}),
            "the new name of `a` must be a string",
        ),
        (
            json!({"operation": "flatten", "input": {"a": {"b": 1}, "a.b": 2}}),
            "item 0 would have two fields named `a.b`",
        ),
        (
            json!({"operation": "select", "input": {}, "fields": ["a..b"]}),
            "the path `a..b` is invalid at character 2; expected a path such as `a.b[0]` or `[\"a b\"]`",
        ),
        (
            json!({"operation": "filter", "input": {}, "conditions": [{"field": "a", "op": "in", "value": 1}]}),
            "invalid condition on `a`: `value` must be an array for `in` and `not_in`",
        ),
        (
            json!({"operation": "group_by", "input": {}, "fields": ["a"], "aggregates": {"x": {"op": "sum"}}}),
            "invalid aggregate `x`: `field` is required",
        ),
        (
            json!({"operation": "group_by", "input": {"b": "x"}, "fields": ["a"], "aggregates": {"x": {"op": "sum", "field": "b"}}}),
            "cannot aggregate `b`: expected numbers, got a string",
        ),
        (
            json!({"operation": "join", "input": {"k": 1, "a": 1}, "with": [{"k": 1, "a": 2}], "on": {"left": "k", "right": "k"}}),
            "both sides of the join have a field named `a` (set a `prefix` for the field names of the right side)",
        ),
    ];
    for (parameters, expected) in table {
        assert_eq!(call(&parameters).await, Err(expected.to_owned()), "{parameters}");
    }
}

#[tokio::test]
async fn the_size_of_a_join_is_limited() {
    let same = |count: usize, name: &str| -> Value { (0..count).map(|at| json!({"k": 0, name: at})).collect() };
    let parameters = json!({
        "operation": "join", "input": same(1001, "a"), "with": same(1000, "b"), "on": {"left": "k", "right": "k"},
    });
    assert_eq!(
        call(&parameters).await,
        Err("the join produces more than 1000000 items (write them to `output_path`)".to_owned())
    );
}

#[tokio::test]
async fn a_cancelled_call_stops_with_an_error() {
    let context = ToolContext::default();
    context.cancellation.cancel();
    let parameters = json!({"operation": "unique", "input": []});
    let error =
        DataTransformer::new(Services::for_tests(Policy::default())).call(parameters, &context).await.unwrap_err();
    assert_eq!(error.code, "cancelled");
}

#[tokio::test]
async fn sums_fail_on_overflow_but_means_never_overflow() {
    let over = |op: &str| {
        json!({
            "operation": "group_by", "input": [{"k": 1, "v": 1e308}, {"k": 1, "v": 1e308}], "fields": ["k"],
            "aggregates": {"x": {"op": op, "field": "v"}},
        })
    };
    assert_eq!(call(&over("sum")).await.unwrap_err(), "the sum of `v` is too large to represent");
    assert_eq!(call(&over("mean")).await.unwrap()["result"], json!([{"k": 1, "x": 1e308}]));
}
