//! Tests for help, completions and manual pages.

use crate::support::Sandbox;

#[test]
fn help_shows_examples_first() {
    let sandbox = Sandbox::new();
    for command in [
        "init",
        "new",
        "validate",
        "fmt",
        "schema",
        "graph",
        "plan",
        "run",
        "test",
        "tools",
        "doctor",
        "config",
        "completions",
        "man",
    ] {
        let help = sandbox.run(&[command, "--help"]).ok().out;
        assert!(help.starts_with("Examples:\n  spellflow "), "{command}: {help}");
    }
}

#[test]
fn unknown_command_suggests_the_nearest_command() {
    let ran = Sandbox::new().run(&["validte", "x"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("'validate'"), "{ran:?}");
    let ran = Sandbox::new().run(&["validte", "x", "-o", "json"]);
    let help = ran.json()["error"]["help"].clone();
    assert_eq!(help, "a similar subcommand exists: 'validate'");
}

#[test]
fn completions_and_manual_pages_cover_all_commands() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = sandbox.run(&["completions", shell]).ok().out;
        assert!(text.contains("_SPELLFLOW_COMPLETE"), "{shell} asks the program, which knows all commands");
    }
    assert!(sandbox.run(&["man"]).ok().out.contains(".TH spellflow 1"));
    sandbox.run(&["man", "--to", "pages"]).ok();
    assert!(sandbox.read("pages/spellflow-tools-call.1").contains("spellflow"));
}
