//! Lossless conversion of external bytes to JSON strings.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// How a JSON string represents bytes, such as the output of a process or the body of a response.
///
/// ```
/// use llmspell_workflows_basic::BytesForm;
///
/// assert_eq!(BytesForm::encode(b"caf\xc3\xa9".to_vec()), ("café".to_owned(), BytesForm::Text));
/// assert_eq!(BytesForm::encode(b"\xff\x00".to_vec()), ("/wA=".to_owned(), BytesForm::Base64));
/// assert_eq!(BytesForm::Base64.decode("/wA="), Some(b"\xff\x00".to_vec()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BytesForm {
    /// The bytes are UTF-8, and the string has the same bytes.
    Text,
    /// The bytes are not UTF-8, and the string is their base64.
    Base64,
}

impl BytesForm {
    /// Returns the string that represents `bytes`, and how it represents them.
    #[must_use]
    pub fn encode(bytes: Vec<u8>) -> (String, Self) {
        match String::from_utf8(bytes) {
            Ok(text) => (text, Self::Text),
            Err(error) => (STANDARD.encode(error.as_bytes()), Self::Base64),
        }
    }

    /// Returns the bytes that `text` represents; `None` if it is not valid base64.
    #[must_use]
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Text => Some(text.as_bytes().to_vec()),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }

    /// Returns the bytes of `text` as readable text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn shown(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Text => text.into(),
            Self::Base64 => match self.decode(text) {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
                None => text.into(),
            },
        }
    }

    /// Returns the name used in output fields such as `stdout_type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Base64 => "base64",
        }
    }

    /// Returns the form with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Text, Self::Base64].into_iter().find(|form| form.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encoding_loses_no_bytes(bytes: Vec<u8>) {
            let (text, form) = BytesForm::encode(bytes.clone());
            prop_assert_eq!(BytesForm::from_name(form.name()), Some(form));
            prop_assert_eq!(form == BytesForm::Text, text.as_bytes() == bytes);
            prop_assert_eq!(form.decode(&text), Some(bytes));
        }
    }
}
