//! Help, completions, manual pages.

use crate::support::Place;

#[test]
fn help_shows_examples_first() {
    let place = Place::new();
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
        let help = place.run(&[command, "--help"]).ok().out;
        assert!(help.starts_with("Examples:\n  spellflow "), "{command}: {help}");
    }
}

#[test]
fn a_wrong_command_names_the_nearest() {
    let ran = Place::new().run(&["validte", "x"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("'validate'"), "{ran:?}");
    let ran = Place::new().run(&["validte", "x", "-o", "json"]);
    let help = ran.json()["error"]["help"].clone();
    assert_eq!(help, "a similar subcommand exists: 'validate'");
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = place.run(&["completions", shell]).ok().out;
        assert!(text.contains("doctor"), "{shell}");
    }
    assert!(place.run(&["man"]).ok().out.contains(".TH spellflow 1"));
    place.run(&["man", "--to", "pages"]).ok();
    assert!(place.read("pages/spellflow-tools-call.1").contains("spellflow"));
}
