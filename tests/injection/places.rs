//! Wherever the check before a run accepts a quoted value, real shells never execute any part
//! of the value.

use std::{fs, path::Path, process::Command};

use llmspell_workflows_basic::{
    Engine,
    expr::Template,
    model::{Definition, Step},
};
use serde_json::json;

use crate::support::{Random, in_folder, number};

/// Parts of random command lines, with as many constructs as possible that change how a shell reads
/// the following text.
const PARTS: &[&str] = &[
    "{{ x | shell_quote }}",
    "{{ x | shell_quote }}",
    "{{ x | shell_quote }}",
    "'",
    "'",
    "\"",
    "\"",
    "`",
    "$(",
    ")",
    "(",
    "$((",
    "))",
    "((",
    "\\${V:-",
    "\\${V#",
    "}",
    "$'",
    "\\",
    "$",
    "#",
    " # ",
    "\n",
    "\n",
    " ",
    " ",
    ";",
    "&",
    "&&",
    "|",
    ">",
    "> f ",
    "2>&1 ",
    "&> f ",
    "<",
    "<<EOF",
    "<<'EOF'",
    "<<-EOF",
    "<< \\EOF",
    "<<<",
    "\nEOF\n",
    "EOF",
    "\t",
    "echo ",
    "echo ",
    "sh a ",
    ": ",
    "V=",
    "V=1 ",
    "export V=",
    "case ",
    " in ",
    "a) ",
    ";;",
    "esac",
    "if true; then ",
    "; fi",
    "{ ",
    "; }",
    "for i in ",
    "; do ",
    "; done",
    "eval ",
    "sh -c ",
    "-c ",
    "env ",
    "a",
    "b",
    "=",
    "[",
    "]",
    "!",
    "~",
    "*",
    "f() { ",
    "trap ",
    "a[",
    "--",
    "{{ 'a' }}",
    "{{ 1 + 1 }}",
    "\r",
];

/// Values that run `touch owned` if their quotes have no effect. Each escapes from the enclosing
/// construct in a different way.
const VALUES: &[&str] = &[
    "; touch owned;",
    "'; touch owned; '",
    "\"; touch owned; \"",
    "$(touch owned)",
    "`touch owned`",
    "\ntouch owned\n",
    "' \"; touch owned; \" '",
    "\nEOF\ntouch owned\n",
    "\n\"; touch owned\n'; touch owned\n",
    "); touch owned; (",
    "}; touch owned; {",
    "a[$(touch owned)]",
    "`; touch owned; `",
    "\\'; touch owned; \\'",
    "touch owned",
    "|touch owned|",
    "&touch owned&",
    "'\ntouch owned\n'",
];

fn accepts(engine: &Engine, line: &str) -> bool {
    let step = Step::activity("a", "shell", "", json!({"command": line}));
    engine.validate(Definition::sequence("random", [step])).is_empty()
}

/// Returns whether `shell` creates the file `owned`.
fn is_owned(shell: &str, line: &str, folder: &Path) -> bool {
    let mut command = Command::new("timeout");
    let _ =
        command.args(["5", shell, "-c", line]).current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").output();
    let owned = folder.join("owned");
    let is_owned = owned.exists();
    if is_owned {
        fs::remove_file(owned).unwrap();
    }
    is_owned
}

#[test]
fn shells_never_execute_any_part_of_an_accepted_value() {
    let (_roots, engine) = in_folder();
    let folder = tempfile::tempdir().unwrap();
    let shells: Vec<&str> = ["sh", "dash", "bash"]
        .into_iter()
        .filter(|shell| Command::new(shell).args(["-c", ":"]).status().is_ok())
        .collect();
    assert!(!shells.is_empty());
    let mut random = Random(number("SEED", 1));
    let (mut accepted, mut tried) = (0, 0);
    while accepted < number("LINES", 25) {
        let line: String = (0..2 + random.below(10)).map(|_| random.pick(PARTS)).collect();
        if !line.contains("x | shell_quote") || !accepts(&engine, &line) {
            continue;
        }
        accepted += 1;
        let template = Template::parse_text(&line).unwrap();
        for value in VALUES {
            for value in [json!(value), json!(["a", value]), json!(["a", "touch", "owned"])] {
                let rendered = template.render(&json!({"x": value})).unwrap();
                let shell = shells[tried % shells.len()];
                tried += 1;
                let text = rendered.as_str().unwrap();
                assert!(!is_owned(shell, text, folder.path()), "{shell} runs the value {value} in {line:?}: {text:?}");
            }
        }
    }
    println!("{accepted} lines, {tried} processes");
}
