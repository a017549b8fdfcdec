//! Finds values that would change the meaning of a URL, before a run.
//!
//! A value in a URL must be encoded, unless it is the whole URL, the whole beginning of one, or the whole host or port.

use std::ops::Range;

use llmspell_workflows_basic::{
    activity::ParamProblem,
    expr::{Expr, Template, TemplatePart},
};
use serde_json::Value;

/// Returns the problems of the URLs in `params`: the parameters whose schema has the format `url`, `uri` or `iri`.
pub(super) fn problems(schema: &Value, params: &Value) -> Vec<ParamProblem> {
    let has_query = schema["properties"].get("query").is_some();
    let mut found = Vec::new();
    collect(schema, params, &mut String::new(), &mut |pointer, text| {
        let url = Url::parse(text);
        found.extend(url.parts.iter().enumerate().filter_map(|(at, _)| url.problem(at, pointer, has_query)));
    });
    found
}

/// Calls `check` with each URL in `value` and its JSON pointer.
fn collect(schema: &Value, value: &Value, pointer: &mut String, check: &mut impl FnMut(&str, &str)) {
    let is_url = matches!(schema["format"].as_str(), Some("url" | "uri" | "iri"));
    let length = pointer.len();
    let mut within = |token: &str, schema: &Value, value: &Value| {
        pointer.push('/');
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
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

/// A URL with the values that are inserted into it.
struct Url {
    source: String,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Value { expression: Expr, span: Range<usize> },
}

/// A part of a URL in which a value has to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// All of it, put together by the expression.
    Whole,
    Credentials,
    Host,
    Path,
    Query,
    Fragment,
}

impl Url {
    fn parse(source: &str) -> Self {
        let mut parts = Vec::new();
        // A syntax error is reported together with those of all other templates.
        for part in Template::parse_text(source.trim_start()).iter().flat_map(Template::parts) {
            match part {
                TemplatePart::Plain(text) => parts.push(Part::Text(text.to_owned())),
                TemplatePart::Expression { expression, offset } => parts.push(match expression.constant() {
                    Some(Ok(Value::Null)) => Part::Text(String::new()),
                    Some(Ok(Value::String(text))) => Part::Text(text),
                    Some(Ok(constant)) => Part::Text(constant.to_string()),
                    Some(Err(_)) | None => {
                        let start = source.len() - source.trim_start().len() + offset;
                        Part::Value { expression: expression.clone(), span: start..start + expression.source().len() }
                    }
                }),
            }
        }
        Self { source: source.to_owned(), parts }
    }

    /// Returns the problem of the part with the number `at`, if there is one.
    fn problem(&self, at: usize, pointer: &str, has_query: bool) -> Option<ParamProblem> {
        let Part::Value { expression, span } = &self.parts[at] else { return None };
        if expression.last_calls().first() == Some(&"url_encode") {
            return None;
        }
        let place = self.place(at, expression)?;
        let source = expression.source();
        let message = match place {
            Place::Whole => format!("`{source}` puts a URL together, so a value in it could change its meaning"),
            Place::Credentials => format!("`{source}` becomes a part of the user name or password of a URL as it is, so its value could lead to another server"),
            Place::Host => format!("`{source}` becomes a part of the host of a URL as it is, so its value could lead to another server"),
            Place::Path => format!("`{source}` becomes a part of the path of a URL as it is, so its value could lead to another resource"),
            Place::Query => format!("`{source}` becomes a part of the query of a URL as it is, so its value could set other fields"),
            Place::Fragment => format!("`{source}` becomes a part of the fragment of a URL as it is, so its value could change its meaning"),
        };
        let problem = ParamProblem::new(pointer, message).with_code("url_injection").with_span(span.clone());
        Some(problem.with_help(self.help(at, place, has_query)))
    }

    fn help(&self, at: usize, place: Place, has_query: bool) -> String {
        if place == Place::Whole {
            return "write the URL as text with a value in each part, such as \
                    `{{ base }}/items/{{ id | url_encode }}`; a value that is a whole URL may stand alone"
                .to_owned();
        }
        let Part::Value { expression, span } = &self.parts[at] else { return String::new() };
        let (before, after) = (&self.source[..span.start], &self.source[span.end..]);
        let encoded = format!("{before}{} | url_encode{after}", expression.source());
        let field = (place == Place::Query && has_query).then(|| self.field(at)).flatten();
        match field {
            Some(name) => format!("use the field `query`, which encodes its values: `query: {{{name}: '{{{{ {} }}}}'}}`; or write `{encoded}`", expression.source()),
            None => format!("write `{encoded}`"),
        }
    }

    /// Returns the name of the query field whose whole value the part is.
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

    /// Returns where the part is; nothing if it may be inserted as it is.
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
