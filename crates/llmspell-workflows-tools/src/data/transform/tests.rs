use serde_json::{Value, json};

use super::*;

async fn call(parameters: &Value) -> Result<Value, String> {
    let result = DataTransformer::new().call(parameters.clone(), &ToolContext::default()).await;
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
async fn operations_give_their_results() {
    let table = [
        (
            json!({"operation": "map", "mapping": {"n": "name"}}),
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
async fn an_object_gives_an_object_where_items_stay_themselves() {
    let table = [
        (json!({"operation": "map", "input": {"a": 1}, "mapping": {"b": "a"}}), json!({"b": 1})),
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
async fn what_is_wrong_is_said() {
    let table = [
        (json!({"operation": "map", "input": {}}), "`map` needs the parameter `mapping`"),
        (
            json!({"operation": "map", "input": {}, "mapping": {}, "prefix": "x"}),
            "`prefix` means nothing to `map` (it takes `input`, `mapping`)",
        ),
        (json!({"operation": "sort", "input": {}}), "`sort` needs the parameter `by`"),
        (json!({"operation": "join", "input": {}, "with": []}), "`join` needs the parameter `on`"),
        (
            json!({"operation": "unique", "input": 7}),
            "`input` is an integer; it should be an object or an array of objects",
        ),
        (json!({"operation": "unique", "input": [{}, "x"]}), "item 1 of `input` is a string; items are objects"),
        (
            json!({"operation": "unique", "input": "["}),
            "the text is no JSON: EOF while parsing a list at line 1 column 1",
        ),
        (
            json!({"operation": "rename", "input": {"a": 1, "b": 2}, "mapping": {"a": "b"}}),
            "item 0 would have two fields `b`",
        ),
        (
            json!({"operation": "rename", "input": {"a": 1}, "mapping": {"a": {"path": "b"}}}),
            "the new name of `a` is no string",
        ),
        (json!({"operation": "flatten", "input": {"a": {"b": 1}, "a.b": 2}}), "item 0 would have two fields `a.b`"),
        (
            json!({"operation": "select", "input": {}, "fields": ["a..b"]}),
            "the path `a..b` breaks at character 2; write it like `a.b[0]` or `[\"a b\"]`",
        ),
        (
            json!({"operation": "filter", "input": {}, "conditions": [{"field": "a", "op": "in", "value": 1}]}),
            "the condition on `a` cannot be used: `in` and `not_in` need an array as `value`",
        ),
        (
            json!({"operation": "group_by", "input": {}, "fields": ["a"], "aggregates": {"x": {"op": "sum"}}}),
            "the aggregate `x` cannot be used: it needs a `field`",
        ),
        (
            json!({"operation": "group_by", "input": {"b": "x"}, "fields": ["a"], "aggregates": {"x": {"op": "sum", "field": "b"}}}),
            "`b` cannot be summed up, since it is a string in an item",
        ),
        (
            json!({"operation": "join", "input": {"k": 1, "a": 1}, "with": [{"k": 1, "a": 2}], "on": {"left": "k", "right": "k"}}),
            "both sides of the join have a field `a` (give a `prefix` for the names of the right side)",
        ),
    ];
    for (parameters, expected) in table {
        assert_eq!(call(&parameters).await, Err(expected.to_owned()), "{parameters}");
    }
}

#[tokio::test]
async fn a_join_is_bounded() {
    let same = |count: usize, name: &str| -> Value { (0..count).map(|at| json!({"k": 0, name: at})).collect() };
    let parameters = json!({
        "operation": "join", "input": same(1001, "a"), "with": same(1000, "b"), "on": {"left": "k", "right": "k"},
    });
    assert_eq!(call(&parameters).await, Err("the join makes more than 1000000 items".to_owned()));
}

#[tokio::test]
async fn a_cancelled_call_stops() {
    let context = ToolContext::default();
    context.cancellation.cancel();
    let parameters = json!({"operation": "unique", "input": []});
    let error = DataTransformer::new().call(parameters, &context).await.unwrap_err();
    assert_eq!(error.code, "cancelled");
}

#[tokio::test]
async fn a_sum_beyond_the_numbers_is_refused_and_a_mean_is_not() {
    let over = |op: &str| {
        json!({
            "operation": "group_by", "input": [{"k": 1, "v": 1e308}, {"k": 1, "v": 1e308}], "fields": ["k"],
            "aggregates": {"x": {"op": op, "field": "v"}},
        })
    };
    assert_eq!(call(&over("sum")).await.unwrap_err(), "the sum of `v` is too large for a number");
    assert_eq!(call(&over("mean")).await.unwrap()["result"], json!([{"k": 1, "x": 1e308}]));
}
