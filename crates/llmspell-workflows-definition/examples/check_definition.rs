//! Reads a definition and prints it, or its errors: `check_definition FILE [--json]`.

use std::process::ExitCode;

use llmspell_workflows_definition::{StepTypes, Style, read_bytes};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("give the name of a file")?;
    let as_json = arguments.next().is_some_and(|argument| argument == "--json");
    let bytes = std::fs::read(&file)?;
    match read_bytes(&bytes, &file, &StepTypes::new()) {
        Ok(document) => {
            print!("{}", document.diagnostics().render(Style::Plain));
            println!("{}", serde_json::to_string_pretty(&document.definition)?);
            Ok(ExitCode::SUCCESS)
        }
        Err(diagnostics) if as_json => {
            println!("{}", serde_json::to_string_pretty(&diagnostics)?);
            Ok(ExitCode::from(3))
        }
        Err(diagnostics) => {
            println!("{diagnostics}");
            Ok(ExitCode::from(3))
        }
    }
}
