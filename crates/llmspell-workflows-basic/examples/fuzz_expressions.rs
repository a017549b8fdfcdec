//! Looks for an expression that makes the parser or the evaluation panic or hang.
//!
//! ```sh
//! cargo run --profile dist --example fuzz_expressions -- SECONDS [SEED]
//! ```
//!
//! The program mutates sources from a corpus for `SECONDS` seconds, parses each result as a
//! template and as an expression, and evaluates it in a nested scope. It stops with exit code 1 if
//! a run panics or takes longer than [`RUN_MS_MAX`]; otherwise it prints the number of runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use llmspell_workflows_basic::expr::{Expr, Template, function_docs};
use serde_json::{Value, json};

/// The maximum duration of one run, far longer than any run should take within the limits.
const RUN_MS_MAX: u128 = 2_000;
/// The maximum size of a mutated source, in bytes.
const SOURCE_BYTES_MAX: usize = 16_384;

const CORPUS: &[&str] = &[
    "task.type !== 'hotfix' && tries < 3",
    "context.state.get('qa_status') === 'pass'",
    "steps.fetch.output.rows[0].id ?? user?.address?.zip || 'none'",
    "a ? b : c ? [1, 2.5e3, -3] : {a: 1, 'b c': [null, true]}",
    "not ('x' in list) and text contains 'ü' or n not in [1, 2, 3]",
    "(a + b * -c / 4 % 5 - 1) >= 2.0 == !yes",
    "items | first | default('x') | json | shell_quote",
    r#""quote \" \n \u{1f600} \ud83d\ude00" + 'it\'s' + 1"#,
    "range(100).join('-').split('-').reverse().slice(2, -1)[index]",
    "list.sort().concat([9], list).unique().at(-1).toFixed(2)",
    "parse_json(json({a: [1, {b: null}]})).a[1].b?.c",
    "hash(user, list, 1.0) == hash(user, list, 1)",
    "text.toUpperCase().replace('Ü', 'ue').indexOf('ue')",
    "18446744073709551615 * 9223372036854775807 - 1e308",
    "plain {{ user.name | upper }} and ${ n + 1 } \\{{ not }} ${list.join(', ')}",
    "${x || 'default'} {{ {a: '}}'} | json }}",
];

const TOKENS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "?.",
    "?",
    ":",
    "|",
    "||",
    "&&",
    "??",
    "!",
    "not ",
    " in ",
    " contains ",
    "==",
    "!==",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "'",
    "\"",
    "\\",
    "{{",
    "}}",
    "${",
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1e308",
    "9223372036854775807",
    "0.1",
    "ü",
    "😀",
    "\u{301}",
    "\0",
    " ",
    "\n",
    "text",
    "list",
    "user",
    "missing",
    "n",
    "''",
    "[]",
    "{}",
];

/// Marsaglia's xorshift with 64 bits: enough for a search, and the same on every machine.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(10);
    let seed = arguments.next().and_then(|s| s.parse().ok()).unwrap_or(1_u64);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut generator = Generator(seed.max(1));
    let mut corpus: Vec<String> = CORPUS.iter().map(|source| (*source).to_owned()).collect();
    corpus.extend(function_docs().map(|function| function.example.to_owned()));
    let scope = scope();
    let (mut runs, mut parsed, mut evaluated) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < end {
        let source = mutated(&mut generator, &corpus);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&source, &scope)));
        let took_ms = start.elapsed().as_millis();
        runs += 1;
        match outcome {
            Ok(outcome) if took_ms <= RUN_MS_MAX => {
                parsed += u64::from(outcome.parsed);
                evaluated += u64::from(outcome.evaluated);
                if outcome.parsed && generator.below(64) == 0 {
                    remember(&mut generator, &mut corpus, source);
                }
            }
            Ok(_) => return found(&format!("{took_ms} ms"), &source),
            Err(_) => return found("a panic", &source),
        }
    }
    println!("seed {seed}: {runs} runs, {parsed} parsed, {evaluated} evaluated, no panic");
    ExitCode::SUCCESS
}

fn found(what: &str, source: &str) -> ExitCode {
    println!("{what} for {source:?}");
    ExitCode::FAILURE
}

struct Outcome {
    parsed: bool,
    evaluated: bool,
}

fn run(source: &str, scope: &Value) -> Outcome {
    if let Ok(template) = Template::parse_text(source) {
        // A template may fail to render, but it must not panic.
        drop(template.render(scope));
    }
    match Expr::parse(source) {
        Ok(expression) => {
            let lenient = expression.evaluate(scope);
            let strict = expression.evaluate_strict(scope);
            if let Err(error) = &strict {
                let span = error.span();
                assert!(source.get(span).is_some(), "the span of an error must lie within the source");
            } else {
                assert!(lenient.is_ok(), "a source that evaluates strictly must also evaluate leniently");
            }
            for reference in expression.references() {
                assert!(source.get(reference.span.clone()).is_some());
            }
            Outcome { parsed: true, evaluated: lenient.is_ok() }
        }
        Err(error) => {
            assert!(source.get(error.span.clone()).is_some(), "{error:?}");
            Outcome { parsed: false, evaluated: false }
        }
    }
}

/// Adds `source` to the corpus; if the corpus is full, `source` replaces a random earlier mutation.
fn remember(generator: &mut Generator, corpus: &mut Vec<String>, source: String) {
    if corpus.len() < 2_000 {
        corpus.push(source);
    } else {
        let at = CORPUS.len() + generator.below(corpus.len() - CORPUS.len());
        corpus[at] = source;
    }
}

fn mutated(generator: &mut Generator, corpus: &[String]) -> String {
    let mut source = corpus[generator.below(corpus.len())].clone();
    for _ in 0..=generator.below(4) {
        mutate(generator, corpus, &mut source);
    }
    let end = boundary(&source, SOURCE_BYTES_MAX);
    source.truncate(end);
    source
}

fn mutate(generator: &mut Generator, corpus: &[String], source: &mut String) {
    let from = boundary(source, generator.below(source.len() + 1));
    let to = boundary(source, from + generator.below(12)).max(from);
    match generator.below(7) {
        0 => source.insert_str(from, generator.pick(TOKENS)),
        1 => source.replace_range(from..to, ""),
        2 => source.replace_range(from..to, generator.pick(TOKENS)),
        3 => {
            let part = source[from..to].to_owned();
            let count = 1 + generator.below(200);
            source.insert_str(from, &part.repeat(count));
        }
        4 => {
            let other = &corpus[generator.below(corpus.len())];
            let cut = boundary(other, generator.below(other.len() + 1));
            source.insert_str(from, &other[cut..]);
        }
        5 => {
            let token = generator.pick(TOKENS);
            let count = 1 + generator.below(300);
            source.insert_str(from, &token.repeat(count));
        }
        _ => {
            let other = corpus[generator.below(corpus.len())].clone();
            let operator = generator.pick(TOKENS);
            *source = format!("({source}) {operator} ({other})");
        }
    }
}

/// Returns the last character boundary of `source` at or before byte `at`.
fn boundary(source: &str, at: usize) -> usize {
    let at = at.min(source.len());
    (0..=at).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0)
}

fn scope() -> Value {
    json!({
        "task": {"type": "feature", "tags": ["a", "b"]},
        "tries": 2,
        "context": {"state": {"qa_status": "pass"}},
        "steps": {"fetch": {"output": {"rows": [{"id": 7}, {"id": 8}]}}},
        "user": {"name": "Ada", "address": {"zip": "10115"}},
        "a": 1, "b": 2.5, "c": -3, "n": 5, "yes": true, "index": 3, "x": null,
        "big": u64::MAX, "small": i64::MIN, "huge": 1e308, "tiny": 5e-324,
        "items": ["one", {"two": [3]}], "list": [3, 1, 2], "text": "grün 😀 e\u{301} \0 it's",
        "long": "ab".repeat(20_000), "many": (0..20_000).collect::<Vec<_>>(),
    })
}
