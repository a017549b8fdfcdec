//! Definitions in which a value would become part of a command or a URL are rejected with a message
//! that shows safe alternatives, and the alternatives are accepted. `UPDATE_GOLDEN=1` updates the
//! golden file.

use std::{fs, path::Path};

use llmspell_workflows_basic::{
    Problem,
    model::{ActivityName, Definition, OnError, Step, StepKind, Validate},
};
use serde_json::{Value, json};

use crate::support::{in_folder, validate};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/injection/refused.txt");

/// Steps, each rejected because of at least one value.
const STEPS: &[&str] = &[
    // Unquoted values.
    "{id: a, command: 'echo {{ title }}'}",
    "{id: a, command: 'echo ${title}'}",
    "{id: a, command: 'grep {{ word }} notes.txt | mail -s \"Found {{ word }}\" {{ loop_to }}'}",
    "{id: a, command: \"echo 'Hello {{ user.name }}' > \\\"{{ path }}.txt\\\"\"}",
    "{id: a, command: \"{{ whole }}\"}",
    "{id: a, command: \"echo {{ 'a' + title }} {{ title | trim }} {{ title | shell_quote | trim }}\"}",
    "{id: a, command: \"set -e\\ncd work\\nmake {{ target }}\\n\"}",
    "{id: a, command: 'echo {{ title }}', env: {TITLE: fixed}}",
    "{id: a, argv: [sh, -c, 'echo {{ title }}']}",
    "{id: a, argv: [env, bash, -lc, 'echo {{ title }}', bash, one]}",
    "{id: a, argv: [ssh, host, 'rm {{ file }}']}",
    "{id: a, argv: [python3, -c, 'print(\"{{ title }}\")']}",
    "{id: a, argv: [jq, '.[] | select(.name == \"{{ title }}\")', data.json]}",
    "{id: a, argv: [psql, -c, \"delete from users where name = '{{ title }}'\"]}",
    "{id: a, command: \"awk '{print {{ n }}}' data\"}",
    "{id: a, argv: [sh], stdin: 'echo {{ title }}'}",
    "{id: a, command: bash -s, stdin: '{{ script }}'}",
    // Values quoted in places where quoting does not help.
    "{id: a, command: \"echo '{{ title | shell_quote }}'\"}",
    "{id: a, command: 'echo \"to {{ title | shell_quote }}\"'}",
    "{id: a, command: \"echo `echo {{ title | shell_quote }}`\"}",
    "{id: a, command: \"true # {{ title | shell_quote }}\"}",
    "{id: a, command: \"cat <<EOF\\n{{ title | shell_quote }}\\nEOF\\n\"}",
    "{id: a, command: \"cat <<'EOF'\\n{{ title | shell_quote }}\\nEOF\\n\"}",
    "{id: a, command: 'cat <<{{ title | shell_quote }}'}",
    "{id: a, command: 'echo \\${X:-{{ title | shell_quote }}}'}",
    "{id: a, command: 'echo $(( {{ n | shell_quote }} + 1 ))'}",
    "{id: a, command: 'X={{ title | shell_quote }}; echo \"$X\"'}",
    "{id: a, command: 'echo \\\\{{ title | shell_quote }}'}",
    "{id: a, command: \"echo $'it\\\\'s' {{ title | shell_quote }}\"}",
    "{id: a, command: 'sh -c {{ title | shell_quote }}'}",
    "{id: a, command: 'eval echo {{ title | shell_quote }}'}",
    "{id: a, command: 'ssh host ls {{ title | shell_quote }}'}",
    "{id: a, command: \"ssh host 'ls {{ title | shell_quote }}'\"}",
    "{id: a, command: 'python3 -c {{ title | shell_quote }}'}",
    // `unsafe_shell` without any value in the command.
    "{id: a, command: 'echo hello', unsafe_shell: true}",
    // URLs.
    "{id: a, type: http, url: 'https://example.com/search?q={{ word }}'}",
    "{id: a, type: http, url: 'https://example.com/search?a=1&q=x{{ word }}&b=2'}",
    "{id: a, type: http, url: 'https://example.com/#{{ part }}'}",
    "{id: a, type: http, url: 'https://{{ team }}.example.com/'}",
    "{id: a, type: http, url: 'https://{{ name }}:{{ password }}@example.com/'}",
    "{id: a, type: http, url: \"{{ base + '/search?q=' + word }}\"}",
    "{id: a, type: http, url: '{{ base }}{{ path }}'}",
    "{id: a, tool: web_scraper, params: {input: 'https://example.com/?page={{ page }}'}}",
    "{id: a, tool: api_tester, params: {input: 'https://example.com/?p={{ page }}'}}",
];

/// Similar steps that are accepted.
const ACCEPTED: &[&str] = &[
    "{id: a, command: 'echo {{ title | shell_quote }} --x={{ title | trim | shell_quote }}'}",
    "{id: a, command: 'echo {{ shell_quote(title) }} > {{ path | shell_quote }}'}",
    "{id: a, command: 'echo {{ 1 + 1 }} \"{{ ''a'' }}\"'}",
    "{id: a, command: 'echo $HOME \\${HOME} \"$(date)\"'}",
    "{id: a, command: 'echo \"$(wc -l {{ path | shell_quote }})\"'}",
    "{id: a, command: \"cat <<EOF\\n$TITLE\\nEOF\\necho {{ title | shell_quote }}\\n\", env: {TITLE: '{{ title }}'}}",
    "{id: a, command: 'echo {{ title }}', unsafe_shell: true}",
    "{id: a, command: \"sh -c 'echo \\\"$1\\\"' sh {{ title | shell_quote }}\"}",
    "{id: a, command: 'ssh host ls {{ title | shell_quote | shell_quote }}'}",
    "{id: a, command: 'make VERSION={{ version | shell_quote }}'}",
    "{id: a, argv: [echo, '{{ title }}']}",
    "{id: a, argv: '{{ words }}'}",
    "{id: a, argv: [sh, -c, 'echo \"$1\"', sh, '{{ title }}']}",
    "{id: a, argv: [sh, script.sh], stdin: '{{ text }}'}",
    "{id: a, type: http, url: '{{ base }}/items/{{ id }}?fields={{ fields | url_encode }}'}",
    "{id: a, type: http, url: '{{ url }}'}",
    "{id: a, type: http, url: '{{ page.links[0] ?? home }}'}",
    "{id: a, type: http, url: '{{ base }}/items/{{ id | url_encode }}?q={{ word | url_encode }}'}",
    "{id: a, type: http, url: 'http://{{ host }}:{{ port }}/health', query: {q: '{{ word }}'}}",
    "{id: a, type: http, url: 'https://{{ name | url_encode }}:{{ password | url_encode }}@example.com/'}",
];

fn definition(step: &str) -> String {
    format!("name: x\nsteps:\n  - {step}\n")
}

#[test]
fn messages_match_the_golden_file() {
    let (_folder, engine) = in_folder();
    let mut got = String::new();
    for step in STEPS {
        let text = validate(&definition(step), &engine).map(|_| step).expect_err("it is refused");
        assert!(text.contains("_injection]"), "{step}: {text}");
        got.push_str(&text);
        got.push('\n');
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &got).unwrap();
    }
    assert_eq!(fs::read_to_string(Path::new(GOLDEN)).unwrap(), got);
}

#[test]
fn steps_without_injection_problems_are_accepted() {
    let (_folder, engine) = in_folder();
    for step in ACCEPTED {
        if let Err(text) = validate(&definition(step), &engine) {
            panic!("{step}\n{text}");
        }
    }
}

/// A value in the path of a URL may consist of several segments.
#[test]
fn a_value_in_a_url_path_causes_a_warning() {
    let (_folder, engine) = in_folder();
    for url in ["{{ base }}/items/{{ id }}", "https://example.com/{{ id }}"] {
        let document = validate(&definition(&format!("{{id: a, type: http, url: '{url}'}}")), &engine).unwrap();
        let warnings = document.diagnostics().render(llmspell_workflows_definition::Style::Plain);
        assert!(
            warnings.contains("warning[url_injection]: `id` is inserted unencoded into the path"),
            "{url}: {warnings}"
        );
    }
}

/// Each line of the help after "write one of these" is a corrected step.
#[test]
fn suggested_steps_are_accepted() {
    let (_folder, engine) = in_folder();
    let mut count = 0;
    for step in STEPS {
        let text = validate(&definition(step), &engine).map(|_| step).expect_err("it is refused");
        let ways = text.lines().filter_map(|line| {
            line.trim_start()
                .split_once(": ")
                .filter(|(key, _)| {
                    ["command", "argv", "stdin"].contains(key)
                        && !line.contains('|') | line.contains("shell_quote") | line.contains("argv")
                })
                .map(|_| line.trim_start())
        });
        for way in ways.filter(|way| !way.contains('…')) {
            let more = if way.starts_with("stdin") { ", argv: [sh]" } else { "" };
            let suggested = definition(&format!("{{id: a, {way}{more}}}"));
            if let Err(text) = validate(&suggested, &engine) {
                panic!("{way}\n{text}");
            }
            count += 1;
        }
    }
    assert!(count > 30, "only {count} suggestions");
}

fn codes(problems: &[Problem]) -> Vec<(&str, &str)> {
    problems.iter().map(|problem| (problem.code, problem.place.path.as_str())).collect()
}

/// A definition built in Rust is checked in the same way, wherever the step is.
#[test]
fn steps_anywhere_in_a_definition_are_checked() {
    let (_folder, engine) = in_folder();
    let raw = |id: &str| Step::activity(id, "shell", "", json!({"command": "echo {{ title }}"}));
    let fine = || Step::activity("fine", "shell", "", json!({"command": "true"}));
    let with = |kind| Step::new("block", kind);
    let from_yaml = |text: &str| {
        let text = text.replace("RAW", "{id: raw, type: shell, command: 'echo {{ title }}'}");
        validate(&format!("name: x\n{text}"), &engine).map(|_| ()).unwrap_err()
    };
    for (step, path) in [
        (raw("raw"), "/main/raw"),
        (Step::sequence("block", [raw("raw")]), "/main/block/raw"),
        (fine().with_compensation(raw("undo")), "/main/fine/$undo"),
        (fine().with_on_error(OnError::Steps(vec![raw("raw").into()])), "/main/fine/$on_error/raw"),
    ] {
        let problems = engine.validate(Definition::sequence("built", [step]));
        assert!(
            codes(&problems).iter().any(|(code, at)| *code == "shell_injection" && at.starts_with(path)),
            "{problems:?}"
        );
    }
    for text in [
        "steps: [{id: l, type: loop, items: [1], steps: [RAW]}]",
        "steps: [{id: p, type: parallel, branches: [RAW]}]",
        "steps: [{id: c, type: conditional, condition: 'true', then_steps: [RAW]}]",
        "steps: [{id: s, type: switch, cases: [{when: 'true', steps: [RAW]}]}]",
        "steps: [{id: a, type: shell, command: 'true'}]\nfinally: [RAW]",
        "steps: [{id: a, type: shell, command: 'true'}]\non_error: [RAW]",
        "steps: [{id: a, type: workflow, workflow: sub}]\nworkflows: {sub: {name: sub, steps: [RAW]}}",
    ] {
        assert!(from_yaml(text).contains("[shell_injection]"), "{text}: {}", from_yaml(text));
    }
    for (params, code) in [
        (json!("{{ params }}"), "shell_injection"),
        (json!({"command": "true", "env": "{{ names }}"}), "shell_injection"),
        (json!({"command": "echo {{ x }}", "unsafe_shell": "{{ y }}"}), "shell_injection"),
    ] {
        let problems =
            engine.validate(Definition::sequence("built", [Step::activity("a", "shell", "", params.clone())]));
        assert_eq!(codes(&problems), [(code, "/main/a")], "{params}");
    }
    let validator = |kind: &str, name: &str, data: Value| {
        let validator = Some(ActivityName::new(kind, name));
        let validate = with(StepKind::Validate(Validate { data, validator, ..Validate::default() }));
        engine.validate(Definition::sequence("built", [validate]))
    };
    let found = validator("shell", "", json!({"command": "echo {{ title }}"}));
    assert_eq!((codes(&found), &*found[0].place.field), (vec![("shell_injection", "/main/block")], "data/command"));
    let found = validator("tool", "http_requester", json!({"input": "http://example.com/?q={{ title }}"}));
    assert_eq!(codes(&found), [("url_injection", "/main/block")]);
}
