//! Tests that the schema and the reader agree.

use std::{fs, path::Path};

use jsonschema::Validator;
use llmspell_workflows_testing::generate;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::schema;
use crate::{
    CustomType, StepTypes,
    dialect::{COMMON, Field, ROOT, Shape},
    kinds::{KINDS, Kind},
    read, to_yaml,
};

fn validator() -> Validator {
    jsonschema::draft7::new(&schema(&StepTypes::new())).unwrap()
}

fn fixtures(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension != "txt"));
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn valid_documents_match_the_schema() {
    let validator = validator();
    for (name, text) in fixtures("good") {
        read(&text, &name, &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let value = crate::tree::parse(&text).unwrap_or_else(|_| panic!("{name}")).root.to_json();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

proptest! {
    #[test]
    fn printed_definitions_match_the_schema(definition in generate::definition()) {
        thread_local!(static VALIDATOR: Validator = validator());
        let text = to_yaml(&definition);
        let value = crate::tree::parse(&text).unwrap_or_else(|_| panic!("{text}")).root.to_json();
        prop_assert!(VALIDATOR.with(|validator| validator.is_valid(&value)), "{text}");
    }
}

/// The codes of errors that only the reader can find.
const READER_ONLY: &[&str] = &["unknown_step", "moved_step", "conflicting_fields"];

/// Returns a description of `document` if only the schema or only the reader accepts it.
fn difference(validator: &Validator, document: &Value) -> Option<String> {
    let read = read(&document.to_string(), "x.json", &StepTypes::new());
    let errors: Vec<_> = match &read {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.list().iter().filter(|each| !READER_ONLY.contains(&each.code)).collect(),
    };
    if read.is_err() && errors.is_empty() {
        return None;
    }
    let messages: Vec<_> = errors.iter().map(|each| &each.message).collect();
    (validator.is_valid(document) != errors.is_empty()).then(|| format!("{document} {messages:?}"))
}

fn samples() -> Vec<Value> {
    let step = json!({"id": "inner", "tool": "t"});
    vec![
        Value::Null,
        json!(true),
        json!(1),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1_000_000_000_000_u64),
        json!("word"),
        json!(""),
        json!("30s"),
        json!("1h30m"),
        json!("PT5M"),
        json!("30"),
        json!("{{ a.b }}"),
        json!("fail"),
        json!("continue"),
        json!("all"),
        json!("partial:2"),
        json!("partial:x"),
        json!("weighted"),
        json!("always"),
        json!([]),
        json!(["word"]),
        json!([1]),
        json!({}),
        json!({"word": 1}),
        json!({"word": "text"}),
        json!({"custom": "f"}),
        json!({"kind": "function"}),
        json!({"max_attempts": 2, "jitter": 0.5}),
        json!({"strategy": "word"}),
        json!({"end": 3}),
        json!({"start": 0}),
        json!({"total": 3}),
        json!({"condition": "a"}),
        json!({"tool": {"retries": 1}}),
        json!({"tool": {"retries": "x"}}),
        json!({"word": {"type": "string"}}),
        json!({"word": {"type": "text"}}),
        json!([step]),
        json!([{"tool": "t"}]),
        json!({"inner": step}),
        json!({"steps": [step]}),
        json!([{"when": "a", "steps": [step]}]),
        json!([{"condition": "a", "target": "end"}]),
        json!([{"condition": "a"}]),
        json!({"type": "parallel", "branches": [step]}),
        json!({"type": "parallel"}),
        json!({"branch": {"steps": [step], "timeout": 3}}),
        json!({"branch": {"timeout": 3}}),
        json!({"branch": [step]}),
    ]
}

/// Returns a step of `kind` with only the fields needed to test `field`.
fn base(kind: &Kind, field: &Field) -> Value {
    let mut step = json!({"id": "a", "type": kind.name});
    let required = kind.fields.iter().filter(|field| field.required).map(|field| (field.name, least(field.shape)));
    let one_of = match kind.name {
        "shell" => Some(("command", json!("ls"))),
        "http" => Some(("url", json!("http://x"))),
        "git-operation" => Some(("operation", json!("push"))),
        "conditional" => Some(("then_steps", json!([]))),
        "loop" => Some(("items", json!([]))),
        _ => None,
    };
    for (name, value) in required.chain(one_of) {
        // These fields are mutually exclusive.
        let excluded = matches!((name, field.name), ("items", "range" | "while") | ("command", "argv"));
        if !excluded {
            step[name] = value;
        }
    }
    step
}

/// Returns a small valid value of this shape.
fn least(shape: Shape) -> Value {
    match shape {
        Shape::Steps | Shape::StepsById | Shape::Members => json!([{"id": "b", "tool": "t"}]),
        Shape::Cases => json!([]),
        Shape::Branches | Shape::Object => json!({}),
        Shape::Delay | Shape::Any => json!(1),
        _ => json!("x"),
    }
}

#[test]
fn schema_and_reader_agree_on_every_field_of_every_step_type() {
    let validator = validator();
    let samples = samples();
    let mut differences = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.read.is_some()) {
        // For some types, the reader also checks the fields inside `params`, which the schema does not.
        for field in kind.fields.iter().chain(COMMON) {
            let skips = matches!(field.name, "type" | "id") || (field.name == "params" && kind.checks_params());
            if skips || field.shape == Shape::Missing {
                continue;
            }
            for name in field.names() {
                for sample in &samples {
                    let mut step = base(kind, field);
                    step.as_object_mut().unwrap().remove(field.name);
                    step[name.as_ref()] = sample.clone();
                    differences.extend(difference(&validator, &json!({"name": "x", "steps": [step]})));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn schema_and_reader_agree_on_every_field_of_a_definition() {
    let validator = validator();
    let mut differences = Vec::new();
    for field in ROOT.iter().filter(|field| field.shape != Shape::Missing) {
        for name in field.names() {
            for sample in samples() {
                let mut document = json!({"name": "x", "steps": [{"id": "a", "tool": "t"}]});
                let clash = if field.name == "body" { "steps" } else { field.name };
                document.as_object_mut().unwrap().remove(clash);
                document[name.as_ref()] = sample;
                differences.extend(difference(&validator, &document));
            }
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn schema_and_reader_reject_invalid_fields() {
    let validator = validator();
    for document in [
        json!({"name": "x", "steps": [{"id": "a", "tool": "t", "timout": 3}]}),
        json!({"name": "x", "steps": [{"id": "a", "type": "tool"}]}),
        json!({"name": "x", "steps": [{"id": "a", "type": "tol", "tool": "t"}]}),
        json!({"name": "x", "steps": [{"id": "a", "tool": "t", "when": "a", "if": "b"}]}),
        json!({"name": "x", "steps": [{"id": "a", "tool": "t", "cache": {}}]}),
        json!({"name": "x", "steps": [{"id": "a", "type": "approval"}]}),
        json!({"name": "x", "steps": [{"tool": "t"}]}),
        json!({"name": "x", "steps": [{"id": "a b", "tool": "t"}]}),
        json!({"name": "x", "step": []}),
        json!({"steps": []}),
        json!({"name": "x", "durability": "often", "steps": []}),
        json!({"/chain": {"steps": []}}),
    ] {
        assert!(!validator.is_valid(&document), "{document}");
        assert!(read(&document.to_string(), "x.json", &StepTypes::new()).is_err(), "{document}");
    }
}

#[test]
fn custom_step_types_are_part_of_the_schema() {
    let custom = CustomType::new("Sends a notification.").with_field("channel");
    let validator = jsonschema::draft7::new(&schema(&StepTypes::new().with("notify", custom))).unwrap();
    let document = |field: &str| json!({"name": "x", "steps": [{"id": "a", "type": "notify", field: "ops"}]});
    assert!(validator.is_valid(&document("channel")));
    assert!(!validator.is_valid(&document("chanel")));
}

#[test]
fn the_published_schema_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/workflow.schema.json");
    let text = format!("{:#}\n", schema(&StepTypes::new()));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(published == text, "docs/schema/workflow.schema.json is out of date: run the tests with UPDATE_DOCS=1");
}
