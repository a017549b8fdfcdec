//! Checks, before a run, for values that would change the meaning of a URL.
//!
//! A value in a URL must be encoded, unless it is a whole URL, the whole beginning of a URL, or a
//! whole host or port.

use std::ops::Range;

use llmspell_workflows_basic::{
    activity::ParamProblem,
    expr::{Expr, Template, TemplatePart},
};
use serde_json::Value;

/// Returns the problems in the URLs of `params`, which are the parameters whose schema has the
/// format `url`, `uri` or `iri`.
pub(super) fn problems(schema: &Value, params: &Value) -> Vec<ParamProblem> {
    if !Template::may_be_dynamic(params) {
        return Vec::new();
    }
    let has_query = schema["properties"].get("query").is_some();
    let mut found = Vec::new();
    collect(schema, params, &mut String::new(), &mut |pointer, text| {
        found.extend(Url::parse(text).problems(pointer, has_query));
    });
    found
}

/// Calls `check` with each URL in `value` and its JSON pointer.
fn collect(schema: &Value, value: &Value, pointer: &mut String, check: &mut impl FnMut(&str, &str)) {
    let is_url = matches!(schema["format"].as_str(), Some("url" | "uri" | "iri"));
    let length = pointer.len();
    let mut within = |token: &str, schema: &Value, value: &Value| {
        pointer.push('/');
        match token.contains(['~', '/']) {
            true => pointer.push_str(&token.replace('~', "~0").replace('/', "~1")),
            false => pointer.push_str(token),
        }
        collect(schema, value, pointer, check);
        pointer.truncate(length);
    };
    match value {
        Value::String(text) if is_url => check(pointer, text),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| within(&at.to_string(), &schema["items"], item));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let properties = schema["properties"].get(name);
                within(name, properties.unwrap_or(&schema["additionalProperties"]), field);
            }
        }
        _ => {}
    }
}

/// A URL with the values inserted into it.
struct Url {
    source: String,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Value { expression: Expr, span: Range<usize> },
}

/// A part of a URL where values must be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole URL, built by the expression.
    Whole,
    Credentials,
    Host,
    Path,
    Query,
    Fragment,
}

impl Place {
    /// Returns the part's name and the possible effect of an unencoded value in it.
    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Whole => ("text", "change its meaning"),
            Self::Credentials => ("user name or password", "lead to another server"),
            Self::Host => ("host", "lead to another server"),
            Self::Path => ("path", "lead to another resource"),
            Self::Query => ("query", "set other fields"),
            Self::Fragment => ("fragment", "change its meaning"),
        }
    }
}

impl Url {
    fn parse(source: &str) -> Self {
        let mut parts = Vec::new();
        let trimmed = source.trim_start();
        let start = source.len() - trimmed.len();
        // A syntax error is reported together with the errors in all other templates.
        for part in Template::parse_text(trimmed).iter().flat_map(Template::parts) {
            match part {
                TemplatePart::Plain(text) => parts.push(Part::Text(text.to_owned())),
                TemplatePart::Expression { expression, offset } => parts.push(match expression.constant() {
                    Some(Ok(Value::Null)) => Part::Text(String::new()),
                    Some(Ok(Value::String(text))) => Part::Text(text),
                    Some(Ok(constant)) => Part::Text(constant.to_string()),
                    None if expression.is_counter() => Part::Text("0".to_owned()),
                    Some(Err(_)) | None => {
                        let from = start + offset;
                        Part::Value { expression: expression.clone(), span: from..from + expression.source().len() }
                    }
                }),
            }
        }
        Self { source: source.to_owned(), parts }
    }

    fn problems(&self, pointer: &str, has_query: bool) -> Vec<ParamProblem> {
        let problem = |at: usize| {
            let (place, (expression, span)) = (self.problem(at)?, self.value(at)?);
            let (part, effect) = place.describe();
            let source = expression.source();
            let message = match place {
                Place::Whole => format!("`{source}` builds a URL from parts, so a value in it could {effect}"),
                _ => format!("`{source}` is inserted unencoded into the {part} of a URL, so its value could {effect}"),
            };
            let problem = ParamProblem::coded("url_injection", pointer, message).with_span(span.clone());
            let problem = problem.with_help(self.help(at, place, has_query));
            // A value may consist of several path segments, but right after a host, it could also
            // change the host.
            let is_after_slash =
                self.parts[..at].iter().any(|part| matches!(part, Part::Text(text) if text.contains('/')));
            Some(if place == Place::Path && is_after_slash { problem.as_warning() } else { problem })
        };
        (0..self.parts.len()).filter_map(problem).collect()
    }

    fn value(&self, at: usize) -> Option<(&Expr, &Range<usize>)> {
        match &self.parts[at] {
            Part::Value { expression, span } => Some((expression, span)),
            Part::Text(_) => None,
        }
    }

    /// Returns the value's place if the value must be encoded but is not.
    fn problem(&self, at: usize) -> Option<Place> {
        let (expression, _) = self.value(at)?;
        let is_encoded = expression.last_calls().first() == Some(&"url_encode");
        if is_encoded { None } else { self.place(at, expression) }
    }

    fn help(&self, at: usize, place: Place, has_query: bool) -> String {
        if place == Place::Whole {
            return "write the URL as text with a value in each part, such as \
                    `{{ base }}/items/{{ id | url_encode }}`; a value that is a complete URL can be used alone"
                .to_owned();
        }
        let encoded = format!("write `{}`", self.encoded());
        let field = (place == Place::Query && has_query).then(|| self.field(at)).flatten();
        match (field, self.value(at)) {
            (Some(name), Some((expression, _))) => {
                let value = format!("{{{{ {} }}}}", expression.source()).replace('\'', "''");
                format!("use the field `query`, which encodes its values: `query: {{{name}: '{value}'}}`; or {encoded}")
            }
            _ if place == Place::Path => format!("{encoded}, which also encodes each `/` in the value"),
            _ => encoded,
        }
    }

    /// Returns the URL with `url_encode` added to each value that needs it.
    fn encoded(&self) -> String {
        let mut text = String::new();
        let mut done = 0;
        for at in 0..self.parts.len() {
            if let (Some(_), Some((_, span))) = (self.problem(at), self.value(at)) {
                text.push_str(&self.source[done..span.end]);
                text.push_str(" | url_encode");
                done = span.end;
            }
        }
        text + &self.source[done..]
    }

    /// Returns the name of the query field if the part is the field's whole value.
    fn field(&self, at: usize) -> Option<String> {
        let Some(Part::Text(before)) = at.checked_sub(1).and_then(|before| self.parts.get(before)) else { return None };
        let ends = match self.parts.get(at + 1) {
            None => true,
            Some(Part::Text(after)) => after.starts_with(['&', '#']),
            Some(Part::Value { .. }) => false,
        };
        let name = before.strip_suffix('=')?.rsplit(['?', '&']).next()?;
        let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        (ends && is_plain).then(|| name.to_owned())
    }

    /// Returns the part's place, or `None` if the part may be inserted unencoded.
    fn place(&self, at: usize, expression: &Expr) -> Option<Place> {
        if at == 0 {
            return (!expression.selects_value()).then_some(Place::Whole);
        }
        let before = text(&self.parts[..at]);
        let rest = text(&self.parts[at + 1..]);
        let is_scheme = |scheme: &str| !scheme.contains(['/', '\\', '?', '#']);
        let Some((_, after_scheme)) = before.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Some(Self::after_host(&before));
        };
        if after_scheme.contains(['/', '\\', '?', '#']) {
            return Some(Self::after_host(after_scheme));
        }
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        if rest[..end].contains('@') {
            return Some(Place::Credentials);
        }
        let host = after_scheme.rsplit('@').next().unwrap_or_default();
        let begins = host.is_empty() || host.ends_with(':');
        let ends = end == 0 || rest.starts_with(':');
        (!begins || !ends || !expression.selects_value()).then_some(Place::Host)
    }

    fn after_host(before: &str) -> Place {
        if before.contains('#') {
            Place::Fragment
        } else if before.contains('?') {
            Place::Query
        } else {
            Place::Path
        }
    }
}

/// Returns the text of the parts, with a NUL in place of each value.
fn text(parts: &[Part]) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Value { .. } => "\0".to_owned(),
    };
    parts.iter().map(text).collect()
}
