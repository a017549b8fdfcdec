//! Measures the median time to read a definition of STEPS steps in 21 runs: `read_speed [STEPS]`.

use std::{hint::black_box, time::Instant};

use llmspell_workflows_definition::{StepTypes, read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steps: usize = std::env::args().nth(1).map_or(Ok(2_000), |text| text.parse())?;
    let mut text = "name: speed\nversion: \"1.0.0\"\nsteps:\n".to_owned();
    for step in 0..steps {
        let before = step.saturating_sub(1);
        text.push_str(&format!(
            "  - id: step-{step}\n    name: \"Step {step}\"\n    type: tool\n    tool: web_searcher\n    condition: \"steps.step-{before}.output != null\"\n    timeout: 30s\n    retries: 2\n    params:\n      input: \"{{{{ step-{before}.output.url }}}}\"\n      max_results: 10\n      selectors: {{title: h1, content: .article-body}}\n"
        ));
    }
    let types = StepTypes::new();
    let mut times = Vec::new();
    for _ in 0..21 {
        let started = Instant::now();
        black_box(read(black_box(&text), "speed.yaml", &types)?);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    println!(
        "{steps} steps, {} KiB: {median:?}, {} ns per step",
        text.len() / 1024,
        median.as_nanos() / steps.max(1) as u128
    );
    Ok(())
}
