//! Quotes completions for shells that insert them into the command line unchanged.

use std::{
    ffi::OsString,
    io::{Error, Write},
    path::Path,
};

use clap::Command;
use clap_complete::env::EnvCompleter;

/// A shell whose completions are quoted.
///
/// Zsh, Fish and Elvish quote completions themselves. Bash and PowerShell do not, so a file name
/// such as `$(touch x).yaml` could run a command.
pub(super) struct Quoting<E> {
    pub(super) shell: E,
    /// Returns a completion as the user would type it; `None` if it is not offered.
    pub(super) quote: fn(&str) -> Option<String>,
}

impl<E: EnvCompleter> EnvCompleter for Quoting<E> {
    fn name(&self) -> &'static str {
        self.shell.name()
    }

    fn is(&self, name: &str) -> bool {
        self.shell.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buffer: &mut dyn Write,
    ) -> Result<(), Error> {
        self.shell.write_registration(variable, name, bin, completer, buffer)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        buffer: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut plain = Vec::new();
        self.shell.write_complete(command, words, folder, &mut plain)?;
        // The separator that the shell's script requests, as in clap_complete.
        let separator = std::env::var("_CLAP_IFS").ok().filter(|text| !text.is_empty()).unwrap_or("\n".to_owned());
        let plain = String::from_utf8_lossy(&plain);
        let quoted: Vec<String> = plain.split(separator.as_str()).filter_map(self.quote).collect();
        write!(buffer, "{}", quoted.join(&separator))
    }
}

/// Escapes all characters with a special meaning in Bash; words with control characters are not
/// offered.
pub(super) fn for_bash(word: &str) -> Option<String> {
    if word.contains(char::is_control) {
        return None;
    }
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    let mut quoted = String::with_capacity(word.len());
    for c in word.chars() {
        if !is_plain(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    Some(quoted)
}

/// Offers only words without special characters in PowerShell; a tab separates the word from a
/// description.
pub(super) fn for_powershell(line: &str) -> Option<String> {
    let word = line.split('\t').next().unwrap_or_default();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:\\+=[]".contains(c);
    word.chars().all(is_plain).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_bash() {
        for (word, expected) in [
            ("flow.yaml", Some("flow.yaml")),
            ("--output", Some("--output")),
            ("@last", Some("@last")),
            ("with space.yaml", Some(r"with\ space.yaml")),
            ("$(touch x).yaml", Some(r"\$\(touch\ x\).yaml")),
            ("`id`;&|<>'\"", Some(r#"\`id\`\;\&\|\<\>\'\""#)),
            ("/main/each[0]/$finally", Some(r"/main/each\[0\]/\$finally")),
            ("~user*?{a}#!\\", Some(r"\~user\*\?\{a\}\#\!\\")),
            ("größe.yaml", Some("größe.yaml")),
            ("a\nb", None),
        ] {
            assert_eq!(for_bash(word).as_deref(), expected, "{word:?}");
        }
    }

    #[test]
    fn powershell_completion_omits_words_with_special_characters() {
        assert_eq!(for_powershell("flow.yaml\tA file"), Some("flow.yaml\tA file".to_owned()));
        for word in ["$(id)", "with space", "a;b", "a|b", "'a", "`a", "$finally"] {
            assert_eq!(for_powershell(word), None, "{word}");
        }
    }
}
