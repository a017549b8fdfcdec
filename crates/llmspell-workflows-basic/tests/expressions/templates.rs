//! Templates: values with expressions in their strings.

use std::sync::Arc;

use llmspell_workflows_basic::expr::{Template, TemplateErrors};
use serde_json::{Value, json};

use super::scope;

fn rendered(source: &Value) -> Result<Value, String> {
    let template = Template::parse(source).map_err(|errors| errors.to_string())?;
    let value = template.render(&scope()).map_err(|error| error.to_string())?;
    Ok((*value).clone())
}

#[test]
fn a_single_expression_keeps_its_type() {
    let table = [
        ("{{ n }}", json!(5)),
        ("${n}", json!(5)),
        ("{{n + 1}}", json!(6)),
        ("{{ user.langs }}", json!(["en", "it"])),
        ("{{ nothing }}", json!(null)),
        ("{{ {a: {b: 1}} }}", json!({"a": {"b": 1}})),
        ("{{{a: 1}}}", json!({"a": 1})),
        ("${ {a: '}'} }", json!({"a": "}"})),
        ("{{ '}}' }}", json!("}}")),
        (r"{{ '\'}}' }}", json!("'}}")),
        ("{{ missing?.x }}", json!(null)),
        ("${missing || 'default'}", json!("default")),
        ("{{ list | join('+') }}", json!("3+1+2")),
        ("{{\n  n\n}}", json!(5)),
    ];
    for (source, expected) in table {
        assert_eq!(rendered(&json!(source)), Ok(expected), "{source}");
    }
}

#[test]
fn expressions_inside_a_string_become_text() {
    let table = [
        ("a {{ n }} b", "a 5 b"),
        ("{{ n }}{{ f }}", "52.5"),
        (" {{ n }}", " 5"),
        ("${text}/{{ user.name }}", "grün/Ada"),
        ("[{{ nothing }}]", "[]"),
        ("[{{ missing?.x }}]", "[]"),
        ("is {{ yes }} {{ list }} {{ task.tags }}", r#"is true [3,1,2] ["a","b"]"#),
        ("grün {{ n }} 😀", "grün 5 😀"),
        ("cd $HOME && echo $(date) $$ $5 {n} }} }", "cd $HOME && echo $(date) $$ $5 {n} }} }"),
        (r"\{{ n }} \${n}", "{{ n }} ${n}"),
        (r"C:\\{{ n }}", r"C:\5"),
        (r"\\\{{ n }}", r"\{{ n }}"),
        (r"\n {{ n }} \ \\", r"\n 5 \ \\"),
        (r"\{{", "{{"),
        ("", ""),
    ];
    for (source, expected) in table {
        assert_eq!(rendered(&json!(source)), Ok(json!(expected)), "{source}");
    }
}

#[test]
fn strings_are_rendered_at_any_depth_but_field_names_are_not() {
    let source = json!({"a": ["{{ n }}", {"{{ n }}": "x${zero}"}], "b": 1, "c": [true, null]});
    let expected = json!({"a": [5, {"{{ n }}": "x0"}], "b": 1, "c": [true, null]});
    assert_eq!(rendered(&source), Ok(expected));
}

#[test]
fn static_templates_share_one_value() {
    let template = Template::parse(&json!({"a": [1, "x", r"\{{"]})).unwrap();
    assert!(template.is_static());
    let first = template.render(&scope()).unwrap();
    let second = template.render(&json!(null)).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(*first, json!({"a": [1, "x", "{{"]}));
    assert!(!Template::parse_text("{{ 1 }}").unwrap().is_static());
}

#[test]
fn errors_point_to_the_failing_string() {
    let table = [
        (
            json!({"in": {"a/b~": ["", "x {{ usr.name }}"]}}),
            "`usr` is not defined; did you mean `user`?; available: user, big, blank, box, empty, f, index, key and 11 more (in `usr.name` at /in/a~1b~0/1)",
        ),
        (json!("{{ n > text }}"), "`>` expects two numbers or two strings, got a number and a string (in `n > text`)"),
        (
            json!("{{ user.nmae }}!"),
            "`user.nmae` is not defined; did you mean `name`?; available: name, address, langs, none (in `user.nmae`)",
        ),
    ];
    for (source, message) in table {
        assert_eq!(rendered(&source), Err(message.to_owned()), "{source}");
    }
}

#[test]
fn all_errors_are_reported_together() {
    let source = json!({"a": "x {{ 1 + }} {{ n }} ${b = 1}", "b": ["{{ open", "${{ x }}", "{{ it's }}", "{{ }}"]});
    let TemplateErrors(errors) = Template::parse(&source).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), error.offset, error.to_string())).collect();
    let expected = [
        ("/a", 5, "the expression ends before a value at byte 8 of /a"),
        ("/a", 22, "expressions cannot assign; write == to compare at byte 24 of /a"),
        ("/b/0", 0, "`{{` is not closed; close it with }}, or write \\{{ for the literal characters at byte 0 of /b/0"),
        ("/b/1", 0, "`${{` does not start an expression; write ${ expression } or {{ expression }} at byte 0 of /b/1"),
        ("/b/2", 3, "unterminated string; end it with ' at byte 5 of /b/2"),
        ("/b/3", 3, "the expression is empty at byte 3 of /b/3"),
    ]
    .map(|(pointer, offset, message)| (pointer, offset, message.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn references_report_their_locations() {
    let template = Template::parse(&json!({"a": "x {{ b.c || d }}", "e": ["${f}"]})).unwrap();
    let found: Vec<_> = template
        .references()
        .into_iter()
        .map(|r| (r.pointer, r.offset, r.reference.name.as_str(), r.reference.optional))
        .collect();
    assert_eq!(found, [("/a", 5, "b", true), ("/a", 5, "d", false), ("/e/0", 2, "f", false)]);
}

#[test]
fn templates_are_compared_and_serialized_by_source() {
    let source = json!({"a": "{{ n }}"});
    let template = Template::parse(&source).unwrap();
    assert_eq!(serde_json::to_value(&template).unwrap(), source);
    let back: Template = serde_json::from_value(source.clone()).unwrap();
    assert_eq!(back, template);
    assert_eq!(template.source(), &source);
    assert!(serde_json::from_value::<Template>(json!("{{ = }}")).is_err());
}
