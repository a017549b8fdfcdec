//! `docs/commands.md`, generated from the command line definition.

use std::{fmt::Write, fs, path::Path};

use clap::{Arg, Command};

const HEAD: &str =
    "# Commands\n\nGenerated from the program by `UPDATE_DOCS=1 cargo test -p llmspell-workflows-cli`.\n";

/// Renders the page.
fn page() -> String {
    let mut command = crate::cli::command();
    command.build();
    let mut out = HEAD.to_owned();
    put(&mut out, "\n## Global options\n\n");
    options(&mut out, command.get_arguments().filter(|argument| argument.is_global_set()));
    for inner in visible(&command) {
        section(&mut out, inner, "spellflow", 2);
    }
    out
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

fn put(out: &mut String, text: &str) {
    out.write_str(text).expect("writing to a String cannot fail");
}

fn section(out: &mut String, command: &Command, before: &str, level: usize) {
    let name = format!("{before} {}", command.get_name());
    put(out, &format!("\n{} `{name}`\n\n", "#".repeat(level)));
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        put(out, &format!("{about}\n"));
    }
    if let Some(examples) = command.get_before_help() {
        let examples = examples.to_string();
        let lines = examples.lines().filter(|line| !line.starts_with("Examples:")).map(|line| line.trim());
        put(out, &format!("\n```sh\n{}\n```\n", lines.collect::<Vec<_>>().join("\n")));
    }
    let usage = command.clone().render_usage().to_string();
    put(out, &format!("\n{}\n\n", usage.trim().replacen("Usage: ", "Usage: `", 1) + "`"));
    let own =
        |argument: &&Arg| !argument.is_global_set() && argument.get_id() != "help" && argument.get_id() != "version";
    options(out, command.get_arguments().filter(own));
    for inner in visible(command) {
        section(out, inner, &name, level + 1);
    }
}

fn options<'a>(out: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    for argument in arguments.filter(|argument| !argument.is_hide_set()) {
        let value = argument.get_value_names().and_then(|names| names.first()).map(|name| format!("<{name}>"));
        let takes_value = argument.get_num_args().is_some_and(|count| count.takes_values());
        let value = value.filter(|_| takes_value).unwrap_or_default();
        let flags = [
            argument.get_short().map(|short| format!("-{short}")),
            argument.get_long().map(|long| format!("--{long}")),
        ];
        let flags = flags.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let shown = format!("{flags} {value}");
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let words: Vec<_> =
            argument.get_possible_values().iter().map(|word| format!("`{}`", word.get_name())).collect();
        let words = if words.is_empty() || !takes_value { String::new() } else { format!(": {}", words.join(", ")) };
        put(out, &format!("- `{}`: {}{words}\n", shown.trim(), help.trim_end_matches('.')));
    }
}

#[test]
fn commands_page_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, page).unwrap();
        return;
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/commands.md is out of date: run `UPDATE_DOCS=1 cargo test -p llmspell-workflows-cli`"
    );
}
