//! Measures rounds, computes medians and prints the table of results.

use std::time::{Duration, Instant};

/// The number of rounds for each median.
const ROUNDS: usize = 9;

/// The rows measured so far.
#[derive(Default)]
pub(crate) struct Report(Vec<Row>);

struct Row {
    what: String,
    ours: String,
    limit: String,
    ratio: String,
    target: &'static str,
}

impl Report {
    /// Adds a time and the limit measured in alternation with it. Both are divided by `per`.
    pub(crate) fn ratio(&mut self, what: &str, per: u32, target: &'static str, rounds: (Vec<Duration>, Vec<Duration>)) {
        let (ours, limit) = rounds;
        let mut ratios: Vec<f64> =
            ours.iter().zip(&limit).map(|(ours, limit)| ours.as_secs_f64() / limit.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        self.0.push(Row {
            what: what.to_owned(),
            ours: format_duration(median(&ours) / per),
            limit: format_duration(median(&limit) / per),
            ratio: format!("{:.2} ×", ratios[ratios.len() / 2]),
            target,
        });
    }

    /// Adds a time that is not compared with a limit.
    pub(crate) fn time(&mut self, what: &str, per: u32, target: &'static str, rounds: &[Duration]) {
        let ours = format_duration(median(rounds) / per);
        self.0.push(Row { what: what.to_owned(), ours, limit: "—".into(), ratio: "—".into(), target });
    }

    /// Adds a ratio without times.
    pub(crate) fn plain(&mut self, what: &str, ratio: f64, target: &'static str) {
        self.0.push(Row {
            what: what.to_owned(),
            ours: "—".into(),
            limit: "—".into(),
            ratio: format!("{ratio:.2} ×"),
            target,
        });
    }

    pub(crate) fn print(&self) {
        println!("| what | ours | limit | ratio | target |\n|---|---|---|---|---|");
        for Row { what, ours, limit, ratio, target } in &self.0 {
            println!("| {what} | {ours} | {limit} | {ratio} | {target} |");
        }
    }
}

/// Measures alternating rounds of `ours` and `limit`.
pub(crate) fn alternate(mut ours: impl FnMut(), mut limit: impl FnMut()) -> (Vec<Duration>, Vec<Duration>) {
    ours();
    limit();
    (0..ROUNDS).map(|_| (once(&mut ours), once(&mut limit))).unzip()
}

/// Measures `ours` alone.
pub(crate) fn rounds(mut ours: impl FnMut()) -> Vec<Duration> {
    ours();
    (0..ROUNDS).map(|_| once(&mut ours)).collect()
}

fn once(work: &mut impl FnMut()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

pub(crate) fn median(rounds: &[Duration]) -> Duration {
    let mut sorted = rounds.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

fn format_duration(duration: Duration) -> String {
    match duration.as_nanos() {
        0..1_000 => format!("{} ns", duration.as_nanos()),
        1_000..1_000_000 => format!("{:.2} µs", duration.as_secs_f64() * 1e6),
        _ => format!("{:.2} ms", duration.as_secs_f64() * 1e3),
    }
}
