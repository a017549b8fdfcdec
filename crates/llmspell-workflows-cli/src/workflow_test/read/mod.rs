//! Reads test files; all problems in a file are reported together.

mod expect;
mod messages;
mod mocks;

use std::{collections::BTreeMap, time::Duration};

use llmspell_workflows_basic::{Problem, ProblemLocation, model::Delay, nearest};
use llmspell_workflows_definition::{Diagnostics, Plain};
use serde_json::{Map, Value};

use super::{Case, Expect, File, MockEntry};

type Fields = Map<String, Value>;

/// The time limit of a case in real time, unless the file or the case sets another `timeout`.
const TIMEOUT: Duration = Duration::from_secs(60);

impl File {
    /// Reads a test file; diagnostics refer to it as `source_name`.
    ///
    /// # Errors
    /// Returns an error if the file is invalid; all problems are reported together.
    pub(crate) fn read(text: &str, source_name: &str) -> Result<(Self, Plain), Diagnostics> {
        let plain = Plain::read(text, source_name)?;
        let mut reader = Reader::default();
        let file = reader.file(plain.value());
        match file {
            Some(file) if reader.problems.is_empty() => Ok((file, plain)),
            _ => Err(plain.to_diagnostics(&reader.problems)),
        }
    }
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") }
}

impl Reader {
    fn error_at(&mut self, code: &'static str, at: &str, message: impl Into<String>) {
        self.problems.push(Problem::error(code, ProblemLocation::new("", at), message));
    }

    /// Returns the fields of a mapping, and reports fields that are not in `names`; `noun` names
    /// the mapping in messages.
    fn fields<'v>(&mut self, value: &'v Value, at: &str, noun: &str, names: &[&str]) -> Option<&'v Fields> {
        let Some(fields) = value.as_object() else {
            self.error_at("wrong_type", at, format!("{noun} must be a mapping with {}", names.join(", ")));
            return None;
        };
        for name in fields.keys().filter(|name| !names.contains(&name.as_str())) {
            let problem = Problem::error(
                "unknown_field",
                ProblemLocation::new("", join(at, name)),
                format!("`{name}` is not a field of {noun}"),
            );
            self.problems.push(match nearest(name, names.iter().copied()) {
                Some(near) => problem.with_help(format!("did you mean `{near}`?")),
                None => problem.with_help(format!("its fields are {}", names.join(", "))),
            });
        }
        Some(fields)
    }

    fn text(&mut self, fields: &Fields, at: &str, name: &str) -> Option<String> {
        match fields.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.error_at("wrong_type", &join(at, name), format!("`{name}` must be a non-empty string"));
                None
            }
        }
    }

    /// Reads a fixed duration: a string such as `2d`, or a number of seconds.
    fn duration(&mut self, fields: &Fields, at: &str, name: &str) -> Option<Duration> {
        let text = match fields.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        match text.parse() {
            Ok(Delay::Fixed(duration)) => Some(duration),
            Ok(Delay::Expression(_)) => {
                let message = format!("`{name}` must be a fixed duration, not an expression");
                self.error_at("wrong_type", &join(at, name), message);
                None
            }
            Err(error) => {
                self.error_at(error.code(), &join(at, name), format!("`{name}`: {error}"));
                None
            }
        }
    }

    fn flag(&mut self, fields: &Fields, at: &str, name: &str) -> Option<bool> {
        let value = fields.get(name)?;
        if value.as_bool().is_none() {
            self.error_at("wrong_type", &join(at, name), format!("`{name}` must be true or false"));
        }
        value.as_bool()
    }

    fn required(&mut self, fields: &Fields, at: &str, name: &str) -> Option<String> {
        if !fields.contains_key(name) {
            self.error_at("missing_field", at, format!("`{name}` is missing"));
        }
        self.text(fields, at, name)
    }

    /// Returns the entries of a mapping with string values.
    fn strings(&mut self, fields: &Fields, name: &str) -> BTreeMap<String, String> {
        let Some(value) = fields.get(name) else { return BTreeMap::new() };
        let Some(entries) = value.as_object() else {
            self.error_at("wrong_type", name, format!("`{name}` must be a mapping with string values"));
            return BTreeMap::new();
        };
        let mut strings = BTreeMap::new();
        for (key, value) in entries {
            match value.as_str() {
                Some(text) => drop(strings.insert(key.clone(), text.to_owned())),
                None => self.error_at("wrong_type", &join(name, key), format!("`{key}` must be a string")),
            }
        }
        strings
    }

    fn items<'v>(&mut self, fields: &'v Fields, at: &str, name: &str) -> &'v [Value] {
        match fields.get(name) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.error_at("wrong_type", &join(at, name), format!("`{name}` must be a list"));
                &[]
            }
        }
    }

    fn entries<'v>(&mut self, fields: &'v Fields, at: &str, name: &str) -> Vec<(&'v String, &'v Value)> {
        match fields.get(name) {
            None => Vec::new(),
            Some(Value::Object(entries)) => entries.iter().collect(),
            Some(_) => {
                self.error_at("wrong_type", &join(at, name), format!("`{name}` must be a mapping"));
                Vec::new()
            }
        }
    }

    fn file(&mut self, value: &Value) -> Option<File> {
        if value.get("steps").is_some() && value.get("cases").is_none() {
            let problem =
                Problem::error("invalid_test", ProblemLocation::new("", "steps"), "expected a test, got a workflow");
            self.problems.push(problem.with_help("a test file has `workflow`, the path of a workflow, and `cases`"));
            return None;
        }
        let names = ["workflow", "env", "secrets", "mocks", "timeout", "cases"];
        let fields = self.fields(value, "", "a test file", &names)?;
        let workflow = self.required(fields, "", "workflow");
        let (env, secrets) = (self.strings(fields, "env"), self.strings(fields, "secrets"));
        let mocks = self.mocks(fields, "");
        let timeout = self.duration(fields, "", "timeout").unwrap_or(TIMEOUT);
        let items = self.items(fields, "", "cases");
        if items.is_empty() {
            self.error_at("missing_field", "cases", "`cases` must be a list with at least one case");
        }
        let mut cases: Vec<Case> = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let at = format!("cases/{number}");
            let Some(case) = self.case(item, &at, &mocks, timeout) else { continue };
            if cases.iter().any(|other| other.name == case.name) {
                self.error_at(
                    "duplicate_name",
                    &join(&at, "name"),
                    format!("another case is also named `{}`", case.name),
                );
            }
            cases.push(case);
        }
        Some(File { workflow: workflow?, env, secrets, mocks, cases })
    }

    fn case(&mut self, value: &Value, at: &str, shared: &[MockEntry], timeout: Duration) -> Option<Case> {
        let names = ["name", "input", "environment", "mocks", "messages", "stop_after", "timeout", "expect"];
        let fields = self.fields(value, at, "a case", &names)?;
        let name = self.required(fields, at, "name");
        let mut mocks = self.mocks(fields, at);
        mocks.extend(shared.iter().cloned());
        let messages = self.messages(fields, at);
        let expect = match fields.get("expect") {
            Some(expect) => self.expect(expect, &join(at, "expect"), &mocks).unwrap_or_default(),
            None => Expect::default(),
        };
        let environment = self.text(fields, at, "environment");
        let stop_after = self.duration(fields, at, "stop_after");
        let timeout = self.duration(fields, at, "timeout").unwrap_or(timeout);
        let input = fields.get("input").cloned().unwrap_or_default();
        let at = at.to_owned();
        Some(Case { name: name?, at, input, environment, mocks, messages, stop_after, timeout, expect })
    }
}
