//! Random secrets leave no trace, regardless of where they are used.
//!
//! `FUZZ_SECONDS` and `FUZZ_SEED` set the duration of the test and the first seed.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose as base64s};

use crate::{
    random::Random,
    secret_values::{CONFIG, PLACES, leaks},
    support::{CommandOutput, Sandbox},
};

/// Characters that some encoding changes; no backslash is part of an escape sequence of `echo`.
const SPECIAL: [&str; 26] = [
    "'", "\"", "\\.", "/", "+", "=", "&", "?", "#", "%", "$", "`", "!", "{", "}", "<", ">", " ", ":", ";", "@", "*",
    "é", "ß", "漢", "😀",
];

const PLAIN: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A random secret, and the parts of it that survive any encoding.
struct Secret {
    value: String,
    parts: Vec<String>,
}

impl Secret {
    /// Creates a secret with one line, or with up to four lines if `has_lines` is set.
    fn random(random: &mut Random, has_lines: bool) -> Self {
        let mut secret = Self { value: String::new(), parts: Vec::new() };
        for line in 0..if has_lines { 1 + random.below(4) } else { 1 } {
            if line > 0 {
                secret.value.push('\n');
            }
            secret.add_specials(random);
            // No other text contains nine random letters and digits.
            let core: String = (0..9).map(|_| char::from(*random.pick(PLAIN).unwrap())).collect();
            secret.value += &core;
            secret.add_specials(random);
            let base64 = (0..3).flat_map(|before| base64_at(before, &core));
            secret.parts.extend(base64);
            secret.parts.push(core);
        }
        secret
    }

    fn add_specials(&mut self, random: &mut Random) {
        for _ in 0..random.below(5) {
            self.value += random.pick(&SPECIAL).unwrap();
        }
    }
}

/// Returns the base64 of `text` when it follows `before` other bytes, omitting characters that also
/// depend on adjacent bytes.
fn base64_at(before: usize, text: &str) -> [String; 2] {
    let whole = format!("{}{text}", "\0".repeat(before));
    let (from, to) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
    [base64s::STANDARD_NO_PAD.encode(&whole), base64s::URL_SAFE_NO_PAD.encode(&whole)]
        .map(|encoded| encoded[from..to].to_owned())
}

#[test]
fn random_secrets_do_not_appear_anywhere() {
    let number =
        |name: &str| std::env::var(name).map(|text| text.parse::<u64>().expect("the variable is a number")).ok();
    let deadline = number("FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut seed = number("FUZZ_SEED").unwrap_or(1);
    let first = seed;
    while deadline.map_or(seed < first + 12, |deadline| Instant::now() < deadline) {
        check(seed);
        seed += 1;
    }
    println!("{} random secrets from seed {first}: found nowhere", 2 * (seed - first));
}

/// Puts two random secrets into a run at a random place, and searches everything that the run
/// writes or shows for them.
fn check(seed: u64) {
    let random = &mut Random(seed);
    let (token, key) = (Secret::random(random, false), Secret::random(random, true));
    let (place, steps) = random.pick(&PLACES).unwrap();
    let text = format!(
        "name: f\nsecrets: [TOKEN, KEY]\nsteps:\n  - id: first\n    type: shell\n    \
         command: 'echo \"$T\"; echo \"$K\" >&2'\n    \
         env: {{T: '{{{{ secrets.TOKEN }}}}', K: '{{{{ secrets.KEY }}}}'}}\n{steps}"
    );
    let sandbox = Sandbox::with_flow(&text).file("spellflow.toml", CONFIG);
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("THE_TOKEN", &token.value).env("THE_KEY", &key.value).stdin(Stdio::null());
        CommandOutput::new(command.output().unwrap())
    };
    let about = format!("seed {seed}, {place}, the secrets {:?} and {:?}", token.value, key.value);
    let ran = run(&["-vvv", "run", "flow.yaml", "-o", ["json", "jsonl", "text"][random.below(3)]]);
    assert!(ran.code < 2, "{about}: {}{}", ran.stdout, ran.stderr);
    let mut shown = format!("{}{}", ran.stdout, ran.stderr);
    for arguments in [
        &["runs", "show", "@last"][..],
        &["runs", "show", "@last", "-o", "json"],
        &["runs", "events", "@last"],
        &["runs", "logs", "@last"],
        &["runs", "export", "@last"],
    ] {
        let output = run(arguments);
        assert_eq!(output.code, 0, "{about}: {arguments:?}: {}", output.stderr);
        shown += &output.stdout;
        shown += &output.stderr;
    }
    assert!(shown.contains("***"), "{about}: nothing was masked: {shown}");
    let parts: Vec<&String> = token.parts.iter().chain(&key.parts).collect();
    if let Some(part) = parts.iter().find(|part| shown.contains(part.as_str())) {
        panic!("{about}: {part} in {shown}");
    }
    assert_eq!(leaks(&sandbox.path(".spellflow"), &parts), Vec::<String>::new(), "{about}");
}

#[test]
fn every_base64_of_a_secret_contains_one_of_its_parts() {
    for seed in 0..100 {
        let secret = Secret::random(&mut Random(seed), true);
        for before in ["", "u", "u:", "u:x"] {
            let whole = format!("{before}{}!", secret.value);
            for encoded in [base64s::STANDARD.encode(&whole), base64s::URL_SAFE.encode(&whole)] {
                assert!(secret.parts.iter().any(|part| encoded.contains(part)), "seed {seed}: {encoded}");
            }
        }
    }
}
