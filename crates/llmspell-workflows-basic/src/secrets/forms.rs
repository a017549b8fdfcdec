//! The forms in which a secret appears in texts.

use std::{collections::BTreeSet, fmt::Write as _};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

/// The minimum size of a secret in bytes, excluding surrounding white space.
///
/// Masking a shorter secret would garble other text, so a run with such a secret is refused.
pub const SECRET_BYTES_MIN: usize = 4;

/// The line lengths at which common programs wrap base64.
const BASE64_LINES: [usize; 2] = [76, 64];

/// The minimum length of a separately masked part of an encoded secret, in characters.
const PART_CHARS_MIN: usize = 4;

/// A text that represents a secret or one of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// The name of the form, which is recorded and must never change.
    pub(super) label: String,
    pub(super) text: String,
}

/// Returns all forms of a secret, longest first and without duplicates.
pub(super) fn of(value: &str) -> Vec<Form> {
    let mut forms = Forms::default();
    forms.add_encoded("", value);
    forms.add_base64(value);
    for (number, line) in value.lines().map(str::trim).enumerate() {
        if line != value && line.len() >= SECRET_BYTES_MIN {
            forms.add_encoded(&format!(" of line {number}"), line);
        }
    }
    forms.list.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
    forms.list
}

#[derive(Default)]
struct Forms {
    list: Vec<Form>,
    known: BTreeSet<String>,
}

impl Forms {
    fn add(&mut self, label: impl Into<String>, text: String) {
        if text.len() >= PART_CHARS_MIN && self.known.insert(text.clone()) {
            self.list.push(Form { label: label.into(), text });
        }
    }

    /// Adds `text` unchanged, and as JSON, shells and URLs represent it.
    fn add_encoded(&mut self, of: &str, text: &str) {
        self.add(format!("raw{of}"), text.to_owned());
        for (label, escape) in ESCAPES {
            let once = escape(text);
            // A JSON text inside another JSON text is escaped twice.
            self.add(format!("{label} twice{of}"), escape(&once));
            self.add(format!("{label}{of}"), once);
        }
        for (label, quote) in QUOTES {
            let quoted = quote(text);
            self.add(format!("{label} in json{of}"), json(&quoted));
            self.add(format!("{label}{of}"), quoted);
        }
        for (label, kept) in PERCENT {
            for (case, uppercase) in [("", true), (" lower", false)] {
                let encoded = percent_encoded(text, kept, uppercase);
                self.add(format!("form {label}{case}{of}"), encoded.replace("%20", "+"));
                self.add(format!("{label}{case}{of}"), encoded);
            }
        }
    }

    /// Adds the base64 of `text`: by itself, split into lines, and as part of the base64 of a
    /// longer text.
    fn add_base64(&mut self, text: &str) {
        for (label, engine) in [("base64", STANDARD), ("base64url", URL_SAFE)] {
            let whole = engine.encode(text);
            let unpadded = whole.trim_end_matches('=').to_owned();
            for length in BASE64_LINES.into_iter().filter(|length| whole.len() > *length) {
                for (number, from) in (0..whole.len()).step_by(length).enumerate() {
                    let line = &whole[from..whole.len().min(from + length)];
                    self.add(format!("{label} in {length} line {number}"), line.to_owned());
                }
            }
            self.add(label, whole);
            self.add(format!("{label} unpadded"), unpadded);
            for before in 0..3 {
                // Characters that also contain bits of adjacent text are not determined by the
                // secret.
                let padded = [vec![0; before], text.as_bytes().to_vec()].concat();
                let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
                let inner = engine.encode(&padded).get(from..to).map(str::to_owned);
                self.add(format!("{label} after {before}"), inner.unwrap_or_default());
            }
        }
    }
}

type Encode = fn(&str) -> String;

const ESCAPES: [(&str, Encode); 6] = [
    ("json", json),
    ("json ascii", json_ascii),
    ("json slash", json_slash),
    ("json slash ascii", json_slash_ascii),
    // The form in which programs, including this one in its errors, quote a name.
    ("quoted", |text| text.escape_debug().to_string()),
    ("quoted double", |text| text.escape_debug().to_string().replace("\\'", "'")),
];

const QUOTES: [(&str, Encode); 5] = [
    ("shell", |text| text.replace('\'', r"'\''")),
    ("shell mixed", |text| text.replace('\'', r#"'"'"'"#)),
    ("shell double", |text| backslashed(text, |c| matches!(c, '\\' | '"' | '$' | '`'))),
    ("shell bare", |text| {
        backslashed(text, |c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-._/:=@%+,".contains(c))
    }),
    ("shell ansi", |text| json(text).replace("\\\"", "\"").replace('\'', r"\'")),
];

/// The punctuation left unchanged by each variant of percent-encoding.
const PERCENT: [(&str, &str); 7] = [
    ("url", "-._~"),
    ("url component", "-._~!'()*"),
    ("url path", "-._~/"),
    ("url segment", "-._~!$&'()*+,;=:@"),
    ("url form", "-._*"),
    ("url query", "-._~!$&()*+,;=:@/?[]{}|\\^`%"),
    ("url user", "-._~!$&'()*+,%"),
];

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn json_ascii(text: &str) -> String {
    let mut ascii = String::new();
    for c in json(text).chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

fn json_slash(text: &str) -> String {
    json(text).replace('/', "\\/")
}

fn json_slash_ascii(text: &str) -> String {
    json_ascii(text).replace('/', "\\/")
}

fn backslashed(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        if is_special(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

fn percent_encoded(text: &str, kept: &str, uppercase: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.bytes().any(|kept| kept == byte) {
            encoded.push(byte.into());
        } else if uppercase {
            let _ = write!(encoded, "%{byte:02X}");
        } else {
            let _ = write!(encoded, "%{byte:02x}");
        }
    }
    encoded
}
