//! Records as bytes, and the version of their format.

use serde_json::Value;

use super::Record;

/// The version of the format of records that this library reads and writes.
pub const FORMAT: u32 = 2;

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is of an earlier version.
    #[error(
        "it was recorded in format {found}, and this version reads format {FORMAT}: finish or export its runs with the \
         program that recorded them, or move the folder away"
    )]
    Earlier {
        /// The version that it is of.
        found: u32,
    },
    /// It is of a later version.
    #[error("{what} is of a later format than {FORMAT}, which this version reads: use the program that recorded it")]
    Later {
        /// What of it is unknown here.
        what: String,
    },
    /// It is not a record at all.
    #[error("a record cannot be read: {0}")]
    Unreadable(String),
}

impl FormatError {
    /// A stable code for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Earlier { .. } | Self::Later { .. } => "record_format",
            Self::Unreadable(_) => "journal_failed",
        }
    }
}

impl Record {
    /// The record as a journal keeps it.
    ///
    /// # Errors
    /// A value in it cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        serde_json::to_vec(self).map_err(|error| FormatError::Unreadable(error.to_string()))
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// It is of another version of the format, or not a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        match serde_json::from_slice::<Self>(bytes) {
            Ok(Self::Started(started)) if started.format != FORMAT => Err(other_format(started.format)),
            Ok(record) => Ok(record),
            Err(error) => Err(why(serde_json::from_slice(bytes).ok().as_ref(), &error)),
        }
    }

    /// The same for a record that is part of a document.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn from_json(value: &Value) -> Result<Self, FormatError> {
        use serde::Deserialize;
        match Self::deserialize(value) {
            Ok(Self::Started(started)) if started.format != FORMAT => Err(other_format(started.format)),
            Ok(record) => Ok(record),
            Err(error) => Err(why(Some(value), &error)),
        }
    }
}

fn other_format(found: u32) -> FormatError {
    if found < FORMAT {
        return FormatError::Earlier { found };
    }
    FormatError::Later { what: format!("format {found}") }
}

/// Why `value`, which is not a record of this format, is none.
fn why(value: Option<&Value>, error: &serde_json::Error) -> FormatError {
    let unreadable = || FormatError::Unreadable(error.to_string());
    let Some((kind, body)) = value.and_then(Value::as_object).and_then(|fields| fields.iter().next()) else {
        return unreadable();
    };
    if !Record::KINDS.contains(&kind.as_str()) {
        return FormatError::Later { what: format!("the record kind `{kind}`") };
    }
    // The first format did not name itself.
    let format = body.get("format").map_or(1, |format| format.as_u64().unwrap_or_default());
    if kind == "started" && format != u64::from(FORMAT) {
        return other_format(u32::try_from(format).unwrap_or(u32::MAX));
    }
    if kind == "decided" && body.get("choice").is_none() {
        return FormatError::Earlier { found: 1 };
    }
    // A field or a choice that is not known here was added later; everything else is damage.
    let text = error.to_string();
    match text.strip_prefix("unknown ") {
        Some(rest) => FormatError::Later { what: format!("the {}", rest.split(", expected").next().unwrap_or(rest)) },
        None => unreadable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> FormatError {
        Record::decode(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn records_of_the_first_format_are_told_from_damage() {
        for text in [
            r#"{"started":{"at":"2026-01-01T00:00:00Z","workflow":"w","definition":"h","input":null}}"#,
            r#"{"decided":{"path":"/main/a","index":0,"decision":{"branch":1}}}"#,
        ] {
            assert_eq!(refusal(text), FormatError::Earlier { found: 1 }, "{text}");
        }
    }

    #[test]
    fn what_a_later_version_added_is_named() {
        for (text, what) in [
            (r#"{"slept":{}}"#, "the record kind `slept`"),
            (r#"{"decided":{"path":"/main/a","choice":{"dream":1},"t":0}}"#, "the variant `dream`"),
            (r#"{"began":{"path":"/main/a","t":0,"core":1}}"#, "the field `core`"),
            (r#"{"started":{"format":3,"anything":true}}"#, "format 3"),
        ] {
            let FormatError::Later { what: found } = refusal(text) else { panic!("{text}: {}", refusal(text)) };
            assert_eq!(found, what);
        }
    }

    #[test]
    fn everything_else_is_damage() {
        for text in ["", "[]", "{}", r#"{"began":{"t":1}}"#, r#"{"began":{"path":1,"t":1}}"#] {
            assert!(matches!(refusal(text), FormatError::Unreadable(_)), "{text}");
        }
    }
}
