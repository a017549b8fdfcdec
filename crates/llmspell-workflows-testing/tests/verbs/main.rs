//! No crash of a verb harms a run.

mod plots;

/// Returns the number in an environment variable, or `default` if it is not set.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("the variable is a number"))
}

#[test]
fn no_crash_of_a_verb_harms_a_run() {
    let (stride, seed) = (number("STRIDE", 40), number("SEED", 1));
    let only = std::env::var("PLOT").unwrap_or_default();
    for definition in plots::all().into_iter().filter(|one| only.is_empty() || one.name == only) {
        let name = definition.name.clone();
        let began = std::time::Instant::now();
        let report = plots::test([definition]).verbs_at(stride, seed);
        println!("{name} {report:?} {:?}", began.elapsed());
        report.unwrap_or_else(|difference| panic!("{difference}"));
    }
}

#[test]
fn no_sequence_of_verbs_with_crashes_harms_a_run() {
    let (count, seed) = (number("SEQUENCES", 100), number("SEED", 1));
    let began = std::time::Instant::now();
    let report = plots::test(plots::all()).verbs_anywhere(count, seed);
    let report = report.unwrap_or_else(|difference| panic!("{difference}"));
    println!("seed {seed}: {report:?} {:?}", began.elapsed());
}
