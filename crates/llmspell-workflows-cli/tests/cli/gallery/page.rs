//! The commands in `examples/README.md`, and their output.

use std::{fs, path::Path};

/// A command on the page, with its expected output.
pub(crate) struct PageCommand {
    pub(crate) command: String,
    output: String,
}

/// Returns the commands in the section of `page` about the example `name`.
pub(crate) fn commands(page: &Path, name: &str) -> Vec<PageCommand> {
    let text = fs::read_to_string(page).unwrap();
    let heading = format!("{name}\n");
    let section = text.split("\n## ").find_map(|section| section.strip_prefix(&*heading));
    let section = section.unwrap_or_else(|| panic!("{} has no section about {name}", page.display()));
    let mut commands: Vec<PageCommand> = Vec::new();
    let mut in_block = false;
    for line in section.lines() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => in_block = line == "```console",
            _ if !in_block => {}
            Some(command) => commands.push(PageCommand::new(command.to_owned(), String::new())),
            None => {
                let last = commands.last_mut().unwrap_or_else(|| panic!("{name}: `{line}` follows no command"));
                last.output += &format!("{line}\n");
            }
        }
    }
    assert!(!commands.is_empty(), "{} shows no command of {name}", page.display());
    commands
}

impl PageCommand {
    pub(crate) fn new(command: String, output: String) -> Self {
        Self { command, output }
    }

    /// Asserts that the command's output matches the page; `…` matches anything within a line.
    #[track_caller]
    pub(crate) fn check(&self, stdout: &str, stderr: &str) {
        let difference = self.difference(stdout, stderr);
        assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    }

    /// Returns a description of the difference between the page and the command's output, if there
    /// is one.
    pub(crate) fn difference(&self, stdout: &str, stderr: &str) -> Option<String> {
        let same = self.output.lines().count() == stdout.lines().count()
            && self.output.lines().zip(stdout.lines()).all(|(shown, printed)| matches_line(shown, printed));
        let Self { command, output } = self;
        (!same).then(|| format!("{command}\n--- the page\n{output}--- printed\n{stdout}--- standard error\n{stderr}"))
    }
}

/// Returns whether `printed` matches `shown`, where `…` matches anything.
fn matches_line(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn ellipsis_matches_anything_within_a_line() {
    for (shown, printed, expected) in [
        ("a b", "a b", true),
        ("a b", "a bc", false),
        ("run … ended", "run 7 ended", true),
        ("run … ended", "run 7 ended late", false),
        ("… of …", "1 of 2", true),
        ("… of …", "1 or 2", false),
    ] {
        assert_eq!(matches_line(shown, printed), expected, "{shown} {printed}");
    }
}
