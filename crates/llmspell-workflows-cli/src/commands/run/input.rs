//! Reads the input of a run from the command-line arguments.

use std::{fs, path::Path};

use llmspell_workflows_basic::{JsonError, StepError, parse_json};
use serde_json::{Map, Value};

use crate::{Exit, Failure};

/// Reads and merges `arguments`; later arguments override earlier arguments. Returns null if there
/// are none.
pub(crate) fn read(arguments: &[String], definition: &Path) -> Result<Value, Failure> {
    let mut fields = Map::new();
    for argument in arguments {
        match argument.strip_prefix('@') {
            Some(file) => fields.extend(object(Path::new(file), definition)?),
            None => {
                let (key, value) = field(argument)?;
                fields.insert(key.to_owned(), value);
            }
        }
    }
    Ok(if arguments.is_empty() { Value::Null } else { Value::Object(fields) })
}

fn field(argument: &str) -> Result<(&str, Value), Failure> {
    let invalid = |message: String| Failure::usage(message).with_help("write KEY=TEXT, KEY:=JSON or @FILE");
    let (key, value) = argument.split_once('=').ok_or_else(|| invalid(format!("invalid input `{argument}`")))?;
    let (key, value) = match key.strip_suffix(':') {
        None => (key, value.into()),
        Some(key) => {
            let value = parse_json(value).map_err(|error| rejected(&format!("the input `{key}`"), error))?;
            (key, value)
        }
    };
    if key.is_empty() { Err(invalid(format!("the input `{argument}` has no name"))) } else { Ok((key, value)) }
}

fn object(file: &Path, definition: &Path) -> Result<Map<String, Value>, Failure> {
    let is_stdin = file.as_os_str() == "-";
    if is_stdin && definition.as_os_str() == "-" {
        return Err(Failure::usage("the definition and the input cannot both come from standard input"));
    }
    let text = if is_stdin { std::io::read_to_string(std::io::stdin()) } else { fs::read_to_string(file) };
    let text = text.map_err(|error| Failure::file("read", file, &error))?;
    let invalid = |message: String| {
        Failure::new(Exit::Usage, "invalid_input", format!("`{}` is not a JSON object: {message}", file.display()))
    };
    match parse_json(&text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(invalid(format!("got {other}"))),
        Err(JsonError::Syntax(error)) => Err(invalid(error.to_string())),
        Err(error) => Err(rejected(&format!("`{}`", file.display()), error)),
    }
}

/// Parses a JSON value from the command line.
pub(crate) fn json(text: &str) -> Result<Value, String> {
    parse_json(text).map_err(|error| error.to_string())
}

/// Creates the failure for rejected JSON; `what` names the input.
fn rejected(what: &str, error: JsonError) -> Failure {
    match error {
        JsonError::Syntax(_) => {
            Failure::usage(format!("{what} is {error}")).with_help("write KEY=TEXT, KEY:=JSON or @FILE")
        }
        error => Failure::new(Exit::Usage, error.code(), format!("cannot read {what}: {error}")),
    }
}

/// Converts the error of a run that could not be started.
pub(crate) fn refused(error: StepError) -> Failure {
    let failure = Failure::from(error);
    if failure.message.contains("must be of type") {
        return failure.with_help("`KEY=TEXT` is a string; use `KEY:=JSON` for numbers, booleans, lists and objects");
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn input_fields_are_strings_or_json() {
        for (argument, expected) in [
            ("a=1", Some(("a", json!("1")))),
            ("a:=1", Some(("a", json!(1)))),
            ("a=b=c", Some(("a", json!("b=c")))),
            ("a=", Some(("a", json!("")))),
            (r#"a:={"b":[1]}"#, Some(("a", json!({"b": [1]})))),
            ("a:=18446744073709551615", Some(("a", json!(u64::MAX)))),
            ("a:=18446744073709551616", None),
            ("a=18446744073709551616", Some(("a", json!("18446744073709551616")))),
            ("a:=x", None),
            ("a", None),
            ("=1", None),
        ] {
            assert_eq!(field(argument).ok(), expected, "{argument}");
        }
    }
}
