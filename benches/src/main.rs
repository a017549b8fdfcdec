//! Benchmarks of the engine, compared with machine limits measured in the same run.
//!
//! `cargo run --profile dist -p llmspell-workflows-benches` prints the table in the README. An
//! argument selects a part:
//!
//! - `memory`, `around`, `durable` or `past` prints that part of the table.
//! - `journals` compares the journal adapters.
//! - `beside` measures commands in a store with large outputs, using a built program.
//! - `processes` measures whole `spellflow` processes; build the program with `cargo build --profile dist` first.
//!
//! Each figure is the median of several rounds. Rounds alternate between the engine and the limit,
//! so changes in the machine's speed cancel out.

mod around;
mod beside;
mod durable;
mod engine;
mod figures;
mod journals;
mod limits;
mod past;
mod processes;
mod text;

use figures::Report;

/// The allocator for the engine and the limits. With glibc's allocator, a program that repeatedly
/// creates and drops a thousand outputs spends its time returning memory to the system and
/// requesting it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut report = Report::default();
    let only = std::env::args().nth(1);
    if only.as_deref() == Some("journals") {
        return journals::measure();
    }
    if only.as_deref() == Some("beside") {
        return beside::measure();
    }
    if only.as_deref() == Some("processes") {
        return processes::measure();
    }
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if wanted("memory") {
        engine::measure(&mut report);
        text::measure(&mut report);
    }
    if wanted("around") {
        around::measure(&mut report);
    }
    if wanted("durable") {
        durable::measure(&mut report);
    }
    if wanted("past") {
        past::measure(&mut report);
    }
    report.print();
}
