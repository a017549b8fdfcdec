use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

/// The expected type or format of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Type {
    /// An e-mail address as defined in RFC 5321, without a display name.
    Email,
    /// A string.
    String,
    /// A number without a fraction.
    Integer,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
    /// An absolute `http` or `https` URL with a host.
    Url,
    /// A date (`2024-02-29`) or a date with time and offset (RFC 3339).
    Date,
    /// A UUID in its hyphenated form.
    Uuid,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The names of all types, for the schema.
pub(super) const NAMES: [&str; 10] =
    ["email", "string", "integer", "number", "boolean", "url", "date", "uuid", "array", "object"];

impl Type {
    /// Returns whether `value` has this type.
    pub(super) fn matches(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|float| float.fract() == 0.0)
            }
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Email | Self::Url | Self::Date | Self::Uuid => {
                value.as_str().is_some_and(|text| self.matches_text(text))
            }
        }
    }

    /// Returns the name of the type with an article, for messages.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Email => "an e-mail address",
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Url => "an http or https URL",
            Self::Date => "a date such as 2024-02-29 or 2024-02-29T12:00:00Z",
            Self::Uuid => "a UUID",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }

    fn matches_text(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::Url => is_url(text),
            Self::Date => is_date(text),
            Self::Uuid => text.len() == 36 && uuid::Uuid::try_parse(text).is_ok(),
            _ => false,
        }
    }
}

fn is_email(text: &str) -> bool {
    use email_address::{EmailAddress, Options};
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    EmailAddress::parse_with_options(text, options).is_ok()
}

fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        && !text.contains(char::is_whitespace)
}

fn is_date(text: &str) -> bool {
    let is_civil_date = text.len() == 10 && jiff::civil::Date::from_str(text).is_ok();
    let is_timestamp = text.contains(['T', 't', ' ']) && jiff::Timestamp::from_str(text).is_ok();
    is_civil_date || is_timestamp
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_type_accepts_only_matching_values() {
        let table = [
            (
                Type::Email,
                vec![json!("a@example.com"), json!("a+b@sub.example.org")],
                vec![
                    json!("a@b"),
                    json!("a"),
                    json!("A <a@example.com>"),
                    json!("a b@example.com"),
                    json!(1),
                    json!(""),
                ],
            ),
            (
                Type::Url,
                vec![json!("https://example.com/a?b"), json!("http://127.0.0.1:80")],
                vec![
                    json!("example.com"),
                    json!("ftp://example.com"),
                    json!("mailto:a@b.c"),
                    json!("http://"),
                    json!("http://a b"),
                ],
            ),
            (
                Type::Date,
                vec![json!("2024-02-29"), json!("2024-02-29T12:00:00Z"), json!("2024-02-29T12:00:00.5+02:00")],
                vec![
                    json!("2023-02-29"),
                    json!("29.02.2024"),
                    json!("2024-02-29T12:00:00"),
                    json!("20240229"),
                    json!(20_240_229),
                ],
            ),
            (
                Type::Uuid,
                vec![json!("0190163d-8694-739b-aea5-966c26f8ad91")],
                vec![
                    json!("0190163d8694739baea5966c26f8ad91"),
                    json!("0190163d-8694-739b-aea5-966c26f8ad9"),
                    json!("x"),
                ],
            ),
            (Type::Integer, vec![json!(1), json!(-1.0), json!(u64::MAX)], vec![json!(1.5), json!("1"), json!(null)]),
            (Type::Number, vec![json!(1), json!(1.5)], vec![json!("1.5")]),
            (Type::Boolean, vec![json!(true)], vec![json!("true"), json!(1)]),
            (Type::String, vec![json!("")], vec![json!(1)]),
            (Type::Array, vec![json!([])], vec![json!({})]),
            (Type::Object, vec![json!({})], vec![json!([])]),
        ];
        for (r#type, valid, invalid) in table {
            for value in valid {
                assert!(r#type.matches(&value), "{type:?} {value}");
            }
            for value in invalid {
                assert!(!r#type.matches(&value), "{type:?} {value}");
            }
        }
    }

    #[test]
    fn every_type_name_can_be_parsed() {
        for name in NAMES {
            assert!(serde_json::from_value::<Type>(json!(name)).is_ok(), "{name}");
        }
    }
}
