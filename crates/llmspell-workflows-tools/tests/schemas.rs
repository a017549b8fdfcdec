//! A JSON Schema from a definition is compiled and applied within limits, or refused.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::time::{Duration, Instant};

use llmspell_workflows_basic::engine::SchemaCheck;
use llmspell_workflows_tools::JsonSchemas;
use serde_json::{Map, Value, json};

/// The stack size of the threads that run workflows.
const STACK_BYTES: usize = 2 << 20;

/// The time limit for one schema.
const CASE_TIME_MAX: Duration = Duration::from_secs(10);

/// Checks `data` against `schema`; returns the number of violations, or the reason why the schema
/// was refused.
fn check(schema: &Value, data: &Value) -> Result<usize, String> {
    JsonSchemas::new().check(schema, data).map(|violations| violations.len())
}

/// Runs `work` on a thread with the same stack size as the threads that run workflows.
fn on_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap()
}

fn nested(depth: usize, leaf: Value, around: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(leaf, |inner, _| around(inner))
}

/// Returns definitions `d0` to `dN`, each built by `make` from a reference to the next.
fn definitions(count: usize, make: impl Fn(Value) -> Value) -> Value {
    let next =
        |n: usize| if n + 1 == count { json!(true) } else { json!({"$ref": format!("#/definitions/d{}", n + 1)}) };
    (0..count).map(|n| (format!("d{n}"), make(next(n)))).collect::<Map<_, _>>().into()
}

fn starts(definitions: Value) -> Value {
    json!({"$ref": "#/definitions/d0", "definitions": definitions})
}

#[test]
fn errors_for_hostile_schemas_name_a_limit() {
    let deep = nested(120, json!(1), |inner| json!([inner]));
    let table = vec![
        ("too many values", json!({"enum": vec![1; 20_001]}), json!(1), "SCHEMA_VALUES_MAX"),
        ("too much text", json!({"const": "x".repeat(1_100_000)}), json!(1), "SCHEMA_TEXT_BYTES_MAX"),
        ("nested too deep", nested(120, json!({}), |inner| json!({"not": inner})), json!(1), "SCHEMA_NESTING_MAX"),
        (
            "too many references",
            json!({"anyOf": vec![json!({"$ref": "#/definitions/d0"}); 1_001], "definitions": {"d0": {}}}),
            json!(1),
            "SCHEMA_REFERENCES_MAX",
        ),
        ("too many patterns", json!({"anyOf": vec![json!({"pattern": "a"}); 201]}), json!("a"), "SCHEMA_PATTERNS_MAX"),
        ("a large pattern", json!({"pattern": "((a{100}){100}){100}"}), json!("a"), "not a valid JSON Schema"),
        (
            "2^40 subschemas",
            starts(definitions(40, |next| json!({"allOf": [next, next]}))),
            json!(1),
            "SCHEMA_EXPANDED_MAX",
        ),
        (
            "2^40 subschemas of parts",
            starts(definitions(40, |next| json!({"properties": {"a": next, "b": next}}))),
            json!(1),
            "SCHEMA_EXPANDED_MAX",
        ),
        ("a long chain", starts(definitions(900, |next| json!({"not": next}))), json!(1), "SCHEMA_CHAIN_MAX"),
        ("refers to itself", json!({"$ref": "#"}), json!(1), "never ends"),
        ("consists of itself", json!({"allOf": [{"$ref": "#"}]}), json!(1), "never ends"),
        (
            "consists of itself, further down",
            json!({"properties": {"a": {"anyOf": [true, {"not": {"$ref": "#/properties/a"}}]}}}),
            json!({"a": 1}),
            "never ends",
        ),
        (
            "refers to itself by an anchor",
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$anchor": "me", "anyOf": [{"$ref": "#me"}]}),
            json!(1),
            "never ends",
        ),
        (
            "2^120 ways",
            json!({"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}, {"type": "null"}]}),
            deep.clone(),
            "SCHEMA_WORK_MAX",
        ),
        (
            "2^120 ways by name",
            json!({"anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"additionalProperties": {"$ref": "#"}}, {"patternProperties": {".": {"$ref": "#"}}}]}),
            nested(100, json!(1), |inner| json!({"a": inner})),
            "SCHEMA_WORK_MAX",
        ),
        (
            "a long chain for each part",
            {
                let chain = nested(20, json!({"items": {"$ref": "#"}}), |inner| json!({"allOf": [inner]}));
                json!({"allOf": [chain]})
            },
            deep,
            "SCHEMA_CALLS_MAX",
        ),
        ("another document", json!({"$ref": "http://127.0.0.1:1/schema.json"}), json!(1), "does not refer to any part"),
        ("a file", json!({"items": {"$ref": "file:///etc/passwd"}}), json!([1]), "does not refer to any part"),
        ("a missing part", json!({"$ref": "#/definitions/none"}), json!(1), "does not refer to any part"),
    ];
    for (name, schema, data, expected) in table {
        let began = Instant::now();
        let result = on_small_stack(move || check(&schema, &data));
        assert!(result.as_ref().is_err_and(|error| error.contains(expected)), "{name}: {result:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{name} took {:?}", began.elapsed());
    }
}

#[test]
fn ordinary_and_recursive_schemas_are_accepted() {
    let tree = json!({
        "type": "object", "required": ["name"],
        "properties": {"name": {"type": "string"}, "left": {"$ref": "#"}, "right": {"$ref": "#"}, "all": {"type": "array", "items": {"$ref": "#"}}},
    });
    let good = nested(60, json!({"name": "x"}), |inner| json!({"name": "x", "left": inner, "right": {"name": "y"}}));
    let bad = nested(60, json!({"name": 1}), |inner| json!({"name": "x", "left": inner}));
    let full = nested(10, json!({"name": "x"}), |inner| json!({"name": "x", "left": inner, "right": inner}));
    let expression = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "#/$defs/e",
        "$defs": {"e": {"oneOf": [{"type": "number"}, {"type": "object", "required": ["op", "of"], "properties": {"of": {"type": "array", "items": {"$ref": "#/$defs/e"}}}}]}},
    });
    let sum = nested(25, json!(1), |inner| json!({"op": "+", "of": [inner, 2]}));
    let bundle = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/all", "$ref": "item.json",
        "$defs": {"item": {"$id": "item.json", "type": "integer"}},
    });
    for (schema, data, expected) in [
        (&tree, good, 0),
        (&tree, bad, 1),
        (&tree, full, 0),
        (&expression, sum, 0),
        (&expression, json!({"op": "+", "of": ["x"]}), 1),
        (&bundle, json!(1), 0),
        (&bundle, json!("x"), 1),
        (&starts(definitions(70, |next| json!({"allOf": [next]}))), json!(1), 0),
        (&starts(definitions(12, |next| json!({"allOf": [next, next]}))), json!(1), 0),
        (&json!({"$ref": "#/definitions/a%20b~1c", "definitions": {"a b/c": {"type": "null"}}}), json!(1), 1),
        (&json!({"items": [{"type": "null"}, {"type": "string"}]}), json!([1, "x"]), 1),
        (&json!({"$ref": "http://json-schema.org/draft-07/schema#"}), json!({"type": 1}), 1),
    ] {
        let (schema, data) = (schema.clone(), data);
        let shown = schema.to_string();
        assert_eq!(on_small_stack(move || check(&schema, &data)), Ok(expected), "{shown}");
    }
}

#[test]
fn the_largest_accepted_schemas_fit_on_the_stack() {
    let long = starts(definitions(70, |next| json!({"allOf": [next]})));
    let recursive = nested(3, json!({"items": {"$ref": "#"}}), |inner| json!({"anyOf": [inner]}));
    for (schema, data) in [
        (long, json!(1)),
        (nested(48, json!({}), |inner| json!({"not": inner})), json!(1)),
        (recursive, nested(110, json!(1), |inner| json!([inner]))),
    ] {
        let shown = schema.to_string();
        assert_eq!(on_small_stack(move || check(&schema, &data)).err(), None, "{shown}");
    }
}

/// A small random number generator (SplitMix64); a seed yields the same schemas on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn schema(&mut self, depth: usize) -> Value {
        if depth == 0 || self.below(8) == 0 {
            return match self.below(4) {
                0 => {
                    json!({"$ref": self.pick(&["#", "#/definitions/a", "#/definitions/b", "#/items", "#/anyOf/0", "#x", "#/properties/a"])})
                }
                1 => json!({"type": self.pick(&["null", "object", "array", "string", "integer", "number"])}),
                2 => json!(self.below(2) == 0),
                _ => self.value(2),
            };
        }
        let mut keywords = Map::new();
        for _ in 0..=self.below(3) {
            let keyword = self.pick(&[
                "allOf",
                "anyOf",
                "oneOf",
                "not",
                "if",
                "then",
                "else",
                "items",
                "contains",
                "additionalProperties",
                "properties",
                "patternProperties",
                "dependencies",
                "definitions",
                "enum",
                "const",
                "pattern",
                "required",
                "minimum",
                "multipleOf",
                "maxLength",
                "uniqueItems",
                "format",
                "$id",
                "propertyNames",
                "prefixItems",
                "unevaluatedProperties",
                "$dynamicRef",
            ]);
            let value = match keyword {
                "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                    (0..=self.below(3)).map(|_| self.schema(depth - 1)).collect()
                }
                "properties" | "patternProperties" | "dependencies" | "definitions" => {
                    let names = ["a", "b", "^a+$", ".", "(", "x{1000}{1000}"];
                    let fields = (0..=self.below(3)).map(|_| (self.pick(&names).to_owned(), self.schema(depth - 1)));
                    Value::Object(fields.collect())
                }
                "enum" | "required" => json!([self.value(1), "a"]),
                "const" => self.value(2),
                "pattern" => json!(self.pick(&["a", "^(a|b)*$", "(a{50}){50}", "[", "\\w{200}", "(?=x)", "\\p{L}+"])),
                "minimum" | "multipleOf" | "maxLength" => self.value(0),
                "format" => json!(self.pick(&["email", "date-time", "regex", "uri", "ipv6", "none", "hostname"])),
                "$id" | "$dynamicRef" => json!(self.pick(&["#", "#x", "a.json", "http://example.com/a", ""])),
                _ => self.schema(depth - 1),
            };
            keywords.insert(keyword.to_owned(), value);
        }
        if self.below(6) == 0 {
            let draft = self.pick(&[
                "http://json-schema.org/draft-07/schema#",
                "https://json-schema.org/draft/2020-12/schema",
                "http://json-schema.org/draft-04/schema#",
            ]);
            keywords.insert("$schema".to_owned(), json!(draft));
        }
        Value::Object(keywords)
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => json!(null),
            1 => json!(u64::MAX),
            2 => json!(-1.5e300),
            3 => json!(0),
            4 => json!(self.pick(&["", "a", "aaaa", "x@y.z", "2026-01-01T00:00:00Z", "ü\u{0}"])),
            5 => json!(true),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            7 => nested(self.below(100), json!(1), |inner| json!([inner])),
            _ => {
                let fields =
                    (0..self.below(4)).map(|_| (self.pick(&["a", "b", "c", ""]).to_owned(), self.value(depth - 1)));
                Value::Object(fields.collect())
            }
        }
    }
}

/// Checks random data against random schemas for a short time, or for `FUZZ_SECONDS` seconds.
#[test]
fn random_schemas_never_cause_a_panic_or_endless_work() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let first: u64 = std::env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (mut cases, mut compiled) = (0_u64, 0_u64);
    while cases < 2_000 || Instant::now() < until {
        let seed = first + cases;
        let (schema, data) = {
            let mut random = Random(seed);
            let depth = 1 + random.below(5);
            (random.schema(depth), random.value(3))
        };
        let shown = format!("FUZZ_SEED={seed} {schema} {data}");
        let began = Instant::now();
        let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
        let result = worker.spawn(move || check(&schema, &data)).unwrap().join();
        let result = result.unwrap_or_else(|_| panic!("{shown}"));
        compiled += u64::from(result.is_ok());
        assert!(began.elapsed() < CASE_TIME_MAX, "{shown} took {:?}", began.elapsed());
        cases += 1;
    }
    println!("{cases} schemas, {compiled} of them compiled");
    assert!(compiled > cases / 10, "only {compiled} of {cases} schemas were compiled, so little was tested");
}
