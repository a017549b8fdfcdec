use std::fmt;

use serde_json::{Map, Value};

/// The path of a value inside a JSON value, such as `customer.addresses[0].city` or `["a key.with dots"]`.
///
/// The empty path is rejected so that a missing field name cannot select the whole value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldPath {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

impl FieldPath {
    /// Parses a path; the error names the first invalid character.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (segment, tail) = match rest.strip_prefix('[') {
                Some(inner) => bracket_segment(inner),
                None => key_segment(rest, segments.is_empty()),
            }
            .ok_or_else(|| {
                let at = text[..text.len() - rest.len()].chars().count() + 1;
                format!(
                    "the path `{text}` is invalid at character {at}; expected a path such as `a.b[0]` or `[\"a b\"]`"
                )
            })?;
            segments.push(segment);
            rest = tail;
        }
        if segments.is_empty() {
            return Err("a path must not be empty; expected a path such as `a.b[0]`".to_owned());
        }
        let text = text.to_owned();
        Ok(Self { text, segments })
    }

    /// Creates a path that consists of a single key, which may contain any characters.
    pub(crate) fn key(name: &str) -> Self {
        let segments = vec![Segment::Key(name.to_owned())];
        match Self::parse(name) {
            Ok(path) if path.segments == segments => path,
            _ => Self { text: format!("[{}]", Value::from(name)), segments },
        }
    }

    /// Returns the value at this path.
    pub(crate) fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        descend(value, &self.segments)
    }

    /// Returns the value at this path in an object.
    pub(crate) fn get_in<'v>(&self, object: &'v Map<String, Value>) -> Option<&'v Value> {
        let (first, rest) = self.segments.split_first()?;
        match first {
            Segment::Key(key) => descend(object.get(key)?, rest),
            Segment::Index(_) => None,
        }
    }

    /// Sets the value at this path in an object, creating intermediate objects.
    ///
    /// Fails if an intermediate value exists and is not an object, or if the path contains an index.
    pub(crate) fn set(&self, object: &mut Map<String, Value>, value: Value) -> Result<(), String> {
        let mut object = object;
        let (last, parents) = self.segments.split_last().expect("a parsed path has a segment");
        for segment in parents {
            let next = object.entry(self.target_key(segment)?).or_insert_with(|| Value::Object(Map::new()));
            object = next
                .as_object_mut()
                .ok_or_else(|| format!("cannot set `{self}`: a parent of this path is not an object"))?;
        }
        object.insert(self.target_key(last)?.clone(), value);
        Ok(())
    }

    fn target_key<'s>(&self, segment: &'s Segment) -> Result<&'s String, String> {
        match segment {
            Segment::Key(key) => Ok(key),
            Segment::Index(_) => Err(format!("cannot set `{self}`: a target path must not contain an index")),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn descend<'v>(mut value: &'v Value, segments: &[Segment]) -> Option<&'v Value> {
    for segment in segments {
        value = match segment {
            Segment::Key(key) => value.as_object()?.get(key)?,
            Segment::Index(index) => value.as_array()?.get(*index)?,
        };
    }
    Some(value)
}

/// Splits off a leading `key`, or `.key` after the first segment.
fn key_segment(rest: &str, first: bool) -> Option<(Segment, &str)> {
    let rest = if first { rest } else { rest.strip_prefix('.')? };
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (name, tail) = rest.split_at(end);
    (!name.is_empty()).then(|| (Segment::Key(name.to_owned()), tail))
}

/// Splits off a leading `0]` or `"key"]`; `inner` starts after the opening bracket.
fn bracket_segment(inner: &str) -> Option<(Segment, &str)> {
    if !inner.starts_with('"') {
        let (index, tail) = inner.split_once(']')?;
        return Some((Segment::Index(index.parse().ok()?), tail));
    }
    let mut stream = serde_json::Deserializer::from_str(inner).into_iter::<String>();
    let key = stream.next()?.ok()?;
    let tail = inner[stream.byte_offset()..].strip_prefix(']')?;
    Some((Segment::Key(key), tail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_selects_the_value_at_its_position() {
        let value = json!({"a": {"b": [{"c": 1}, 2]}, "x.y": {"z ]": 3}, "é": 4});
        let table = [
            ("a.b[0].c", Some(json!(1))),
            ("a.b[1]", Some(json!(2))),
            ("a.b[2]", None),
            ("a.b.c", None),
            (r#"["x.y"]["z ]"]"#, Some(json!(3))),
            ("é", Some(json!(4))),
        ];
        for (path, expected) in table {
            let path = FieldPath::parse(path).unwrap();
            assert_eq!(path.get(&value), expected.as_ref(), "{path}");
            assert_eq!(path.get_in(value.as_object().unwrap()), expected.as_ref(), "{path}");
        }
    }

    #[test]
    fn any_key_can_be_written_as_a_path() {
        for (name, text) in [("a", "a"), ("a.b", r#"["a.b"]"#), ("", r#"[""]"#)] {
            let path = FieldPath::key(name);
            assert_eq!(path.to_string(), text);
            assert_eq!(path.get(&json!({ name: 1 })), Some(&json!(1)), "{name}");
        }
    }

    #[test]
    fn error_for_an_invalid_path_names_the_position() {
        let table = [("a..b", 2), ("a[x]", 2), ("a[0", 2), (".a", 1), ("a[0]b", 5), ("a.", 2), ("[\"a\"", 1)];
        for (path, at) in table {
            let error = FieldPath::parse(path).unwrap_err();
            assert!(error.contains(&format!("at character {at};")), "{path}: {error}");
        }
        assert!(FieldPath::parse("").unwrap_err().contains("not be empty"));
    }

    #[test]
    fn set_creates_parents_and_rejects_non_object_parents() {
        let mut object = Map::new();
        let set = |object: &mut Map<String, Value>, path: &str| FieldPath::parse(path).unwrap().set(object, json!(1));
        set(&mut object, "a.b").unwrap();
        set(&mut object, "a.c").unwrap();
        assert_eq!(Value::Object(object.clone()), json!({"a": {"b": 1, "c": 1}}));
        assert!(set(&mut object, "a.b.d").unwrap_err().contains("is not an object"));
        assert!(set(&mut object, "a[0]").unwrap_err().contains("must not contain an index"));
    }
}
