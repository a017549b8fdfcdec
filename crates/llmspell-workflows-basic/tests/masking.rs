//! Masking removes every encoding of a secret from a text and leaves the rest unchanged.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose as base64s};
use llmspell_workflows_basic::secrets::{MASK, Masker};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

const TOKEN: &str = "tök'n/\"1 2\"&$x\\=+";
const KEY: &str = "-----BEGIN-----\nMIIabcSECRETLINE==\n  indented-line\n-----END-----";

fn masker() -> Masker {
    Masker::new([("TOKEN", TOKEN), ("KEY", KEY), ("SHORT", "hunter2"), ("LONG", "long-hunter2-token"), ("PIN", "8421")])
}

fn json_escaped(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn json_ascii(text: &str) -> String {
    let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
    json_escaped(text).chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect()
}

/// Percent-encodes all bytes except alphanumeric characters and the characters in `kept`.
fn percent(text: &str, kept: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b if b.is_ascii_alphanumeric() || kept.as_bytes().contains(&b) => all.push(char::from(b)),
            b => all += &format!("%{b:02X}"),
        }
        all
    })
}

fn lowercase_percent(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02x}"),
    };
    text.bytes().map(encoded).collect()
}

/// Encodes the three texts together; also returns the part that depends only on `text`.
fn base64_within(before: &str, text: &str, after: &str, engine: &impl base64::Engine) -> (String, String) {
    let whole = engine.encode(format!("{before}{text}{after}"));
    let (from, to) = ((before.len() * 8).div_ceil(6), (before.len() + text.len()) * 8 / 6);
    let inner = whole[from..to].to_owned();
    (whole, inner)
}

type Encode = fn(&str) -> String;

/// The encodings of a secret, each with an independent encoder.
const FORMS: [(&str, Encode); 18] = [
    ("debug", |text| format!("{text:?}")[1..=format!("{text:?}").len() - 2].to_owned()),
    ("escaped", |text| text.escape_debug().to_string()),
    ("raw", str::to_owned),
    ("json", json_escaped),
    ("json in json", |text| json_escaped(&json_escaped(text))),
    ("json in ascii", json_ascii),
    ("url component", |text| percent(text, "-_.!~*'()")),
    ("url path", |text| percent(text, "-_.~/")),
    ("url unreserved", |text| percent(text, "-_.~")),
    ("url lower case", lowercase_percent),
    ("form", |text| percent(text, "*-._").replace("%20", "+")),
    ("base64", |text| base64s::STANDARD.encode(text)),
    ("base64 unpadded", |text| base64s::STANDARD_NO_PAD.encode(text)),
    ("base64url", |text| base64s::URL_SAFE.encode(text)),
    ("base64url unpadded", |text| base64s::URL_SAFE_NO_PAD.encode(text)),
    ("shell single", |text| text.replace('\'', r"'\''")),
    ("shell mixed", |text| text.replace('\'', r#"'"'"'"#)),
    ("shell double", |text| {
        let special = |c: char| matches!(c, '\\' | '"' | '$' | '`');
        text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
    }),
];

/// Embeds a text in a JSON value.
type Place = fn(&str) -> Value;

const PLACES: [(&str, Place); 7] = [
    ("alone", |text| json!(text)),
    ("inside a text", |text| json!(format!("before <{text}> after"))),
    ("twice in a text", |text| json!(format!("{text}, {text}"))),
    ("in an array", |text| json!([1, ["x", text]])),
    ("in an object", |text| json!({"a": {"b": text}, "c": null})),
    ("as a field name", |text| json!({text: 1, "other": text})),
    ("in a field name", |text| json!({"a": [{format!("x-{text}-y"): {text: 2}}]})),
];

#[test]
fn every_encoding_of_a_secret_is_masked_and_can_be_restored() {
    let masker = masker();
    for secret in [TOKEN, KEY, "hunter2", "long-hunter2-token", "8421"] {
        for (form, encode) in FORMS {
            let encoded = encode(secret);
            for (place, put) in PLACES {
                let value = put(&encoded);
                let mut masked = value.clone();
                masker.mask(&mut masked);
                let text = masked.to_string();
                assert!(!contains_text(&masked, &encoded), "{form} of {secret:?} {place}: {text}");
                assert!(text.contains(MASK), "{form} of {secret:?} {place}: {text}");
                let mut noted = value.clone();
                let notes = masker.mask_noting(&mut noted);
                assert_eq!(noted, masked, "{form} {place}");
                let notes = serde_json::from_value::<Vec<_>>(json!(notes)).unwrap();
                masker.restore(&mut noted, &notes).unwrap();
                assert_eq!(noted, value, "{form} of {secret:?} {place}");
            }
        }
    }
}

fn contains_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(other) => other.contains(text),
        Value::Array(items) => items.iter().any(|item| contains_text(item, text)),
        Value::Object(fields) => fields.iter().any(|(name, item)| name.contains(text) || contains_text(item, text)),
        _ => false,
    }
}

#[test]
fn overlapping_secrets_are_masked_completely() {
    let cases = [
        ("<long-hunter2-token>", "<***>"),
        ("hunter2-token", "***-token"),
        ("long-hunter2", "long-***"),
        ("a hunter2hunter2 b", "a ****** b"),
    ];
    for (text, masked) in cases {
        assert_eq!(masker().masked(text), masked);
    }
    // Neither secret contains the other, but they overlap in the middle.
    let masker = Masker::new([("A", "abcdefgh"), ("B", "efghijkl")]);
    assert_eq!(masker.masked("-abcdefghijkl-"), "-***-");
}

#[test]
fn each_line_of_a_secret_or_of_its_wrapped_base64_is_masked() {
    let masker = masker();
    for (text, masked) in [
        ("MIIabcSECRETLINE==", "***"),
        ("  indented-line", "  ***"),
        ("-----BEGIN-----\r\nMIIabcSECRETLINE==\r\n", "***\r\n***\r\n"),
    ] {
        assert_eq!(masker.masked(text), masked);
    }
    let long = "k3y+".repeat(60);
    let masker = Masker::new([("LONG", &*long)]);
    let encoded = base64s::STANDARD.encode(&long);
    for length in [76, 64] {
        let lines: Vec<&str> =
            (0..encoded.len()).step_by(length).map(|at| &encoded[at..encoded.len().min(at + length)]).collect();
        assert_eq!(masker.masked(&lines.join("\n")), vec![MASK; lines.len()].join("\n"));
    }
}

#[test]
fn base64_of_a_longer_text_is_masked_at_every_alignment() {
    let masker = masker();
    for before in ["", "u", "us", "user:"] {
        for engine in [base64s::STANDARD, base64s::URL_SAFE] {
            let (whole, inner) = base64_within(before, TOKEN, "!", &engine);
            let masked = masker.masked(&whole);
            assert!(masked.contains(MASK) && !masked.contains(&inner), "{masked}");
        }
    }
}

#[test]
fn base64_of_a_longer_text_is_masked_at_any_line_break() {
    let masker = masker();
    for before in 40..80 {
        let (whole, inner) = base64_within(&"x".repeat(before), TOKEN, &"y".repeat(50), &base64s::STANDARD);
        for (length, ending) in [(76, "\n"), (64, "\r\n"), (7, "\n")] {
            let lines: Vec<&str> =
                (0..whole.len()).step_by(length).map(|at| &whole[at..whole.len().min(at + length)]).collect();
            let text = lines.join(ending);
            let masked = masker.masked(&text).into_owned();
            let joined: String = masked.split_whitespace().collect();
            assert!(
                masked.contains(MASK) && !joined.contains(&inner[..4]) && !joined.contains(&inner[inner.len() - 4..])
            );
            assert_eq!(masked.lines().count(), text.lines().count());
            let mut value = json!(text);
            let notes = masker.mask_noting(&mut value);
            masker.restore(&mut value, &notes).unwrap();
            assert_eq!(value, json!(text));
        }
    }
}

#[test]
fn truncated_secrets_are_masked() {
    let masker = masker();
    for (text, masked) in [
        ("got long-hunter2-tok…", "got ***…"),
        ("got \"long-hun...", "got \"***..."),
        ("…er2-token is wrong", "…*** is wrong"),
        ("key long-h...r2-token", "key ***...***"),
        ("got lon…", "got lon…"),
        ("and so on…", "and so on…"),
    ] {
        assert_eq!(masker.masked(text), masked);
        let mut value = json!(text);
        let notes = masker.mask_noting(&mut value);
        masker.restore(&mut value, &notes).unwrap();
        assert_eq!(value, json!(text));
    }
}

#[test]
fn numeric_secrets_are_masked_but_known_field_names_are_kept() {
    let masker = Masker::new([("A", "8421"), ("B", "exit_code"), ("C", "name")]);
    let masker = masker.keeping(["name".to_owned()].into());
    let value = json!({"exit_code": 0, "name": "name", "names": 1, "n": 8421, "m": [1.8421, 7], "***s": 2});
    let mut masked = value.clone();
    let notes = masker.mask_noting(&mut masked);
    let expected = json!({"exit_code": 0, "name": MASK, "***s (2)": 1, "***s": 2, "n": MASK, "m": ["1.***", 7]});
    assert_eq!(masked, expected);
    masker.restore(&mut masked, &notes).unwrap();
    assert_eq!(masked, value);
}

#[test]
fn restoring_fails_if_the_secret_is_missing_or_has_changed() {
    let mut value = json!({"k": "MIIabcSECRETLINE=="});
    let notes = masker().mask_noting(&mut value);
    let missing = Masker::new([("OTHER", "something")]).restore(&mut value, &notes).unwrap_err();
    assert_eq!(missing.to_string(), "the secret `KEY` has no value");
    let changed = Masker::new([("KEY", "one line")]).restore(&mut value, &notes).unwrap_err();
    assert_eq!(changed.to_string(), "the value of the secret `KEY` has changed");
    assert_eq!(value, json!({"k": MASK}));
}

#[test]
fn short_secrets_are_not_masked_and_debug_output_shows_no_values() {
    let masker = Masker::new([("A", "abc"), ("B", " ab "), ("C", ""), ("D", "abcd")]);
    assert_eq!(masker.masked("abc ab abcd"), "abc ab ***");
    assert_eq!(format!("{masker:?}"), r#"{"D"}"#);
}

/// Secrets, and a text that contains some of them, encoded in various ways.
#[derive(Debug, Clone)]
struct Case {
    secrets: Vec<String>,
    /// For each piece: a secret, its encoding, and the noise before it.
    pieces: Vec<(prop::sample::Index, usize, String)>,
    shape: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let secret = prop_oneof![
        "[a-zA-Z0-9]{4,12}",
        "[!-)+-~]{4,20}",
        "[a-z é€😀'\"\\\\/&=%$+\t-]{4,16}",
        "[A-Za-z0-9+/]{6,12}\n[a-z =]{1,9}\n[A-Z'\"]{4,12}",
    ];
    let secret = secret.prop_filter("long enough", |text| text.trim().len() >= 4 && !text.contains("..."));
    let noise = prop_oneof!["[ -)+-~]{0,12}", "[a-z é\n]{0,20}", Just(String::new())];
    let piece = (any::<prop::sample::Index>(), 0..FORMS.len() + 4, noise);
    let parts = (prop::collection::vec(secret, 1..5), prop::collection::vec(piece, 0..6), 0..PLACES.len());
    parts.prop_map(|(secrets, pieces, shape)| Case { secrets, pieces, shape })
}

impl Case {
    /// Returns the text made of the pieces, and the encoded secrets in it.
    fn text(&self) -> (String, Vec<String>) {
        let (mut text, mut encoded) = (String::new(), Vec::new());
        for (secret, form, noise) in &self.pieces {
            let secret = secret.get(&self.secrets);
            text.push_str(noise);
            text.push(' ');
            match FORMS.get(*form) {
                Some((_, encode)) => {
                    encoded.push(encode(secret));
                    text.push_str(&encode(secret));
                }
                // The remaining encodings are the base64 of a longer text and a single line of the secret.
                None if *form < FORMS.len() + 3 => {
                    let (whole, inner) =
                        base64_within(&"u:x"[*form - FORMS.len()..], secret, noise, &base64s::STANDARD);
                    encoded.push(inner);
                    text.push_str(&whole);
                }
                None => {
                    let line = secret.lines().map(str::trim).find(|line| line.len() >= 4).unwrap_or(secret);
                    encoded.push(line.to_owned());
                    text.push_str(line);
                }
            }
            text.push(' ');
        }
        encoded.retain(|text| text.len() >= 4);
        (text, encoded)
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let names: Vec<String> = (0..self.secrets.len()).map(|number| format!("S{number}")).collect();
        let pairs = || names.iter().map(String::as_str).zip(self.secrets.iter().map(String::as_str));
        let (masker, reversed) = (Masker::new(pairs()), Masker::new(pairs().collect::<Vec<_>>().into_iter().rev()));
        let (text, encoded) = self.text();
        let masked = masker.masked(&text);
        prop_assert_eq!(&masked, &reversed.masked(&text), "the order of the secrets matters");
        for secret in encoded.iter().chain(&self.secrets) {
            prop_assert!(!masked.contains(secret), "{:?} is left in {:?} of {:?}", secret, masked, text);
        }
        prop_assert_eq!(encoded.is_empty() && masker.find(&text).is_none(), masked == text);
        let value = PLACES[self.shape].1(&text);
        let mut shown = value.clone();
        let notes = masker.mask_noting(&mut shown);
        for secret in encoded.iter().chain(&self.secrets) {
            prop_assert!(!contains_text(&shown, secret), "{:?} is left in {}", secret, shown);
        }
        prop_assert_eq!(notes.is_empty(), shown == value);
        masker.restore(&mut shown, &notes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(shown, value);
        Ok(())
    }
}

const CASES: u32 = 60;

/// Runs random cases for `FUZZ_SECONDS` seconds, or only a few cases if the variable is not set.
#[test]
fn random_secrets_are_masked_and_can_be_restored() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut count = 0;
    loop {
        let mut runner = match until {
            Some(_) => TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() }),
            None => TestRunner::new_with_rng(
                Config { cases: CASES, failure_persistence: None, ..Config::default() },
                proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
            ),
        };
        runner.run(&cases(), |case| case.check()).unwrap_or_else(|error| panic!("{error}"));
        count += CASES;
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    println!("{count} cases");
}

#[test]
fn text_without_secrets_is_not_changed() {
    let text = "GET /v1/items?limit=10 200 OK … {\"id\": 5, \"name\": \"long hunter\"} aHVudGVy 842 1";
    assert_eq!(masker().masked(text), text);
    assert!(matches!(masker().masked(text), std::borrow::Cow::Borrowed(_)));
}
