//! Command-line completions, requested in the way a shell requests them.

use std::{fs, path::Path, process::Stdio};

use crate::support::{CommandOutput, Sandbox, newest_run, without_settings};

/// Returns the completions of the last word in `words`.
fn completed(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let mut command = sandbox.command(&["--", "spellflow"]);
    command.args(words).stdin(Stdio::null());
    command.env("_SPELLFLOW_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    let ended = CommandOutput::new(command.env("_CLAP_COMPLETE_INDEX", words.len().to_string()).output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{words:?}");
    let is_asked = words.last().is_some_and(|word| word.starts_with('-'));
    // Options are offered in addition to values.
    ended.stdout.lines().filter(|word| is_asked || !word.starts_with('-')).map(str::to_owned).collect()
}

const FLOW: &str = "name: looping\nsteps:\n  - {id: each, type: loop, items: [a, b], steps: [{id: work, type: set, params: {x: 1}}]}\n  \
                    - {id: build, type: set, params: {y: 1}}\n";

#[test]
fn runs_steps_tools_and_files_are_completed() {
    let sandbox = Sandbox::with_flow(FLOW).file("notes.txt", "").file("flows/inner.yml", FLOW);
    assert_eq!(completed(&sandbox, &["runs", "show", ""]), Vec::<String>::new(), "no store yet");
    assert!(!sandbox.path(".spellflow").exists(), "completing creates nothing");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    let first = newest_run(&sandbox);
    assert_eq!(sandbox.run(&["run", "flow.yaml", "--store", "other"]).code, 0);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    let second = newest_run(&sandbox);

    assert_eq!(completed(&sandbox, &["runs", "show", ""]), ["@last", &second, &first]);
    assert_eq!(completed(&sandbox, &["resume", "@"]), ["@last"]);
    let unique = &first[..first.bytes().zip(second.bytes()).take_while(|(one, other)| one == other).count() + 1];
    assert_eq!(completed(&sandbox, &["runs", "logs", unique]), [&*first]);
    let others = completed(&sandbox, &["runs", "show", "--store", "other", ""]);
    assert!(others.len() == 2 && !others.contains(&first), "{others:?}");

    assert_eq!(completed(&sandbox, &["fork", "@last", "--from", "bu"]), ["build"]);
    assert_eq!(completed(&sandbox, &["runs", "state", &first, "--at", "/main/each[1]/"]), [r"/main/each\[1\]/work"]);
    let steps = completed(&sandbox, &["runs", "logs", "@last", "--step", ""]);
    assert!(
        steps.contains(&r"main/each\[0\]/work".to_owned()) && steps.contains(&r"each\[0\]".to_owned()),
        "{steps:?}"
    );

    assert_eq!(completed(&sandbox, &["tools", "show", "csv"]), ["csv_analyzer"]);
    assert_eq!(completed(&sandbox, &["run", "f"]), ["flow.yaml", "flows/"]);
    assert_eq!(completed(&sandbox, &["run", "n"]), Vec::<String>::new(), "other files are not offered");
    assert_eq!(completed(&sandbox, &["val"]), ["validate"]);
    assert_eq!(completed(&sandbox, &["run", "flow.yaml", "--lo"]), ["--log-format", "--logs"]);
}

/// A real shell sources the script and calls its completion function.
#[test]
fn bash_completes_with_the_printed_script() {
    let sandbox = Sandbox::with_flow(FLOW);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    let script = sandbox.run(&["completions", "bash"]);
    assert_eq!(script.code, 0, "{}", script.stderr);
    fs::write(sandbox.path("script"), script.stdout).unwrap();
    let call = "source ./script; COMP_WORDS=(spellflow fork @last --from bui); COMP_CWORD=4; COMP_TYPE=9; \
                _clap_complete_spellflow spellflow bui --from 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = without_settings(std::process::Command::new("bash"), &sandbox.path(""));
    let program = Path::new(env!("CARGO_BIN_EXE_spellflow")).parent().unwrap();
    let paths = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    bash.args(["--norc", "-c", call]).env("PATH", paths).env("HOME", sandbox.path("home")).stdin(Stdio::null());
    let Ok(output) = bash.output() else { return };
    let shown = CommandOutput::new(output);
    assert_eq!(shown.stdout, "build\n", "{}", shown.stderr);
}

#[test]
fn file_name_cannot_become_a_command() {
    let sandbox = Sandbox::new().file("flows/$(touch pwned).yaml", FLOW).file("flows/with space.yaml", FLOW);
    let expected = [r"flows/\$\(touch\ pwned\).yaml", r"flows/with\ space.yaml"];
    assert_eq!(completed(&sandbox, &["run", "flows/"]), expected);
    assert_eq!(completed(&sandbox, &["validate", "flows/"]), expected);
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = Sandbox::new().run(&["completions", shell]);
        assert_eq!(script.code, 0, "{shell}: {}", script.stderr);
        assert!(script.stdout.contains("_SPELLFLOW_COMPLETE"), "{shell}: {}", script.stdout);
    }
}
