//! Formatting keeps comments, the order of fields and the meaning.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::{fs, path::Path};

use llmspell_workflows_definition::{StepTypes, format, read, to_yaml};
use llmspell_workflows_testing::generate;
use proptest::prelude::*;

fn formatted(text: &str) -> String {
    format(text, "x.yaml", &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}\n{text}"))
}

/// Formats `text`; asserts that its meaning is unchanged and that formatting again changes nothing.
fn checked(text: &str) -> String {
    let once = formatted(text);
    let definition = |text: &str| {
        read(text, "x.yaml", &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}\n{text}")).definition
    };
    assert_eq!(definition(&once), definition(text), "{text}\n---\n{once}");
    assert_eq!(formatted(&once), once, "{text}");
    once
}

/// Formats the value of `context`, which may contain any YAML.
fn context(text: &str) -> String {
    let body = text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { std::format!("    {line}\n") });
    let document = std::format!("steps: [{{id: a, tool: t}}]\nname: x\ncontext:\n{}", body.collect::<String>());
    let once = checked(&document);
    let (_, inside) = once.split_once("context:\n").unwrap();
    inside.lines().map(|line| std::format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

const LAYOUTS: &[(&str, &str)] = &[
    ("a:   1", "a: 1\n"),
    ("a:\n    b: 1\n    c: 2", "a:\n  b: 1\n  c: 2\n"),
    ("a:\n- 1\n- 2\nb: 3", "a:\n  - 1\n  - 2\nb: 3\n"),
    (
        "a:\n-   b: 1\n    c:\n    - - 1\n      - 2\n    -  3",
        "a:\n  - b: 1\n    c:\n      - - 1\n        - 2\n      - 3\n",
    ),
    ("a:\n-\n    b: 1\n    c: 2", "a:\n  -\n    b: 1\n    c: 2\n"),
    // Comments move with the next entry, or with the end of a block that has the same indentation.
    (
        "# one\na:\n    # two\n    b: 1   # three\n    # four\n# five\nc: 2",
        "# one\na:\n  # two\n  b: 1   # three\n  # four\n# five\nc: 2\n",
    ),
    ("a:\n- 1\n# one\n- 2\n# two\nb: 1", "a:\n  - 1\n  # one\n  - 2\n# two\nb: 1\n"),
    ("a:\n  -   # one\n      b: 1\n  - # two\n    c: 2", "a:\n  -   # one\n    b: 1\n  - # two\n    c: 2\n"),
    ("a: 1\n\n\n\nb: 2\n  # last\n\n", "a: 1\n\nb: 2\n# last\n"),
    // Block scalars.
    ("a: |\n     one\n       two\n\n     three\n\n\nb: 1", "a: |\n  one\n    two\n\n  three\n\nb: 1\n"),
    ("a: |2-\n    one\n   two\nb: 1", "a: |2-\n    one\n   two\nb: 1\n"),
    (
        "a:\n    - |+\n      one\n\n\n    - >\n      two\n\n      three\n    # end",
        "a:\n  - |+\n    one\n\n\n  - >\n    two\n\n    three\n  # end\n",
    ),
    ("a: |\n  # one\n  two\n# three\nb: |-\n\nc: 1", "a: |\n  # one\n  two\n# three\nb: |-\n\nc: 1\n"),
    (
        "a:\n    |\n    one\nb:\n     - # why\n       >-\n         two",
        "a:\n  |\n  one\nb:\n  - # why\n    >-\n    two\n",
    ),
    // Multi-line strings and brackets.
    ("a:\n      one\n        two\n\n      three\nb: one\n   two", "a:\n  one\n    two\n\n  three\nb: one\n   two\n"),
    (
        "a: \"one\n     two \\\n  three\"\nb: 'it''s\n\n  here'",
        "a: \"one\n     two \\\n  three\"\nb: 'it''s\n\n  here'\n",
    ),
    (
        "a:\n    b: [1, # one\n        2,\n        ]\n    c: {d: 1,   e: 2}",
        "a:\n  b: [1, # one\n      2,\n      ]\n  c: {d: 1,   e: 2}\n",
    ),
    ("a:\n        {b: 1,\n         c: 2}", "a:\n  {b: 1,\n   c: 2}\n"),
    // Anchors, tags and explicit keys.
    (
        "a:  &x\n    b: 1\nc: *x\nd:\n- &y\n  e: 1\n- *y\n- &z f: 1\n  g: 2",
        "a:  &x\n  b: 1\nc: *x\nd:\n  - &y\n    e: 1\n  - *y\n  - &z f: 1\n    g: 2\n",
    ),
    ("a: !!str 1\n? b c\n:   d\n? e\n: - 1\n  - 2", "a: !!str 1\n? b c\n: d\n? e\n: - 1\n  - 2\n"),
    ("a: b\u{a0}\nc: \u{a0}d  \n# \u{a0}e\u{a0}", "a: b\u{a0}\nc: \u{a0}d\n# \u{a0}e\u{a0}\n"),
    ("'a b':   1\n\"c\" : 2", "'a b': 1\n\"c\": 2\n"),
    ("a: yes\nb: [on, 'off', 1:30]\nc: 2020-01-01", "a: \"yes\"\nb: [\"on\", 'off', \"1:30\"]\nc: \"2020-01-01\"\n"),
];

#[test]
fn lines_move_to_the_columns_of_their_blocks() {
    for (text, expected) in LAYOUTS {
        assert_eq!(context(text), *expected, "{text}");
    }
}

#[test]
fn fields_and_types_are_renamed_to_their_canonical_names() {
    for (text, expected) in [
        ("{id: a, command: x, needs: [b], if: c}", "{id: a, command: x, dependencies: [b], condition: c}"),
        ("{id: a, type: foreach, collection: [1], loop_body: []}", "{id: a, type: loop, items: [1], steps: []}"),
        ("{id: a, type: sleep, duration_ms: 1500}", "{id: a, type: sleep, duration: 1500ms}"),
        ("{id: a, type: sleep, duration_seconds: 2.5}", "{id: a, type: sleep, duration: 2.5}"),
        ("{id: a, type: sleep, duration_ms: '{{ x }}'}", "{id: a, type: sleep, duration_ms: '{{ x }}'}"),
        (
            "{id: a, if: b, then: [{id: c, tool: t, with: {needs: 1}}]}",
            "{id: a, condition: b, then_steps: [{id: c, tool: t, params: {needs: 1}}]}",
        ),
        ("{id: a, parallel_steps: [{id: c, tool: t}]}", "{id: a, type: parallel, steps: [{id: c, tool: t}]}"),
        (
            "{\"id\": \"a\", \"tool\": \"t\", \"retry\": {\"backoff\": \"fixed\"}}",
            "{\"id\": \"a\", \"tool\": \"t\", \"retries\": {\"strategy\": \"fixed\"}}",
        ),
        (
            "{\"id\": \"a\", \"parallel_steps\": [{\"id\": \"c\", \"tool\": \"t\"}]}",
            "{\"id\": \"a\", \"type\": \"parallel\", \"steps\": [{\"id\": \"c\", \"tool\": \"t\"}]}",
        ),
        (
            "{\"id\": \"a\", \"tool\": \"t\", \"timeout_ms\": 10}",
            "{\"id\": \"a\", \"tool\": \"t\", \"timeout\": \"10ms\"}",
        ),
        (
            "{id: a, tool: t, retry: &r {backoff: fixed}, with: [*r]}",
            "{id: a, tool: t, retries: &r {backoff: fixed}, params: [*r]}",
        ),
    ] {
        let document = |step: &str| std::format!("name: x\nsteps:\n  - {step}\n  - {{id: b, tool: t}}\n");
        if text.contains("loop_body: []") {
            // A loop without steps can be read and formatted; only the engine rejects it.
            assert_eq!(formatted(&document(text)), document(expected));
            continue;
        }
        assert_eq!(checked(&document(text)), document(expected));
    }
}

#[test]
fn inferred_types_are_also_written_in_block_style() {
    let text = "name: x\nsteps:\n- parallel_steps:\n  - id: c\n    tool: t\n  id: a\n";
    let expected = "name: x\nsteps:\n  - type: parallel\n    steps:\n      - id: c\n        tool: t\n    id: a\n";
    assert_eq!(checked(text), expected);
}

#[test]
fn line_breaks_and_byte_order_marks_are_normalized() {
    let text = "\u{feff}--- # start\r\nname: x   \r\n\r\n\r\nsteps:\r\n- id: a\r\n  command: |\r\n    b\r\n\r\n    c";
    assert_eq!(checked(text), "--- # start\nname: x\n\nsteps:\n  - id: a\n    command: |\n      b\n\n      c");
    assert_eq!(checked("name: x\nsteps: [{id: a, tool: t}]"), "name: x\nsteps: [{id: a, tool: t}]\n");
}

#[test]
fn json_stays_json() {
    let text =
        "{\n    \"name\": \"x\",\n    \"steps\": [\n        {\"id\": \"a\", \"tool\": \"t\", \"with\": {}}\n    ]\n}\n";
    assert_eq!(checked(text), text.replace("\"with\"", "\"params\""));
}

#[test]
fn errors_in_the_file_are_reported() {
    let diagnostics = format("name: x\nsteps:\n- {id: a, tol: t}\n", "x.yaml", &StepTypes::new()).unwrap_err();
    assert_eq!(diagnostics.list()[0].line, 3);
}

/// Returns the YAML code blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let parts = page.split("\n```");
    parts
        .filter_map(|part| part.strip_prefix("yaml")?.split_once('\n').map(|(_, text)| std::format!("{text}\n")))
        .collect()
}

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.display().to_string();
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
        match extension.as_str() {
            _ if path.is_dir() => files(&path, found),
            "yaml" | "yml" | "json" => found.push((name, fs::read_to_string(&path).unwrap())),
            "md" => {
                found.extend(blocks(&fs::read_to_string(&path).unwrap()).into_iter().map(|text| (name.clone(), text)))
            }
            _ => {}
        }
    }
}

#[test]
fn every_definition_in_the_repository_keeps_its_meaning_and_comments() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in [
        "docs",
        "examples",
        "tests",
        "crates/llmspell-workflows-cli/templates",
        "crates/llmspell-workflows-definition/tests/fixtures/good",
    ] {
        files(&root.join(folder), &mut found);
    }
    let valid: Vec<_> = found.iter().filter(|(_, text)| read(text, "x", &StepTypes::new()).is_ok()).collect();
    assert!(valid.len() > 60, "only {} definitions", valid.len());
    for (_, text) in valid {
        let once = checked(text);
        let comments = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.trim().starts_with('#')).map(|line| line.trim().to_owned()).collect()
        };
        assert_eq!(comments(&once), comments(text), "{text}");
    }
}

/// Returns the keys of all lines outside block scalars, in order.
fn keys(text: &str) -> Vec<String> {
    let trimmed =
        lines(text).into_iter().filter(|(_, is_text)| !is_text).map(|(line, _)| line.trim_start_matches([' ', '-']));
    trimmed.filter_map(|line| line.split_once(':').map(|(key, _)| key.to_owned())).collect()
}

/// Returns each line of canonical YAML, and whether the line is text in a block scalar.
fn lines(text: &str) -> Vec<(&str, bool)> {
    let mut outer = None;
    let column = |line: &str| line.len() - line.trim_start_matches([' ', '-', '?']).len();
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    text.lines()
        .map(|line| {
            if outer.is_some_and(|outer| line.trim().is_empty() || spaces(line) > outer) {
                return (line, true);
            }
            let is_header = line.ends_with(" |") || line.ends_with(" |-");
            let is_item = line.trim_start_matches([' ', '-']).starts_with('|');
            let dash = line[..column(line)].rfind('-').unwrap_or(0);
            outer = is_header.then(|| if is_item { dash } else { column(line) });
            (line, false)
        })
        .collect()
}

/// Returns `text` with different indentation, and with the comments `#c0`, `#c1` and so on at
/// positions chosen by `choices`.
fn disturbed(text: &str, choices: &[u8], is_wide: bool) -> (String, usize) {
    let (mut out, mut count) = (String::new(), 0);
    for (number, (line, is_text)) in lines(text).into_iter().enumerate() {
        let choice = choices[number % choices.len()];
        if !is_text && choice & 1 == 1 {
            let column = usize::from(choice >> 4);
            out.push_str(&std::format!("{}#c{count}\n", " ".repeat(column)));
            count += 1;
        }
        if !is_text && choice & 6 == 6 {
            out.push_str("\n\n");
        }
        let rest = line.trim_start_matches(' ');
        let spaces = line.len() - rest.len();
        if is_wide && !is_text {
            out.push_str(&" ".repeat(spaces * 2));
            let mut rest = rest;
            while let Some(item) = rest.strip_prefix("- ") {
                out.push_str("-   ");
                rest = item;
            }
            out.push_str(rest);
        } else if is_wide && !rest.is_empty() {
            out.push_str(&" ".repeat(spaces));
            out.push_str(line);
        } else {
            out.push_str(line);
        }
        if !is_text && choice & 8 == 8 {
            out.push_str(&std::format!("  #c{count}"));
            count += 1;
        }
        out.push('\n');
    }
    (out, count)
}

proptest! {
    #[test]
    fn generated_definitions_keep_their_meaning_comments_and_order(
        definition in generate::definition(),
        choices in prop::collection::vec(any::<u8>(), 1..60),
        is_wide in any::<bool>(),
    ) {
        let canonical = to_yaml(&definition);
        let (text, count) = disturbed(&canonical, &choices, is_wide);
        let read_text = read(&text, "x.yaml", &StepTypes::new());
        let read_text = read_text.map_err(|diagnostics| TestCaseError::fail(std::format!("{diagnostics}\n{text}")))?;
        let once = formatted(&text);
        let again = read(&once, "x.yaml", &StepTypes::new());
        let again = again.map_err(|diagnostics| TestCaseError::fail(std::format!("{diagnostics}\n{text}\n---\n{once}")))?;
        prop_assert_eq!(&again.definition, &read_text.definition, "{}\n---\n{}", text, once);
        prop_assert_eq!(formatted(&once), once.clone(), "{}", text);
        let places: Vec<_> = (0..count).map(|number| once.find(&std::format!("#c{number}\n"))).collect();
        prop_assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}\n---\n{}", text, once);
        prop_assert_eq!(keys(&formatted(&canonical)), keys(&canonical));
    }
}
