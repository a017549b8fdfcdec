use std::{fs, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use llmspell_workflows_basic::{
    ErrorClass, WorkflowInput,
    model::{Definition, Retry, Step},
};
use serde_json::{Value, json};

use crate::{engine, error, policy, problems, run, run_in};

fn shell(params: Value) -> Step {
    Step::activity("go", "shell", "", params)
}

#[tokio::test]
async fn output_and_exit_code_are_returned() {
    for (params, stdout, exit_code) in [
        (json!({"command": "echo out; echo err >&2"}), "out\n", 0),
        (json!({"argv": ["printf", "%s-%s", "a b", 3]}), "a b-3", 0),
        (json!({"command": "cat", "stdin": "text"}), "text", 0),
        (json!({"command": "cat", "stdin": {"a": 1}}), "{\"a\":1}", 0),
        (json!({"command": "cat"}), "", 0),
        (json!({"command": "echo $A-$B", "env": {"A": "x", "B": 2}}), "x-2\n", 0),
        (json!({"command": "exit 7", "allow_failure": true}), "", 7),
        (json!({"command": "kill -9 $$", "allow_failure": true}), "", 137),
    ] {
        let finished = run(shell(params.clone())).await;
        assert_eq!(finished.output["stdout"], stdout, "{params}: {:?}", finished.error);
        assert_eq!(finished.output["exit_code"], exit_code, "{params}");
    }
}

/// Each output must contain the bytes that the process wrote, as text or as base64, and state which
/// of the two it is.
#[tokio::test]
async fn no_byte_of_the_output_is_lost() {
    for (printed, text, form) in [
        (r"plain", "plain", "text"),
        (r"caf\303\251", "café", "text"),
        (r"a\000b", "a\0b", "text"),
        (r"\357\277\275", "\u{fffd}", "text"),
        (r"a\377\000b\303", "Yf8AYsM=", "base64"),
        (r"\355\240\200", "7aCA", "base64"),
        (r"", "", "text"),
    ] {
        for (stream, redirection) in [("stdout", ""), ("stderr", ">&2")] {
            let command = format!("printf '{printed}' {redirection}");
            let output = run(shell(json!({"command": command}))).await.output;
            let got = (&output[stream], &output[format!("{stream}_type")]);
            assert_eq!(got, (&json!(text), &json!(form)), "{command}");
            let other = if stream == "stdout" { "stderr" } else { "stdout" };
            assert_eq!((&output[other], &output[format!("{other}_type")]), (&json!(""), &json!("text")), "{command}");
            let finished = run(shell(json!({"command": format!("{command}; exit 1")}))).await;
            let details = error(&finished).details.as_ref().unwrap();
            assert_eq!((&details[stream], &details[format!("{stream}_type")]), got, "{command}");
        }
    }
    let command = "for n in $(seq 2000); do printf 'x\\377'; done; printf 'why'; exit 1";
    let finished = run(shell(json!({"command": command}))).await;
    let (failed, details) = (error(&finished), error(&finished).details.as_ref().unwrap());
    let end = STANDARD.decode(details["stdout"].as_str().unwrap()).unwrap();
    assert!(end.len() > 3000 && end.ends_with(b"x\xffwhy"), "the end of base64 is base64");
    assert!(failed.message.ends_with("x\u{fffd}why"), "{failed}");
}

/// Tries values refused by the system, for each way of passing them to the process.
#[tokio::test]
async fn errors_name_the_value_refused_by_the_system() {
    let long = "a".repeat(200_000);
    let many: serde_json::Map<_, _> = (0..60).map(|n| (format!("V{n}"), json!("b".repeat(100_000)))).collect();
    for (params, code, message) in [
        (
            json!({"command": "true", "env": {"A": "1", "X": "a\0b"}}),
            "value_with_nul",
            "the variable `X` contains a NUL at byte 1 of 3;",
        ),
        (json!({"command": "echo \0"}), "value_with_nul", "the command line contains a NUL at byte 5 of 6;"),
        (json!({"argv": ["echo", "a", "\0"]}), "value_with_nul", "argument 2 contains a NUL at byte 0 of 1;"),
        (json!({"argv": ["ec\0ho"]}), "value_with_nul", "the program contains a NUL at byte 2 of 5;"),
        (
            json!({"command": "true", "env": {"X": long}}),
            "value_too_long",
            "the variable `X` is too long, with 200000 bytes;",
        ),
        (json!({"command": format!(": {long}")}), "value_too_long", "the command line is too long, with 200002 bytes;"),
        (json!({"argv": ["echo", "a", long]}), "value_too_long", "argument 2 is too long, with 200000 bytes;"),
        (
            json!({"command": "true", "env": many}),
            "value_too_long",
            "is the longest value, with 100000 bytes; the step's arguments",
        ),
    ] {
        let finished = run(shell(params)).await;
        let failed = error(&finished);
        assert_eq!((&*failed.code, failed.class), (code, ErrorClass::Validation), "{message}");
        assert!(failed.message.contains(message), "{message}: {failed}");
        assert!(failed.message.contains("`stdin`, or write"), "{failed}");
        assert!(failed.message.len() < 400, "{}", failed.message.len());
    }
    for (cwd, message) in [
        ("a\0b", r"invalid `cwd`: `a\0b` is not a valid path"),
        (&long, "invalid `cwd`: the path `aaaaa"),
        (&long, "a…` has 200000 bytes, exceeding the limit `FILE_PATH_BYTES_MAX`"),
    ] {
        let finished = run(shell(json!({"command": "true", "cwd": cwd}))).await;
        let failed = error(&finished);
        assert!(failed.code == "invalid_path" && failed.message.contains(message), "{message}: {failed}");
    }
    for text in ["a\0b", &long] {
        let finished = run(shell(json!({"command": "wc -c", "stdin": text}))).await;
        assert_eq!(finished.output["stdout"].as_str().unwrap().trim(), text.len().to_string());
    }
}

#[tokio::test]
async fn environment_variables_identify_the_run_and_the_step() {
    let command = "echo $SPELLFLOW_RUN_ID $SPELLFLOW_STEP_PATH $SPELLFLOW_ATTEMPT $SPELLFLOW_IDEMPOTENCY_KEY";
    let finished = run(shell(json!({"command": command}))).await;
    let id = finished.run_id;
    assert_eq!(finished.output["stdout"], format!("{id} /main/go 1 {id}/main/go\n"));
}

#[tokio::test]
async fn each_failure_has_the_documented_class_and_code() {
    for (params, class, code, message) in [
        (json!({"command": "echo why >&2; exit 3"}), ErrorClass::Transient, "process_failed", "exit code 3: why"),
        (json!({"command": "kill -TERM $$"}), ErrorClass::Transient, "process_failed", "by signal 15"),
        (json!({"command": "no-such-program"}), ErrorClass::Configuration, "command_not_found", "exit code 127"),
        (json!({"argv": ["no-such-program"]}), ErrorClass::Configuration, "program_not_found", "`no-such-program`"),
        (json!({"command": "true", "cwd": "/"}), ErrorClass::Configuration, "path_outside_roots", "`/`"),
        (json!({"command": "true", "cwd": "nowhere"}), ErrorClass::Validation, "not_a_folder", "`nowhere`"),
    ] {
        let finished = run(shell(params.clone())).await;
        let error = error(&finished);
        assert_eq!((error.class, &*error.code), (class, code), "{params}: {error}");
        assert!(error.message.contains(message), "{params}: {error}");
    }
}

#[tokio::test]
async fn only_programs_allowed_by_the_policy_are_started() {
    let folder = tempfile::tempdir().unwrap();
    let some = || {
        let mut policy = policy(&folder);
        policy.programs = vec!["echo".to_owned()];
        policy
    };
    let finished = run_in(some(), shell(json!({"argv": ["echo", "hi"]}))).await;
    assert_eq!(finished.output["stdout"], "hi\n");
    for (params, field) in
        [(json!({"command": "echo hi"}), "params/command"), (json!({"argv": ["cat"]}), "params/argv/0")]
    {
        let found = engine(some()).validate(Definition::sequence("test", [shell(params)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].place.field.as_str(), found[0].message.contains("does not allow")), (field, true));
    }
    // A program whose name is not known before the run is refused during the run.
    let dynamic = Definition::sequence("test", [shell(json!({"argv": ["{{ program }}"]}))]);
    let input = WorkflowInput::new(json!({"program": "cat"}));
    let finished = engine(some()).run(dynamic, input).await.unwrap();
    assert_eq!(error(&finished).code, "program_not_allowed");
}

#[test]
fn parameters_are_checked_before_a_run() {
    for params in [
        json!({"command": "x", "argv": ["x"]}),
        json!({}),
        json!({"command": ""}),
        json!({"command": "x", "cmd": "y"}),
        json!({"command": "x", "env": {"A": [1]}}),
        json!({"command": "x", "env": {"A=B": "1"}}),
        json!({"command": "x", "env": {"": "1"}}),
    ] {
        assert!(!problems(shell(params.clone())).is_empty(), "{params}");
    }
    assert_eq!(problems(shell(json!({"command": "echo {{ x | shell_quote }}", "env": {"A": "{{ a }}"}}))), []);
}

#[tokio::test]
async fn endless_output_fails_the_step_and_stops_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut small = policy(&folder);
    small.output_bytes_max = 10_000;
    let finished = run_in(small, shell(json!({"command": "yes"}))).await;
    assert_eq!((error(&finished).class, &*error(&finished).code), (ErrorClass::Resource, "output_too_large"));
}

#[tokio::test]
async fn only_the_listed_exit_codes_are_retried() {
    // The first attempt ends with the first code, and the second attempt with the second code.
    let command = |codes: &str| format!("set -- {codes}; shift $((SPELLFLOW_ATTEMPT - 1)); exit $1");
    for (codes, listed, attempts, exit_code) in [
        ("75 0", &[75][..], 2, 0),
        ("75 75 0", &[75, 100], 3, 0),
        ("75 100 3 0", &[75, 100], 3, 3),
        ("1 0", &[75], 1, 1),
        ("127 0", &[127], 2, 0),
        ("255 0", &[255], 2, 0),
        ("1 0", &[], 2, 0),
    ] {
        let retry =
            Retry::attempts(5).with_initial_delay(Duration::from_millis(1)).with_exit_codes(listed.iter().copied());
        let finished = run(shell(json!({"command": command(codes)})).with_retry(retry)).await;
        let ended = match &finished.error {
            Some(error) => error.details.as_ref().unwrap()["exit_code"].clone(),
            None => finished.output["exit_code"].clone(),
        };
        assert_eq!((finished.step("go").unwrap().attempts, ended), (attempts, json!(exit_code)), "{codes}: {listed:?}");
    }
    let retry = Retry::default().with_exit_codes([75, 0]);
    let found = problems(shell(json!({"command": "true"})).with_retry(retry));
    assert_eq!((found[0].code, &*found[0].place.field), ("invalid_number", "retry/on_exit_codes/1"));
}

#[tokio::test]
async fn each_retry_passes_its_attempt_number_and_the_same_idempotency_key() {
    let command = "echo $SPELLFLOW_ATTEMPT $SPELLFLOW_IDEMPOTENCY_KEY >> log; [ $SPELLFLOW_ATTEMPT = 3 ]";
    let retry = Retry::attempts(3).with_initial_delay(Duration::from_millis(1));
    let folder = tempfile::tempdir().unwrap();
    let finished = run_in(policy(&folder), shell(json!({"command": command})).with_retry(retry)).await;
    assert_eq!(finished.error, None);
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let id = finished.run_id;
    assert_eq!(log, format!("1 {id}/main/go\n2 {id}/main/go\n3 {id}/main/go\n"));
}

/// A background process holds a pipe open. The read from the other end finishes only when every
/// process that has the pipe open has ended.
#[tokio::test]
async fn no_process_outlives_its_step() {
    for (end, params) in [
        ("its leader exits", json!({"command": "exec 3>held; echo up >&3; sleep 1000 & exec 1>&- 2>&-"})),
        ("the step times out", json!({"command": "exec 3>held; echo up >&3; sleep 1000 & wait"})),
        (
            "its leader ignores SIGTERM",
            json!({"command": "trap '' TERM; exec 3>held; echo up >&3; sleep 1000 & wait; sleep 1000"}),
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("held");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (sender, held) = tokio::sync::oneshot::channel();
        // The thread is not joined, because it would read forever if a process were left behind.
        std::thread::spawn(move || sender.send(fs::read_to_string(pipe).unwrap()));
        run_in(policy(&folder), shell(params).with_timeout(Duration::from_millis(300))).await;
        let read = tokio::time::timeout(Duration::from_secs(20), held).await;
        assert_eq!(read.unwrap_or_else(|_| panic!("a process is left behind when {end}")).unwrap(), "up\n");
    }
}

/// Creates an executable file in `folder` that prints `text`.
fn program(folder: &std::path::Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;

    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), format!("#!/bin/sh\necho {text}\n")).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_step_cannot_replace_the_file_of_an_allowed_program() {
    let folder = tempfile::tempdir().unwrap();
    program(&folder.path().join("bin"), "printf", "planted");
    program(folder.path(), "printf", "planted");
    let bin = folder.path().join("bin").display().to_string();
    let path = |rest: &str| format!("{bin}{rest}");
    for (programs, params, expected) in [
        (&["printf"][..], json!({"argv": ["printf", "real"]}), Ok("real")),
        (&["printf"], json!({"argv": ["printf", "real"], "cwd": "bin"}), Ok("real")),
        (&["printf"], json!({"argv": ["printf", "real"], "env": {"A": "b"}}), Ok("real")),
        (&["printf"], json!({"argv": ["printf"], "env": {"PATH": path("")}}), Err("variable_not_allowed")),
        (&["printf"], json!({"argv": ["printf"], "env": {"PATH": path(":/usr/bin")}}), Err("variable_not_allowed")),
        (&["printf"], json!({"argv": ["printf"], "env": {"LD_PRELOAD": path("/x.so")}}), Err("variable_not_allowed")),
        (&["printf"], json!({"argv": ["./printf"]}), Err("program_not_allowed")),
        (&["printf"], json!({"argv": ["bin/printf"]}), Err("program_not_allowed")),
        (&["bin/printf"], json!({"argv": ["bin/printf"]}), Err("program_not_allowed")),
        (&["sh"], json!({"command": "true", "env": {"BASH_ENV": path("/x")}}), Err("variable_not_allowed")),
        (&["sh"], json!({"command": "true", "env": {"ENV": path("/x")}}), Err("variable_not_allowed")),
        // Without a list, the step's environment determines the program.
        (&["*"], json!({"argv": ["printf"], "env": {"PATH": path(":/bin")}}), Ok("planted\n")),
        (&["*"], json!({"argv": ["./printf"]}), Ok("planted\n")),
    ] {
        let mut policy = policy(&folder);
        policy.programs = programs.iter().map(|program| (*program).to_owned()).collect();
        // The values are known only during the run, so the checks before the run do not apply.
        let dynamic = Definition::sequence(
            "test",
            [shell(json!({
                "argv": "{{ words }}", "env": "{{ given }}", "cwd": "{{ folder }}", "unsafe_shell": true,
            }))],
        );
        let input = json!({
            "words": params.get("argv").cloned().unwrap_or_else(|| json!(["sh", "-c", params["command"]])),
            "given": params.get("env").cloned().unwrap_or_else(|| json!({})),
            "folder": params.get("cwd").cloned().unwrap_or_else(|| json!(".")),
        });
        let finished = engine(policy.clone()).run(dynamic, WorkflowInput::new(input)).await.unwrap();
        let got = match &finished.error {
            None => Ok(finished.output["stdout"].as_str().unwrap()),
            Some(error) => Err(&*error.code),
        };
        assert_eq!(got, expected, "{programs:?} {params}: {:?}", finished.error);
        let found = engine(policy).validate(Definition::sequence("test", [shell(params.clone())]));
        assert_eq!(found.is_empty(), expected.is_ok(), "{programs:?} {params}: {found:?}");
    }
}
