//! Every safe way to pass values delivers random hostile texts to real processes unchanged, without
//! executing any part of them.

use std::fs;

use llmspell_workflows_basic::WorkflowInput;
use serde_json::{Value, json};

use crate::support::{Random, in_folder, number, validate};

/// The number of texts passed to the steps of one run.
const TEXTS: usize = 6;

/// Prints each value, as received by a separate process, between `<` and `>`, for every way to pass
/// values.
const DEFINITION: &str = r#"
name: ways
inputs: {t: {type: array}}
steps:
  - {id: argv, argv: [printf, '<%s>', '{{ t[0] }}', '{{ t[1] }}', '{{ t[2] }}', '{{ t[3] }}', '{{ t[4] }}', '{{ t[5] }}']}
  - id: by_env
    command: printf '<%s>' "$A" "$B" "$C" "$D" "$E" "$F"
    env: {A: '{{ t[0] }}', B: '{{ t[1] }}', C: '{{ t[2] }}', D: '{{ t[3] }}', E: '{{ t[4] }}', F: '{{ t[5] }}'}
  - {id: quoted_list, command: "printf '<%s>' {{ t | shell_quote }}"}
  - id: quoted_words
    command: |
      # Words, a part of a word, a target, and commands in a substitution.
      printf '<%s>' {{ t[0] | shell_quote }} ""{{ t[1] | shell_quote }} "$(printf '%s.' {{ t[2] | shell_quote }})"
      case {{ t[3] | shell_quote }} in {{ t[3] | shell_quote }}) printf '<%s>' {{ t[3] | shell_quote }};; esac
      for each in {{ [t[4], t[5]] | shell_quote }}; do printf '<%s>' "$each"; done
  - {id: arguments, argv: [sh, -c, 'printf "<%s>" "$@"', sh, '{{ t[0] }}', '{{ t[1] }}', '{{ t[2] }}', '{{ t[3] }}', '{{ t[4] }}', '{{ t[5] }}']}
  - {id: inner, command: "sh -c 'printf \"<%s>\" \"$@\"' sh {{ t | shell_quote }}"}
  - {id: stdin, command: cat, stdin: "{{ t | join('\n') }}"}
outputs:
  argv: "{{ argv.stdout }}"
  by_env: "{{ by_env.stdout }}"
  quoted_list: "{{ quoted_list.stdout }}"
  quoted_words: "{{ quoted_words.stdout }}"
  arguments: "{{ arguments.stdout }}"
  inner: "{{ inner.stdout }}"
  stdin: "{{ stdin.stdout }}"
"#;

#[tokio::test]
async fn hostile_texts_arrive_unchanged_and_execute_nothing() {
    let (folder, engine) = in_folder();
    let definition = validate(DEFINITION, &engine).unwrap().definition;
    let mut random = Random(number("SEED", 1));
    for round in 0..number("TEXTS", 60) / TEXTS as u64 {
        let texts: Vec<String> = (0..TEXTS).map(|_| random.hostile()).collect();
        let finished = engine.run(definition.clone(), WorkflowInput::new(json!({"t": texts}))).await.unwrap();
        assert_eq!(finished.error, None, "round {round}: {texts:?}");
        let words: String = texts.iter().map(|text| format!("<{text}>")).collect();
        for way in ["argv", "by_env", "quoted_list", "arguments", "inner"] {
            assert_eq!(finished.output[way], json!(words), "{way} of {texts:?}");
        }
        // A command substitution drops trailing line breaks, so the script adds a full stop.
        let expected =
            words.replacen(&format!("<{}><{}>", texts[1], texts[2]), &format!("<{}><{}.>", texts[1], texts[2]), 1);
        assert_eq!(finished.output["quoted_words"], json!(expected), "{texts:?}");
        assert_eq!(finished.output["stdin"], json!(texts.join("\n")), "{texts:?}");
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(files.is_empty(), "{files:?} after {texts:?}");
    }
}

#[tokio::test]
async fn values_that_cannot_be_passed_to_a_shell_are_errors() {
    let (_folder, engine) = in_folder();
    let text = "name: values\nsteps: [{id: a, command: \"printf '<%s>' {{ x | shell_quote }} end\"}]\noutputs: '{{ a.stdout }}'\n";
    let definition = validate(text, &engine).unwrap().definition;
    for (value, expected) in [
        (json!(""), Ok("<><end>")),
        (json!(null), Ok("<><end>")),
        (json!(1.5), Ok("<1.5><end>")),
        (json!({"a": "it's"}), Ok("<{\"a\":\"it's\"}><end>")),
        (json!(["a b", "", 3]), Ok("<a b><><3><end>")),
        (json!([]), Ok("<end>")),
        (json!("a\0b"), Err("cannot quote a string with a NUL character")),
        (json!([["a"]]), Err("cannot quote a list within a list")),
    ] {
        let finished = engine.run(definition.clone(), WorkflowInput::new(json!({"x": value}))).await.unwrap();
        match (expected, &finished.error) {
            (Ok(output), None) => assert_eq!(*finished.output, Value::from(output), "{value}"),
            (Err(message), Some(error)) => assert!(error.message.contains(message), "{value}: {}", error.message),
            (expected, error) => panic!("{value}: expected {expected:?}, got {error:?}"),
        }
    }
}
