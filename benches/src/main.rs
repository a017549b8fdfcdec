//! Figures of the engine, each as a ratio to what this machine can do, measured in the same run.
//!
//! `cargo run --release -p llmspell-workflows-benches` prints the table of the README. Each figure is the median of
//! several rounds in which the limit and ours take turns, so that a machine whose speed drifts does not matter.

mod engine;
mod figures;
mod limits;
mod text;

use figures::Report;

fn main() {
    let mut report = Report::default();
    engine::measure(&mut report);
    text::measure(&mut report);
    report.print();
}
