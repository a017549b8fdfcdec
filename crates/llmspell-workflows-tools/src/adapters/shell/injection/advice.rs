//! Suggests ways to rewrite a step so that its values cannot run commands.

use serde_json::Value;

use super::scan::Place;
use super::script::{Hole, Script, Token};
use crate::adapters::shell::program::is_dangerous;

/// The maximum size of a text that a suggestion repeats in full, in bytes.
const SHOWN_BYTES: usize = 160;

/// The position of a script's text in the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    Command,
    /// An element of `argv`.
    Argument(usize),
    Stdin,
}

/// Suggests ways to rewrite a script so that the values in `wrong` cannot run commands.
pub(super) struct Advice<'a> {
    pub(super) params: &'a Value,
    pub(super) site: Site,
    pub(super) script: &'a Script,
    pub(super) places: &'a [Place],
    /// The indices of the holes to replace.
    pub(super) wrong: &'a [usize],
}

impl Advice<'_> {
    /// Returns one line for each way to pass the values to `program`.
    pub(super) fn ways(&self, program: &str) -> Vec<String> {
        if program == "ssh" {
            // Neither variables nor script arguments reach the other machine.
            return self.with_quotes().into_iter().collect();
        }
        let mut ways = vec![self.with_env()];
        ways.extend(self.with_arguments());
        ways.extend(self.with_quotes());
        ways
    }

    /// Passes the values as variables.
    fn with_env(&self) -> String {
        let names = self.names();
        let mut variables: Vec<String> = Vec::new();
        for (name, at) in &names {
            let hole = &self.script.holes[*at];
            let variable = format!("{name}: {}", flow(&braced(hole.bare().unwrap_or(hole.expression.source()))));
            if !variables.contains(&variable) {
                variables.push(variable);
            }
        }
        let line = self.rewritten(|at| {
            let name = names.iter().find(|(_, other)| *other == at).map(|(name, _)| name.as_str()).unwrap_or_default();
            Insert::Variable(name.to_owned())
        });
        format!("{}, env: {{{}}}", self.field(&line), variables.join(", "))
    }

    /// Passes the values as arguments.
    fn with_arguments(&self) -> Option<String> {
        if self.site == Site::Command
            && let Some(words) = self.simple_words()
        {
            return Some(format!("argv: [{}]", words.join(", ")));
        }
        let mut arguments: Vec<String> = Vec::new();
        for at in self.wrong {
            let value = flow(&braced(self.script.holes[*at].bare()?));
            if !arguments.contains(&value) {
                arguments.push(value);
            }
        }
        let (before, after) = match self.site {
            Site::Command => (vec!["sh".to_owned(), "-c".to_owned()], Vec::new()),
            Site::Argument(at) => {
                let items: Vec<_> = self.params["argv"].as_array()?.iter().map(item).collect();
                (items[..at].to_vec(), items[at + 1..].to_vec())
            }
            Site::Stdin => return None,
        };
        let name = if after.is_empty() { vec!["sh".to_owned()] } else { Vec::new() };
        let first = after.len() + name.len();
        let line = self.rewritten(|at| {
            let value = self.script.holes[at].bare().map(|bare| flow(&braced(bare)));
            let number = arguments.iter().position(|other| Some(other) == value.as_ref()).unwrap_or_default();
            Insert::Variable((first + number).to_string())
        });
        let all = [before, vec![flow(&line)], name, after, arguments].concat();
        Some(format!("argv: [{}]", all.join(", ")))
    }

    /// Quotes the values in place; returns `None` if quotes do not help in one of the places.
    fn with_quotes(&self) -> Option<String> {
        let is_fit = |at: &usize| matches!(self.places[*at], Place::Word | Place::Single | Place::Double);
        self.wrong.iter().all(is_fit).then(|| self.field(&self.rewritten(|_| Insert::Quoted)))
    }

    /// Returns the field that contains the script, with `line` as the script's text.
    fn field(&self, line: &str) -> String {
        match self.site {
            Site::Command => format!("command: {}", flow(line)),
            Site::Stdin => format!("stdin: {}", flow(line)),
            Site::Argument(at) => {
                let mut items: Vec<_> = self.params["argv"].as_array().into_iter().flatten().map(item).collect();
                if let Some(item) = items.get_mut(at) {
                    *item = flow(line);
                }
                format!("argv: [{}]", items.join(", "))
            }
        }
    }

    fn source(&self) -> &str {
        let text = match self.site {
            Site::Command => &self.params["command"],
            Site::Argument(at) => &self.params["argv"][at],
            Site::Stdin => &self.params["stdin"],
        };
        text.as_str().unwrap_or_default()
    }

    /// Returns the script's text with each wrong value replaced.
    fn rewritten(&self, insert: impl Fn(usize) -> Insert) -> String {
        let source = self.source();
        let mut line = String::new();
        let mut done = 0;
        let mut first = 0;
        for at in self.wrong {
            let hole = &self.script.holes[*at];
            let quote = match self.places[*at] {
                Place::Single => Some('\''),
                Place::Double => Some('"'),
                _ => None,
            };
            let (mut start, mut end) = (hole.braces.start, hole.braces.end);
            let written = insert(*at);
            let keeps_quotes = matches!(written, Insert::Variable(_)) && self.places[*at] != Place::Single;
            let (mut open, mut close) = (String::new(), String::new());
            if let Some(quote) = quote.filter(|_| !keeps_quotes) {
                // Quotes that would become empty are omitted.
                let before = source[..start]
                    .strip_suffix(quote)
                    .filter(|before| !before.ends_with('\\') && before.len() >= done);
                let after = source[end..].strip_prefix(quote);
                match before {
                    Some(before) => start = before.len(),
                    None => open.push(quote),
                }
                match after {
                    Some(_) => end += 1,
                    None => close.push(quote),
                }
            }
            let inner = written.text(hole, &source[end..], self.is_in_text(*at));
            if done == 0 {
                first = start;
            }
            line.push_str(&source[done..start]);
            line.push_str(&open);
            line.push_str(&inner);
            line.push_str(&close);
            done = end;
        }
        if source.len() <= SHOWN_BYTES && !source.contains('\n') {
            return line + &source[done..];
        }
        format!("… {} …", line[first..].lines().next().unwrap_or_default())
    }

    /// Returns whether the shell replaces a variable in this place without splitting its value.
    fn is_in_text(&self, at: usize) -> bool {
        matches!(self.places[at], Place::Double | Place::HereDocument { .. } | Place::Parameter)
    }

    /// Returns a variable name for each value to replace.
    fn names(&self) -> Vec<(String, usize)> {
        let mut names: Vec<(String, usize)> = Vec::new();
        for at in self.wrong {
            let hole = &self.script.holes[*at];
            let same = names.iter().find(|(_, other)| self.script.holes[*other].bare() == hole.bare());
            let name = same.map(|(name, _)| name.clone()).unwrap_or_else(|| {
                let name = variable_name(hole.name());
                let own = self.params.get("env");
                let is_own = |name: &str| own.is_some_and(|own| own.get(name).is_some());
                let is_free = |name: &str| !is_own(name) && names.iter().all(|(other, _)| other != name);
                if is_free(&name) {
                    return name;
                }
                (2..).map(|n| format!("{name}_{n}")).find(|name| is_free(name)).unwrap_or_default()
            });
            names.push((name, *at));
        }
        names
    }

    /// Returns the script's words if the command needs no shell.
    fn simple_words(&self) -> Option<Vec<String>> {
        const SPECIAL: &str = "|&;<>()$`\\*?[]#~={}!\n";
        let mut words: Vec<String> = Vec::new();
        let (mut word, mut quote) = (None::<String>, None);
        for token in &self.script.tokens {
            match (quote, *token) {
                (_, Token::Hole(at)) => {
                    let text = braced(self.script.holes[at].bare()?);
                    word.get_or_insert_default().push_str(&text);
                }
                (None, Token::Char(c @ ('\'' | '"'))) => {
                    word.get_or_insert_default();
                    quote = Some(c);
                }
                (Some(open), Token::Char(c)) if c == open => quote = None,
                (Some('"'), Token::Char('$' | '`' | '\\')) => return None,
                (None, Token::Char(' ')) => words.extend(word.take()),
                (None, Token::Char(c)) if SPECIAL.contains(c) => return None,
                (_, Token::Char(c)) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word.take());
        let is_short = self.source().len() <= SHOWN_BYTES;
        let is_plain = words.first().is_some_and(|program| !BUILTIN.contains(&program.as_str()));
        (is_short && is_plain).then(|| words.iter().map(|word| flow(word)).collect())
    }
}

/// Commands that exist only within a shell.
const BUILTIN: &[&str] = &[
    ".", ":", "alias", "break", "case", "cd", "command", "continue", "eval", "exec", "exit", "export", "for", "if",
    "let", "local", "read", "readonly", "return", "set", "shift", "source", "trap", "type", "ulimit", "umask", "unset",
    "until", "wait", "while",
];

enum Insert {
    /// The value of a variable or of a script argument.
    Variable(String),
    /// The expression with the quoting filter.
    Quoted,
}

impl Insert {
    fn text(&self, hole: &Hole, after: &str, in_double: bool) -> String {
        match self {
            Self::Quoted if hole.quotes() > 0 => braced(hole.expression.source()),
            Self::Quoted => braced(&format!("{} | shell_quote", hole.expression.source())),
            Self::Variable(name) => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                // The shell reads `$10` as `${1}0`.
                let is_long = name.len() > 1 && name.starts_with(|c: char| c.is_ascii_digit());
                let variable = match is_long || in_double && after.starts_with(is_name) {
                    true => format!("\\${{{name}}}"),
                    false => format!("${name}"),
                };
                if in_double { variable } else { format!("\"{variable}\"") }
            }
        }
    }
}

fn braced(source: &str) -> String {
    format!("{{{{ {source} }}}}")
}

/// Returns a shell-style variable name that does not change how programs work.
fn variable_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let is_taken =
        is_dangerous(&name) || matches!(name.as_str(), "USER" | "LANG" | "PWD" | "OLDPWD" | "TERM" | "TMPDIR" | "_");
    match name.starts_with(|c: char| c.is_ascii_digit()) || is_taken {
        true => format!("VALUE_{name}"),
        false => name,
    }
}

fn item(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), flow)
}

/// Formats a string as YAML for use in a flow collection.
fn flow(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || "-/".contains(c)) && text.chars().all(is_plain);
    let is_value = matches!(text, "true" | "false" | "null") || !text.contains(|c: char| c.is_ascii_alphabetic());
    match text {
        _ if text.contains(char::is_control) => Value::from(text).to_string(),
        _ if is_word && !is_value => text.to_owned(),
        _ => format!("'{}'", text.replace('\'', "''")),
    }
}
