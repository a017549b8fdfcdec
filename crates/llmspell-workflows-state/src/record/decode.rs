//! The encoding of records, and the version of their format.

use serde_json::Value;

use super::Record;

/// The version of the record format that this library reads and writes.
pub const FORMAT: u32 = 2;

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The record is in an earlier format.
    #[error(
        "it was recorded in format {found}, but this version reads format {FORMAT}; finish or export its runs with the \
         program that recorded them, or move the folder away"
    )]
    Earlier {
        /// The record's format version.
        found: u32,
    },
    /// The record is in a later format.
    #[error(
        "{what} requires a later format than {FORMAT}, the format this version reads; use the program that recorded it"
    )]
    Later {
        /// The part of the record unknown to this version.
        what: String,
    },
    /// The bytes are not a record.
    #[error("a record cannot be read: {0}")]
    Unreadable(String),
}

impl FormatError {
    /// Returns the stable error code, which has a page under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Earlier { .. } | Self::Later { .. } => "record_format",
            Self::Unreadable(_) => "journal_failed",
        }
    }
}

impl Record {
    /// Returns the record as bytes for a journal.
    ///
    /// # Errors
    /// Returns an error if a value in the record cannot be encoded as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        serde_json::to_vec(self).map_err(|error| FormatError::Unreadable(error.to_string()))
    }

    /// Decodes a record written by [`Self::encode`].
    ///
    /// # Errors
    /// Returns an error if the record is in a different format or the bytes are not a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        match serde_json::from_slice::<Self>(bytes) {
            Ok(Self::Started(started)) if started.format != FORMAT => Err(other_format(started.format)),
            Ok(record) => Ok(record),
            Err(error) => Err(classify(serde_json::from_slice(bytes).ok().as_ref(), &error)),
        }
    }

    /// Reads a record contained in a JSON document.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Self::decode`].
    pub fn from_json(value: &Value) -> Result<Self, FormatError> {
        use serde::Deserialize;
        match Self::deserialize(value) {
            Ok(Self::Started(started)) if started.format != FORMAT => Err(other_format(started.format)),
            Ok(record) => Ok(record),
            Err(error) => Err(classify(Some(value), &error)),
        }
    }
}

fn other_format(found: u32) -> FormatError {
    if found < FORMAT {
        return FormatError::Earlier { found };
    }
    FormatError::Later { what: format!("format {found}") }
}

/// Returns why `value` is not a record of this format.
fn classify(value: Option<&Value>, error: &serde_json::Error) -> FormatError {
    let unreadable = || FormatError::Unreadable(error.to_string());
    let Some((kind, body)) = value.and_then(Value::as_object).and_then(|fields| fields.iter().next()) else {
        return unreadable();
    };
    if !Record::KINDS.contains(&kind.as_str()) {
        return FormatError::Later { what: format!("the record kind `{kind}`") };
    }
    // Records of format 1 do not name their format.
    let format = body.get("format").map_or(1, |format| format.as_u64().unwrap_or_default());
    if kind == "started" && format != u64::from(FORMAT) {
        return other_format(u32::try_from(format).unwrap_or(u32::MAX));
    }
    if kind == "decided" && body.get("choice").is_none() {
        return FormatError::Earlier { found: 1 };
    }
    // An unknown field or choice was added by a later version; everything else is damage.
    let text = error.to_string();
    match text.strip_prefix("unknown ") {
        Some(rest) => FormatError::Later { what: format!("the {}", rest.split(", expected").next().unwrap_or(rest)) },
        None => unreadable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_error(text: &str) -> FormatError {
        Record::decode(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn records_of_format_1_are_distinguished_from_damage() {
        for text in [
            r#"{"started":{"at":"2026-01-01T00:00:00Z","workflow":"w","definition":"h","input":null}}"#,
            r#"{"decided":{"path":"/main/a","index":0,"decision":{"branch":1}}}"#,
        ] {
            assert_eq!(decode_error(text), FormatError::Earlier { found: 1 }, "{text}");
        }
    }

    #[test]
    fn error_names_the_unknown_part_of_a_record_in_a_later_format() {
        for (text, what) in [
            (r#"{"slept":{}}"#, "the record kind `slept`"),
            (r#"{"decided":{"path":"/main/a","choice":{"dream":1},"t":0}}"#, "the variant `dream`"),
            (r#"{"began":{"path":"/main/a","t":0,"core":1}}"#, "the field `core`"),
            (r#"{"started":{"format":3,"anything":true}}"#, "format 3"),
        ] {
            let FormatError::Later { what: found } = decode_error(text) else {
                panic!("{text}: {}", decode_error(text))
            };
            assert_eq!(found, what);
        }
    }

    #[test]
    fn damaged_records_are_unreadable() {
        for text in ["", "[]", "{}", r#"{"began":{"t":1}}"#, r#"{"began":{"path":1,"t":1}}"#] {
            assert!(matches!(decode_error(text), FormatError::Unreadable(_)), "{text}");
        }
    }
}
