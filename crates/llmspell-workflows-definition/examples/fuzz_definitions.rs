//! Reads mutated documents for the given number of seconds: `fuzz_definitions [SECONDS] [SEED]`.
//!
//! No document may make the reader panic or take longer than a second. If a document can be read, its definition is
//! printed and formatted, and both texts must give the same definition. A failure prints the seed and the document.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use llmspell_workflows_definition::{Document, StepTypes, format, read_bytes, to_yaml};

/// A small random number generator (SplitMix64). The same seed gives the same documents on
/// every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "&a ",
    "*a",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "#",
    "~",
    "{{",
    "}}",
    "${",
    "---\n",
    "\t",
    "? ",
    "<<: ",
    "\u{feff}",
    "\u{85}",
    "99999999999999999999",
    "-1",
    "true",
    "steps: ",
    "id: ",
    "type: ",
    "parallel",
    "loop",
    "conditional",
    "then: ",
    "next_step: ",
    "end",
    "on_error: ",
    "retries: ",
    "timeout: ",
    "type: route",
    "branches: ",
    "params: ",
    "body: ",
];

fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut text = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() + 1);
        let end = (at + random.below(40)).min(text.len());
        match random.below(6) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
            2 => drop(text.splice(at..end, TOKENS[random.below(TOKENS.len())].bytes())),
            3 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                text.splice(at..at, other[from..to].iter().copied());
            }
            4 => {
                let part = text[at..end].to_vec();
                for _ in 0..random.below(20) {
                    text.splice(at..at, part.iter().copied());
                }
            }
            _ => {
                if let Some(byte) = text.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
        }
    }
    text
}

fn corpus() -> Result<Vec<Vec<u8>>, std::io::Error> {
    let mut corpus = Vec::new();
    for folder in ["good", "bad"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            // Good documents are chosen more often, since few of their mutations are rejected at the first byte.
            let times = if folder.ends_with("good") { 4 } else { 1 };
            if path.extension().is_some_and(|extension| extension != "txt") {
                corpus.extend(std::iter::repeat_n(fs::read(path)?, times));
            }
        }
    }
    corpus.sort();
    Ok(corpus)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let first_seed: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let corpus = corpus()?;
    let types = StepTypes::new();
    let (mut runs, mut readable, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(seconds) {
        let seed = first_seed + runs;
        let text = mutate(&mut Random(seed), &corpus);
        let report = Report { seed, text: &text };
        let begun = Instant::now();
        match read_bytes(&text, "fuzz.yaml", &types) {
            Ok(document) => {
                readable += 1;
                let printed = to_yaml(&document.definition);
                let again = read_bytes(printed.as_bytes(), "printed.yaml", &types).map(|again| again.definition);
                let is_same = again.is_ok_and(|definition| definition == document.definition);
                assert!(is_same, "seed {seed} does not survive a round trip:\n{printed}");
                check_format(&text, &document, &types, seed);
            }
            Err(diagnostics) => assert!(!diagnostics.to_string().is_empty(), "seed {seed} has an empty error message"),
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "seed {seed} took {took:?}");
        slowest = slowest.max(took);
        std::mem::forget(report);
        runs += 1;
    }
    println!("{runs} documents from seed {first_seed}, {readable} readable, the slowest took {slowest:?}");
    Ok(())
}

/// Asserts that formatting keeps the meaning, and that formatting again changes nothing.
fn check_format(text: &[u8], document: &Document, types: &StepTypes, seed: u64) {
    let text = std::str::from_utf8(text).expect("a document that was read is UTF-8");
    let formatted = format(text, "fuzz.yaml", types).expect("a document that was read can be formatted");
    let again = read_bytes(formatted.as_bytes(), "formatted.yaml", types).map(|again| again.definition);
    let is_same = again.is_ok_and(|definition| definition == document.definition);
    assert!(is_same, "seed {seed} changes when it is formatted:\n{text}\n---\n{formatted}");
    let twice = format(&formatted, "formatted.yaml", types).expect("a formatted document can be formatted");
    assert_eq!(twice, formatted, "seed {seed} changes when it is formatted twice");
}

/// Prints the document if reading it panics.
struct Report<'t> {
    seed: u64,
    text: &'t [u8],
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        eprintln!("seed {}:\n{}", self.seed, String::from_utf8_lossy(self.text));
    }
}
