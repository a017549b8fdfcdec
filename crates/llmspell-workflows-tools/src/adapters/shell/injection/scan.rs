//! Determines how a POSIX shell reads the places of a command line where values are inserted.
//!
//! The scanner follows quotes, substitutions, comments and here-documents as the shells called `sh`
//! do. Where these shells differ, or where only a full parser could decide, the scanner returns
//! [`Place::Unclear`] for the rest of the text, because a wrong guess would let a value run
//! commands.

mod code;

use super::interpreters::{Reading, reading};
use super::script::{Script, Token};

/// How a shell reads a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A place where a quoted value is a word or part of a word.
    Word,
    /// A quoted argument that the receiving program runs as a command or as code.
    Argument(Reading),
    Single,
    Double,
    /// Inside quotes, and read again by a shell on another machine.
    Sent,
    Backtick,
    Comment,
    /// A here-document. With a quoted delimiter, the shell does not replace variables in it.
    HereDocument {
        literal: bool,
    },
    /// The word after `<<`.
    Delimiter,
    Parameter,
    Arithmetic,
    Assignment,
    /// The target of a redirection before the command.
    Target,
    /// After an unquoted backslash or dollar sign, which changes the meaning of the quote that follows.
    After(char),
    Unclear,
}

/// Returns the places of all holes in `script`, in order.
pub(super) fn places(script: &Script) -> Vec<Place> {
    let mut scanner =
        Scanner { tokens: &script.tokens, at: 0, frames: vec![Frame::code(0)], unclear: false, places: Vec::new() };
    while let Some(token) = scanner.next() {
        scanner.step(token);
    }
    scanner.places
}

struct Scanner<'s> {
    tokens: &'s [Token],
    at: usize,
    /// The constructs that enclose the current position, outermost first; never empty.
    frames: Vec<Frame>,
    unclear: bool,
    places: Vec<Place>,
}

enum Frame {
    Code(Code),
    Single,
    Double,
    /// `$'…'`, which only some shells support.
    Dollar,
    Backtick,
    Comment,
    Parameter {
        in_double: bool,
    },
    Arithmetic {
        depth: usize,
    },
}

/// The commands of a script or of a command substitution.
#[derive(Default)]
struct Code {
    /// The number of substitutions around the commands.
    level: usize,
    /// The number of open parentheses within the substitution.
    parentheses: usize,
    /// The complete words of the current simple command.
    words: Vec<String>,
    /// The incomplete current word, if any.
    word: Option<String>,
    /// Whether the current word, or the next one if no word has begun, is a redirection target.
    is_target: bool,
    documents: Vec<Document>,
}

/// A here-document whose text has not begun yet.
struct Document {
    delimiter: String,
    is_literal: bool,
    strips_tabs: bool,
}

impl Frame {
    fn code(level: usize) -> Self {
        Self::Code(Code { level, ..Code::default() })
    }
}

/// A placeholder for a part of a word that is known only when the shell runs.
const UNKNOWN: char = '\0';

impl Scanner<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).copied()?;
        self.at += 1;
        Some(token)
    }

    fn peek(&self) -> Option<char> {
        match self.tokens.get(self.at)? {
            Token::Char(c) => Some(*c),
            Token::Hole(_) => None,
        }
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = &self.tokens[self.at..];
        let is_next = text.chars().enumerate().all(|(n, c)| rest.get(n) == Some(&Token::Char(c)));
        self.at += if is_next { text.chars().count() } else { 0 };
        is_next
    }

    fn step(&mut self, token: Token) {
        let c = match token {
            Token::Hole(_) => return self.hole(),
            Token::Char(c) => c,
        };
        match self.frames.last_mut() {
            Some(Frame::Code(_)) | None => self.code(c),
            Some(Frame::Single) if c == '\'' => self.leave(),
            Some(Frame::Single) => self.write(c),
            Some(Frame::Double) => self.double(c),
            Some(Frame::Dollar) => match c {
                '\'' => self.leave(),
                // Shells without support for `$'…'` end the string at `\'`.
                '\\' => self.unclear = true,
                _ => {}
            },
            Some(Frame::Backtick) => match c {
                '`' => self.leave(),
                '\\' => drop(self.next_char()),
                _ => {}
            },
            Some(Frame::Comment) if c == '\n' => {
                self.leave();
                self.code(c);
            }
            Some(Frame::Comment) => {}
            Some(Frame::Parameter { .. }) => self.parameter(c),
            Some(Frame::Arithmetic { .. }) => self.arithmetic(c),
        }
    }

    /// Takes the character after a backslash; a value there is not protected by its quotes.
    fn next_char(&mut self) -> Option<char> {
        match self.next()? {
            Token::Char(c) => Some(c),
            Token::Hole(_) => {
                self.places.push(if self.unclear { Place::Unclear } else { Place::After('\\') });
                self.unclear = true;
                None
            }
        }
    }

    fn leave(&mut self) {
        self.frames.pop();
    }

    fn enter(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    /// Adds a character to the current word of the innermost commands.
    fn write(&mut self, c: char) {
        let commands = self.frames.iter_mut().rev().find_map(|frame| match frame {
            Frame::Code(code) => Some(code),
            _ => None,
        });
        if let Some(commands) = commands {
            commands.word.get_or_insert_default().push(c);
        }
    }

    fn level(&self) -> usize {
        let level = self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Code(code) => Some(code.level),
            _ => None,
        });
        level.unwrap_or_default()
    }

    /// Enters the construct after a dollar sign; `is_quoted` is true inside double quotes.
    fn dollar(&mut self, is_quoted: bool) {
        self.write(UNKNOWN);
        if self.take("((") {
            self.enter(Frame::Arithmetic { depth: 2 });
        } else if self.take("(") {
            let level = self.level() + 1;
            self.enter(Frame::code(level));
        } else if self.take("{") {
            self.enter(Frame::Parameter { in_double: is_quoted });
        } else if !is_quoted && self.take("'") {
            self.enter(Frame::Dollar);
        } else if !is_quoted && matches!(self.tokens.get(self.at), Some(Token::Hole(_))) {
            self.at += 1;
            self.places.push(if self.unclear { Place::Unclear } else { Place::After('$') });
            self.unclear = true;
        }
    }

    fn double(&mut self, c: char) {
        match c {
            '"' => self.leave(),
            '\\' => {
                if matches!(self.tokens.get(self.at), Some(Token::Char(_)))
                    && let Some(c) = self.next_char()
                {
                    self.write(c);
                }
            }
            '`' => self.enter(Frame::Backtick),
            '$' => self.dollar(true),
            c => self.write(c),
        }
    }

    fn parameter(&mut self, c: char) {
        let in_double = matches!(self.frames.last(), Some(Frame::Parameter { in_double: true }));
        match c {
            '}' => self.leave(),
            '\\' => drop(self.next_char()),
            '`' => self.enter(Frame::Backtick),
            '$' => self.dollar(in_double),
            // Shells disagree about quotes in `"${…}"`.
            '"' | '\'' if in_double => self.unclear = true,
            '"' => self.enter(Frame::Double),
            '\'' => self.enter(Frame::Single),
            _ => {}
        }
    }

    fn arithmetic(&mut self, c: char) {
        let Some(Frame::Arithmetic { depth }) = self.frames.last_mut() else { return };
        match c {
            '(' => *depth += 1,
            ')' => {
                *depth -= 1;
                if *depth == 0 {
                    self.leave();
                }
            }
            '\\' => drop(self.next_char()),
            // `$((` may also begin a substitution whose commands begin with a parenthesis.
            '"' | '\'' | '`' | '#' => self.unclear = true,
            '$' if matches!(self.peek(), Some('(' | '{')) => self.dollar(true),
            _ => {}
        }
    }

    fn hole(&mut self) {
        let place = if self.unclear { Place::Unclear } else { self.place() };
        self.places.push(place);
        self.write(UNKNOWN);
    }

    fn place(&self) -> Place {
        match self.frames.last() {
            Some(Frame::Single | Frame::Dollar) => self.quoted_place(Place::Single),
            Some(Frame::Double) => self.quoted_place(Place::Double),
            Some(Frame::Backtick) => Place::Backtick,
            Some(Frame::Comment) => Place::Comment,
            Some(Frame::Parameter { .. }) => Place::Parameter,
            Some(Frame::Arithmetic { .. }) => Place::Arithmetic,
            Some(Frame::Code(code)) => code.place(),
            None => Place::Unclear,
        }
    }

    /// Returns how a quoted value is read.
    fn quoted_place(&self, place: Place) -> Place {
        let commands = self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Code(code) => Some(code),
            _ => None,
        });
        match commands.map(Code::place) {
            Some(Place::Argument(Reading::Remote(_))) => Place::Sent,
            Some(Place::Argument(reading)) => Place::Argument(reading),
            _ => place,
        }
    }
}

impl Code {
    fn place(&self) -> Place {
        let prefix = self.word.as_deref().unwrap_or_default();
        let command = self.words.iter().find(|word| !precedes_command(word));
        if self.is_target {
            let is_data = command.is_some() && reading(&self.words, "") == Reading::Data;
            return if is_data { Place::Word } else { Place::Target };
        }
        if is_element(prefix) {
            return Place::Arithmetic;
        }
        match command {
            Some(command) if EVALUATING.contains(&command.as_str()) => {
                return Place::Argument(Reading::Shell(command.clone()));
            }
            None if is_assignment(prefix) => return Place::Assignment,
            _ => {}
        }
        match reading(&self.words, prefix) {
            Reading::Data => Place::Word,
            reading => Place::Argument(reading),
        }
    }

    fn end_word(&mut self) -> Option<String> {
        let word = self.word.take()?;
        if !std::mem::take(&mut self.is_target) {
            self.words.push(word.clone());
        }
        Some(word)
    }
}

/// Shell commands that read their arguments as commands again.
const EVALUATING: &[&str] = &["eval", "let", "trap"];

/// Words that may precede a command or an assignment.
const BEFORE: &[&str] = &[
    "!", "alias", "builtin", "command", "declare", "do", "elif", "else", "env", "exec", "export", "if", "local",
    "readonly", "sudo", "then", "time", "typeset", "until", "while", "{",
];

/// Returns whether the word after `word` may still be a command or an assignment.
fn precedes_command(word: &str) -> bool {
    BEFORE.contains(&word) || is_assignment(word) || word.starts_with('-')
}

/// Returns whether a word begins an assignment. A quoted list would end the assignment after the
/// first element, and the second element would be the command.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    let name = name.split_once('[').map_or(name, |(name, _)| name);
    is_name(name)
}

/// Returns whether the word names an array element, whose index is arithmetic.
fn is_element(prefix: &str) -> bool {
    prefix.split_once('[').is_some_and(|(name, index)| is_name(name) && !index.contains(']'))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
