//! What `examples/README.md` shows: commands, and what they print.

use std::{fs, path::Path};

/// A command that a reader can paste, and what it prints.
pub(crate) struct Shown {
    pub(crate) command: String,
    prints: String,
}

/// The commands in the section of `page` that is about the example `name`.
pub(crate) fn commands(page: &Path, name: &str) -> Vec<Shown> {
    let text = fs::read_to_string(page).unwrap();
    let heading = format!("{name}\n");
    let section = text.split("\n## ").find_map(|section| section.strip_prefix(&*heading));
    let section = section.unwrap_or_else(|| panic!("{} has no section about {name}", page.display()));
    let mut commands: Vec<Shown> = Vec::new();
    let mut in_block = false;
    for line in section.lines() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => in_block = line == "```console",
            _ if !in_block => {}
            Some(command) => commands.push(Shown { command: command.to_owned(), prints: String::new() }),
            None => {
                let last = commands.last_mut().unwrap_or_else(|| panic!("{name}: `{line}` follows no command"));
                last.prints += &format!("{line}\n");
            }
        }
    }
    assert!(!commands.is_empty(), "{} shows no command of {name}", page.display());
    commands
}

impl Shown {
    /// That the command printed what the page says, where `…` stands for anything within a line.
    #[track_caller]
    pub(crate) fn check(&self, stdout: &str, stderr: &str) {
        let same = self.prints.lines().count() == stdout.lines().count()
            && self.prints.lines().zip(stdout.lines()).all(|(shown, printed)| fits(shown, printed));
        assert!(
            same,
            "{}\n--- the page\n{}--- printed\n{stdout}--- standard error\n{stderr}",
            self.command, self.prints
        );
    }
}

/// Whether `printed` is `shown`, with something in place of each `…`.
fn fits(shown: &str, printed: &str) -> bool {
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
fn an_ellipsis_stands_for_anything_within_a_line() {
    for (shown, printed, expected) in [
        ("a b", "a b", true),
        ("a b", "a bc", false),
        ("run … ended", "run 7 ended", true),
        ("run … ended", "run 7 ended late", false),
        ("… of …", "1 of 2", true),
        ("… of …", "1 or 2", false),
    ] {
        assert_eq!(fits(shown, printed), expected, "{shown} {printed}");
    }
}
