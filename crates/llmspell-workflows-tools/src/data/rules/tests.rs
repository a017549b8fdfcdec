use serde_json::{Value, json};

use super::*;

/// Evaluates expressions of the form `field > number`.
struct Greater;

impl ExpressionEvaluator for Greater {
    fn test(&self, expression: &str, item: &Value) -> Result<bool, String> {
        let (field, bound) = expression.split_once(" > ").ok_or("`>` is missing")?;
        let value = item[field].as_f64().ok_or_else(|| format!("`{field}` is not a number"))?;
        Ok(value > bound.parse().map_err(|_| "expected a number after `>`")?)
    }
}

async fn call(parameters: &Value) -> Result<Value, String> {
    let tool = RuleEngine::new(Some(Arc::new(Greater)));
    let result = tool.call(parameters.clone(), &ToolContext::default()).await;
    result.map_err(|error| error.to_string())
}

/// Returns `path: message` for each violation.
fn violations(result: &Value) -> Vec<String> {
    let list = result["violations"].as_array().unwrap().iter();
    list.map(|one| format!("{}: {}", one["path"].as_str().unwrap(), one["message"].as_str().unwrap())).collect()
}

/// Returns `target values/violations` for each check, or the reason why the target was not checked.
fn checked(result: &Value) -> Vec<String> {
    let list = result["checked"].as_array().unwrap().iter();
    list.map(|one| match one["reason"].as_str() {
        Some(reason) => format!("{} not checked: {reason}", one["target"].as_str().unwrap()),
        None => format!("{} {}/{}", one["target"].as_str().unwrap(), one["values"], one["violations"]),
    })
    .collect()
}

fn shop() -> Value {
    json!({
        "users": [{"id": 1, "email": "a@b.c", "age": 36}, {"id": 2, "email": "a@b.c", "age": -1}, {"id": 1.0, "email": null}],
        "orders": [
            {"order_id": "x", "user_id": 1, "category_ids": [7, 8], "coupon_id": "c", "paid": true},
            {"order_id": "y", "user_id": 9, "category_ids": [7], "total": "NaN"},
            {"order_id": "x", "user_id": null, "total": 12.5},
        ],
        "categories": [{"uuid": 7, "parent_id": null}, {"uuid": 5, "parent_id": 6}],
        "place": {"latitude": 91, "homeLongitude": 10, "percent": 100},
        "notes": [{"text": "Infinity"}],
    })
}

#[tokio::test]
async fn rules_given_only_by_name_report_violations() {
    let rules = ["uniqueness", "referential_integrity", "value_ranges"];
    let result = call(&json!({"input": shop(), "rules": rules})).await.unwrap();
    assert_eq!(
        violations(&result),
        [
            "orders[2]: duplicate `order_id`, already used in orders[0]",
            "users[2]: duplicate `id`, already used in users[0]",
            "categories[1]: `parent_id` does not match any item in categories",
            "orders[0]: `category_ids` does not match any item in categories",
            "orders[1]: `user_id` does not match any item in users",
            "orders[1].total: not a finite number",
            "place.latitude: must be between -90 and 90",
            "users[1].age: must be between 0 and 150",
        ]
    );
    assert_eq!((&result["valid"], &result["complete"]), (&json!(false), &json!(false)));
    assert_eq!(
        checked(&result),
        [
            "categories: uuid 2/0",
            "notes not checked: the items have no identifier (`id`, `_id`, `uuid`, `guid` or `<collection>_id`)",
            "orders: order_id 3/1",
            "users: id 3/1",
            "categories: parent_id in categories: uuid 1/1",
            "orders: category_ids in categories: uuid 3/1",
            "orders: coupon_id not checked: no array of objects matches the name `coupon`",
            "orders: user_id in users: id 2/1",
            "categories[].parent_id 1/0",
            "categories[].uuid 2/0",
            "orders[].category_ids[] 3/0",
            "orders[].total 2/1",
            "orders[].user_id 2/0",
            "place.homeLongitude 1/0",
            "place.latitude 1/1",
            "place.percent 1/0",
            "users[].age 2/1",
            "users[].id 3/0",
        ]
    );
}

#[tokio::test]
async fn rules_with_settings_check_the_given_fields() {
    let table = [
        (
            json!({"rule": "uniqueness", "fields": ["email"]}),
            vec!["users[1]: duplicate `email`, already used in users[0]"],
            vec!["users: email 2/1"],
        ),
        (
            json!({"rule": "uniqueness", "fields": ["order_id", "user_id"], "in": "orders"}),
            vec![],
            vec!["orders: order_id, user_id 2/0"],
        ),
        (
            json!({"rule": "uniqueness", "in": "users"}),
            vec!["users[2]: duplicate `id`, already used in users[0]"],
            vec!["users: id 3/1"],
        ),
        (
            json!({"rule": "referential_integrity", "field": "order_id", "references": {"collection": "users", "field": "email"}}),
            vec![
                "orders[0]: `order_id` does not match any item in users",
                "orders[1]: `order_id` does not match any item in users",
                "orders[2]: `order_id` does not match any item in users",
            ],
            vec!["orders: order_id in users: email 3/3"],
        ),
        (
            json!({"rule": "value_ranges", "field": "id", "min": 1, "max": 1.5}),
            vec!["users[1].id: must be between 1 and 1.5"],
            vec!["users: id 3/1"],
        ),
        (
            json!({"rule": "value_ranges", "field": "place.percent", "max": 99}),
            vec!["place.percent: must be at most 99"],
            vec!["place.percent 1/1"],
        ),
        (
            json!({"rule": "value_ranges", "field": "text", "min": 0}),
            vec!["notes[0].text: expected a number, got a string"],
            vec!["notes: text 1/1"],
        ),
        (
            json!({"rule": "value_ranges", "field": "none", "min": 0}),
            vec![],
            vec!["none not checked: neither the input nor a checked collection has this field"],
        ),
        (
            json!({"rule": "uniqueness", "fields": ["none"]}),
            vec![],
            vec!["none not checked: no checked collection has these fields"],
        ),
        (
            json!({"rule": "expression", "expression": "id > 1", "in": "users", "message": "too small"}),
            vec!["users[0]: too small", "users[2]: too small"],
            vec!["id > 1 3/2"],
        ),
    ];
    for (rule, expected, expected_checked) in table {
        let result = call(&json!({"input": shop(), "rules": [rule]})).await.unwrap();
        assert_eq!(violations(&result), expected, "{rule}");
        assert_eq!(checked(&result), expected_checked, "{rule}");
    }
}

#[tokio::test]
async fn expressions_are_evaluated_for_each_item_or_for_the_input() {
    for (input, expected) in [
        (json!([{"n": 1}, {"n": 3}]), vec!["[0]: `n > 2` is false"]),
        (json!({"n": 1}), vec![": `n > 2` is false"]),
        (json!("[{\"n\": 3}]"), vec![]),
    ] {
        let result = call(&json!({"input": input, "rules": [{"rule": "expression", "expression": "n > 2"}]})).await;
        assert_eq!(violations(&result.unwrap()), expected, "{input}");
    }
}

#[tokio::test]
async fn options_apply_to_rules_given_by_name() {
    let parameters = json!({
        "input": shop(), "rules": ["uniqueness"], "options": {"uniqueness": {"fields": ["email"]}},
    });
    assert_eq!(checked(&call(&parameters).await.unwrap()), ["users: email 2/1"]);
}

#[tokio::test]
async fn an_input_with_nothing_to_check_is_valid_but_incomplete() {
    let parameters = json!({
        "input": {"a": "b"}, "rules": ["uniqueness", "referential_integrity", "value_ranges"],
    });
    let result = call(&parameters).await.unwrap();
    assert_eq!((&result["valid"], &result["complete"]), (&json!(true), &json!(false)));
    assert_eq!(
        checked(&result),
        [
            "input not checked: the input contains no array of objects",
            "input not checked: no collection has a reference field such as `user_id`",
            "input not checked: the input contains no numbers and no fields with a known range",
        ]
    );
}

#[tokio::test]
async fn invalid_rules_and_inputs_are_rejected() {
    let rule = |rule: Value| json!({"input": shop(), "rules": [rule]});
    let table = [
        (
            rule(json!({"rule": "uniqueness", "in": "user"})),
            "`input` has no array of objects at `user` (did you mean `users`?)",
        ),
        (
            rule(json!({"rule": "referential_integrity", "field": "a", "references": {"collection": "zzz"}})),
            "`input` has no array of objects at `zzz` (the collections are `categories`, `notes`, `orders`, `users`)",
        ),
        (
            rule(json!({"rule": "referential_integrity", "field": "a"})),
            "rule 0 is invalid: `field` and `references` must be set together",
        ),
        (rule(json!({"rule": "value_ranges", "field": "a"})), "rule 0 is invalid: `field` requires `min` or `max`"),
        (rule(json!({"rule": "value_ranges", "min": 1})), "rule 0 is invalid: `min` and `max` require `field`"),
        (
            rule(json!({"rule": "value_ranges", "in": "users"})),
            "rule 0 is invalid: `in` requires `field` and its bounds",
        ),
        (
            rule(json!({"rule": "value_ranges", "field": "a", "min": 2, "max": 1})),
            "rule 0 is invalid: `min` (2) is greater than `max` (1)",
        ),
        (rule(json!({"rule": "uniqueness", "fields": []})), "rule 0 is invalid: `fields` must not be empty"),
        (
            rule(json!({"rule": "expression", "expression": "id = 1", "in": "users"})),
            "cannot evaluate `id = 1` for users[0]: `>` is missing",
        ),
        (
            json!({"input": 7, "rules": ["uniqueness"]}),
            "`input` must be an object or an array of objects, got an integer",
        ),
        (
            json!({"input": {}, "rules": [{"rule": "uniqueness"}], "options": {"uniqueness": {}}}),
            "`options.uniqueness` is not used: `rules` does not contain the name `uniqueness`",
        ),
    ];
    for (parameters, expected) in table {
        assert_eq!(call(&parameters).await, Err(expected.to_owned()), "{parameters}");
    }
}

#[tokio::test]
async fn expression_rules_are_rejected_without_an_evaluator() {
    let parameters = json!({"input": {}, "rules": [{"rule": "expression", "expression": "true"}]});
    let error = RuleEngine::new(None).call(parameters, &ToolContext::default()).await.unwrap_err();
    assert_eq!((error.class, error.code), (ToolErrorClass::Configuration, "no_expressions"));
}
