//! Detects values that no process can receive.

use std::{fmt, io};

use llmspell_workflows_basic::{ErrorClass, StepError};
use rustix::io::Errno;

use super::command::Command;

/// The maximum size of a single argument or variable on Linux, in bytes including the final NUL.
const VALUE_BYTES_MAX: usize = 128 * 1024;

/// A value passed to a process when it starts.
struct Value<'c> {
    name: Name<'c>,
    text: &'c str,
}

impl Value<'_> {
    /// Returns the number of bytes the system needs for the value.
    fn size(&self) -> usize {
        let name = match self.name {
            Name::Variable(name) => name.len() + "=".len(),
            _ => 0,
        };
        name + self.text.len() + 1
    }
}

enum Name<'c> {
    Program,
    CommandLine,
    Argument(usize),
    Variable(&'c str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program => f.write_str("the program"),
            Self::CommandLine => f.write_str("the command line"),
            Self::Argument(number) => write!(f, "argument {number}"),
            Self::Variable(name) => write!(f, "the variable `{name}`"),
        }
    }
}

/// Returns an error if `command` could not be started because of one of its values.
///
/// This is checked only after a failed start, because only the system knows its limits.
pub(super) fn unfit(command: &Command, error: &io::Error) -> Option<StepError> {
    match Errno::from_io_error(error) {
        Some(Errno::TOOBIG) => Some(too_long(command)),
        None if error.kind() == io::ErrorKind::InvalidInput => with_nul(command),
        _ => None,
    }
}

fn with_nul(command: &Command) -> Option<StepError> {
    let (value, at) = values(command).find_map(|value| value.text.find('\0').map(|at| (value, at)))?;
    let message = format!(
        "cannot start the program `{}`: {} contains a NUL at byte {at} of {}; pass it as `stdin`, or write it to a file",
        shown(&command.program),
        value.name,
        value.text.len()
    );
    Some(StepError::new(ErrorClass::Validation, "value_with_nul", message))
}

fn too_long(command: &Command) -> StepError {
    let longest = values(command).max_by_key(Value::size).map_or_else(String::new, |value| {
        let problem = if value.size() > VALUE_BYTES_MAX { "is too long" } else { "is the longest value" };
        format!("{} {problem}, with {} bytes; ", value.name, value.text.len())
    });
    let message = format!(
        "cannot start the program `{}`: {longest}the step's arguments and variables have {} bytes in total, besides \
         the inherited variables; pass long values as `stdin`, or write them to a file",
        shown(&command.program),
        values(command).map(|value| value.size()).sum::<usize>()
    );
    StepError::new(ErrorClass::Validation, "value_too_long", message)
}

fn values(command: &Command) -> impl Iterator<Item = Value<'_>> {
    let arguments = command.arguments.iter().enumerate().map(|(at, text)| {
        let name = if command.is_command_line && at > 0 { Name::CommandLine } else { Name::Argument(at + 1) };
        Value { name, text }
    });
    let variables = command.environment.iter().map(|(name, text)| Value { name: Name::Variable(name), text });
    std::iter::once(Value { name: Name::Program, text: &command.program }).chain(arguments).chain(variables)
}

/// Returns a program's name for a message, truncated in case it is a long value.
pub(super) fn shown(program: &str) -> String {
    match program.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", program[..end].escape_debug()),
        None => program.escape_debug().to_string(),
    }
}
