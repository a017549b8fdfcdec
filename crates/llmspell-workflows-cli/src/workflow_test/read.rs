use std::collections::BTreeMap;

use llmspell_workflows_basic::{ErrorClass, Problem, ProblemLocation, StepError, nearest};
use llmspell_workflows_definition::{Diagnostics, Plain};
use serde_json::{Map, Value};

use super::{Answer, Case, Expect, File, Mock, MockEntry, Pattern, format::Target};

type Fields = Map<String, Value>;

const STATUSES: [&str; 6] = ["pending", "running", "waiting", "completed", "failed", "cancelled"];

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

    /// Returns the fields of a mapping and reports those not in `names`; `noun` names the mapping in messages.
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
        let names = ["workflow", "env", "secrets", "mocks", "cases"];
        let fields = self.fields(value, "", "a test file", &names)?;
        let workflow = self.required(fields, "", "workflow");
        let (env, secrets) = (self.strings(fields, "env"), self.strings(fields, "secrets"));
        let shared = self.mocks(fields, "");
        let items = self.items(fields, "", "cases");
        if items.is_empty() {
            self.error_at("missing_field", "cases", "`cases` must be a list with at least one case");
        }
        let mut cases: Vec<Case> = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let at = format!("cases/{number}");
            let Some(case) = self.case(item, &at, &shared) else { continue };
            if cases.iter().any(|other| other.name == case.name) {
                self.error_at(
                    "duplicate_name",
                    &join(&at, "name"),
                    format!("another case is also named `{}`", case.name),
                );
            }
            cases.push(case);
        }
        Some(File { workflow: workflow?, env, secrets, cases })
    }

    fn case(&mut self, value: &Value, at: &str, shared: &[MockEntry]) -> Option<Case> {
        let fields = self.fields(value, at, "a case", &["name", "input", "environment", "mocks", "expect"])?;
        let name = self.required(fields, at, "name");
        let mut mocks = self.mocks(fields, at);
        mocks.extend(shared.iter().cloned());
        let expect = match fields.get("expect") {
            Some(expect) => self.expect(expect, &join(at, "expect"), &mocks).unwrap_or_default(),
            None => Expect::default(),
        };
        let environment = self.text(fields, at, "environment");
        let input = fields.get("input").cloned().unwrap_or_default();
        Some(Case { name: name?, at: at.to_owned(), input, environment, mocks, expect })
    }

    fn mocks(&mut self, fields: &Fields, at: &str) -> Vec<MockEntry> {
        let all = join(at, "mocks");
        let mut mocks = Vec::new();
        for (key, value) in self.entries(fields, at, "mocks") {
            let at = join(&all, key);
            let target = match key.split_once(':') {
                Some((kind, name)) => Target::Activity { kind: kind.to_owned(), name: name.to_owned() },
                None => Target::Step(Pattern::new(key)),
            };
            if let Some(mock) = self.mock(value, &at) {
                mocks.push(MockEntry { key: key.clone(), at, target, mock });
            }
        }
        mocks
    }

    fn mock(&mut self, value: &Value, at: &str) -> Option<Mock> {
        let fields = self.fields(value, at, "a mock", &["output", "state", "error", "outputs", "calls", "real"])?;
        let ways = ["output", "error", "outputs", "calls", "real"];
        let given: Vec<_> = ways.into_iter().filter(|name| fields.contains_key(*name)).collect();
        match given.as_slice() {
            ["output" | "error"] => self.answer(value, at).map(Mock::Always),
            ["outputs"] => {
                let items = self.items(fields, at, "outputs").iter();
                Some(Mock::Sequence(
                    items.map(|output| Answer::Output { output: output.clone(), state: Vec::new() }).collect(),
                ))
            }
            ["calls"] => {
                let items = self.items(fields, at, "calls").iter().enumerate();
                let answers: Vec<_> =
                    items.map(|(number, item)| self.answer(item, &format!("{at}/calls/{number}"))).collect();
                answers.into_iter().collect::<Option<_>>().map(Mock::Sequence)
            }
            ["real"] if fields["real"] == true => Some(Mock::Real),
            _ => {
                let message = "a mock must have one of `output`, `error`, `outputs` (a list, one per call), \
                               `calls` (a list of outputs and errors) or `real: true`";
                self.error_at("wrong_mock", at, message);
                None
            }
        }
    }

    /// Reads `{output, state}` or `{error}`.
    fn answer(&mut self, value: &Value, at: &str) -> Option<Answer> {
        let fields = self.fields(value, at, "an answer", &["output", "state", "error"])?;
        match (fields.get("output"), fields.get("error")) {
            (Some(output), None) => {
                let state = self.entries(fields, at, "state");
                let state = state.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                Some(Answer::Output { output: output.clone(), state })
            }
            (None, Some(error)) => self.error(error, &join(at, "error")).map(|error| Answer::Error(Box::new(error))),
            _ => {
                self.error_at("wrong_mock", at, "an answer must have either `output` or `error`");
                None
            }
        }
    }

    /// Reads `{class, code, message, retryable, details}`, or only a message.
    fn error(&mut self, value: &Value, at: &str) -> Option<StepError> {
        if let Some(message) = value.as_str() {
            return Some(StepError::transient("mocked_error", message));
        }
        let fields = self.fields(value, at, "an error", &["class", "code", "message", "retryable", "details"])?;
        let class = match fields.get("class") {
            None => ErrorClass::Transient,
            Some(class) => match serde_json::from_value(class.clone()) {
                Ok(class) => class,
                Err(error) => {
                    self.error_at("bad_value", &join(at, "class"), error.to_string());
                    return None;
                }
            },
        };
        let code = self.text(fields, at, "code").unwrap_or_else(|| "mocked_error".to_owned());
        let message = self.text(fields, at, "message").unwrap_or_else(|| "a mocked error".to_owned());
        let error = StepError::new(class, code, message);
        let error = match fields.get("retryable") {
            None => error,
            Some(Value::Bool(retryable)) => error.retryable(*retryable),
            Some(_) => {
                self.error_at("wrong_type", &join(at, "retryable"), "`retryable` must be true or false");
                return None;
            }
        };
        Some(fields.get("details").into_iter().fold(error, |error, details| error.with_details(details.clone())))
    }

    fn expect(&mut self, value: &Value, at: &str, mocks: &[MockEntry]) -> Option<Expect> {
        let names = ["status", "output", "error", "steps", "order", "calls"];
        let fields = self.fields(value, at, "`expect`", &names)?;
        let status = self.text(fields, at, "status");
        if let Some(status) = status.as_ref().filter(|status| !STATUSES.contains(&status.as_str())) {
            let message = format!("`{status}` is not a run status; expected one of {}", STATUSES.join(", "));
            self.error_at("bad_value", &join(at, "status"), message);
        }
        if let Some(error) = fields.get("error") {
            self.fields(
                error,
                &join(at, "error"),
                "an error",
                &["class", "code", "message", "path", "attempt", "retryable", "details"],
            );
        }
        let steps = self.entries(fields, at, "steps").into_iter();
        let steps: Vec<_> = steps.map(|(key, value)| (Pattern::new(key), value.clone())).collect();
        for (pattern, value) in &steps {
            let at = format!("{at}/steps/{pattern}");
            self.fields(value, &at, "an expected step", &["status", "output", "error", "skip_reason", "attempts"]);
        }
        let mut order = Vec::new();
        for (number, item) in self.items(fields, at, "order").iter().enumerate() {
            match item.as_str() {
                Some(id) => order.push(Pattern::new(id)),
                None => self.error_at(
                    "wrong_type",
                    &format!("{at}/order/{number}"),
                    "expected the id or path of a step, a string",
                ),
            }
        }
        let calls = self.calls(fields, at, mocks);
        Some(Expect {
            status,
            output: fields.get("output").cloned(),
            error: fields.get("error").cloned(),
            steps,
            order,
            calls,
        })
    }

    /// Reads the expected number of calls of mocks, by key.
    fn calls(&mut self, fields: &Fields, at: &str, mocks: &[MockEntry]) -> Vec<(String, u64)> {
        let mut calls = Vec::new();
        for (key, value) in self.entries(fields, at, "calls") {
            let at = format!("{at}/calls/{key}");
            if !mocks.iter().any(|mock| mock.key == *key) {
                self.error_at(
                    "unknown_mock",
                    &at,
                    format!("`{key}` is not a key of `mocks`; only calls of mocks are counted"),
                );
            }
            match value.as_u64() {
                Some(count) => calls.push((key.clone(), count)),
                None => self.error_at("wrong_type", &at, "expected a number of calls"),
            }
        }
        calls
    }
}
