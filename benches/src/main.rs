//! Figures of the engine, each as a ratio to what this machine can do, measured in the same run.
//!
//! `cargo run --profile dist -p llmspell-workflows-benches` prints the table of the README, with `memory`, `around` or
//! `durable` that part of it; with `journals` it compares the adapters of the journal instead, with `processes` it
//! measures whole processes of `spellflow`, which `cargo build --profile dist` makes. Each figure is the median
//! of several rounds in which the limit and ours take turns, so that a machine whose speed drifts does not matter.

mod around;
mod durable;
mod engine;
mod figures;
mod journals;
mod limits;
mod processes;
mod text;

use figures::Report;

/// For both sides alike: with the allocator of glibc a program that makes and drops a thousand outputs in turn spends
/// its time giving memory back to the system and asking for it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut report = Report::default();
    let only = std::env::args().nth(1);
    if only.as_deref() == Some("journals") {
        return journals::measure();
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
    report.print();
}
